//! Makes the golden store on Redis: `cargo run -p ringback-store-redis --example golden_redis -- redis://127.0.0.1:6379/ > FILE`; needs
//! a server to itself.
//!
//! The file has the commands that bring an empty server to the same contents, as they go over the wire: any version of Redis
//! takes them. Run once for each version of the wire format, before it is released; a file once made is never made again.

use redis::aio::MultiplexedConnection;
use ringback_store_redis::{RedisStore, RedisStoreSettings};
use ringback_testkit::{MachineClock, golden};
use std::{io::Write, sync::Arc};

type Failure = Box<dyn std::error::Error + Send + Sync>;
type Bytes = Vec<u8>;

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let url = std::env::args().nth(1).ok_or("say the server's URL")?;
    let settings = RedisStoreSettings {
        prefix: "golden".into(),
        idempotency_window: golden::KEPT_FOR,
        dead_letter_retention: golden::KEPT_FOR,
        ..RedisStoreSettings::at(url.clone().into())
    };
    let store = RedisStore::try_new(settings, Arc::new(MachineClock))?;
    golden::fill(&store).await;

    let client = redis::Client::open(url)?;
    let mut server = client.get_multiplexed_async_connection().await?;
    let mut keys: Vec<String> = redis::cmd("KEYS").arg("*").query_async(&mut server).await?;
    keys.sort();
    let mut commands = Bytes::new();
    for key in keys {
        commands.extend(command_for(&mut server, &key).await?);
    }
    Ok(std::io::stdout().write_all(&commands)?)
}

/// The command that makes this key what it is.
async fn command_for(server: &mut MultiplexedConnection, key: &str) -> Result<Bytes, Failure> {
    let kind: String = redis::cmd("TYPE").arg(key).query_async(server).await?;
    let (read, range, write): (_, &[&str], _) = match kind.as_str() {
        "string" => ("GET", &[], "SET"),
        "hash" => ("HGETALL", &[], "HSET"),
        "list" => ("LRANGE", &["0", "-1"], "RPUSH"),
        "set" => ("SMEMBERS", &[], "SADD"),
        "zset" => ("ZRANGE", &["0", "-1"], "ZADD"),
        other => return Err(format!("{key} is a {other}").into()),
    };
    let mut ask = redis::cmd(read);
    ask.arg(key).arg(range);
    let mut parts: Vec<Bytes> = match kind.as_str() {
        "string" => vec![ask.query_async(server).await?],
        _ => ask.query_async(server).await?,
    };
    if kind == "hash" {
        // Servers keep fields in an order of their own.
        let mut fields: Vec<_> = parts.chunks(2).map(<[_]>::to_vec).collect();
        fields.sort();
        parts = fields.concat();
    }
    let mut command = redis::cmd(write);
    command.arg(key);
    for part in parts {
        if kind == "zset" {
            // All scores are 0: an index is ordered by its text.
            command.arg(0);
        }
        command.arg(part);
    }
    Ok(command.get_packed_command())
}
