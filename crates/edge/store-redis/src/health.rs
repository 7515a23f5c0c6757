//! What the server is, and where it falls short of what we promise.

use crate::{RedisStore, settings::RedisStoreSettings};
use redis::Value;
use ringback_delivery::port::{StoreError, StoreHealth};
use std::collections::BTreeSet;

/// A clock further off than this is worth a word.
const SKEW_MS_MAX: i64 = 1000;

impl RedisStore {
    pub(crate) async fn check_health(&self) -> Result<StoreHealth, StoreError> {
        const STEP: &str = "tell its health";
        let before = self.clock.now();
        let mut time = redis::cmd("EVAL");
        time.arg("return redis.call('TIME')")
            .arg(1)
            .arg(self.keys.webhooks());
        let (seconds, micros): (i64, i64) = self.connection.send(STEP, &time).await?;
        let after = self.clock.now();
        let ours_ms = i64::midpoint(before.as_millisecond(), after.as_millisecond());
        let skew_ms = seconds * 1000 + micros / 1000 - ours_ms;

        let info: Value = self.connection.send(STEP, &redis::cmd("INFO")).await?;
        let servers: Vec<_> = texts(&info).iter().map(|text| Server::read(text)).collect();
        let mut config = redis::cmd("CONFIG");
        config.arg("GET").arg("appendfsync");
        // Services that manage Redis do not let us ask: they answer for it themselves.
        let fsync = self.connection.send::<Value>(STEP, &config).await.ok();
        let fsync: Vec<_> = fsync.iter().flat_map(texts).collect();

        let mut findings = BTreeSet::new();
        for server in &servers {
            findings.extend(server.findings(&self.settings));
        }
        if fsync
            .iter()
            .any(|value| value == "everysec" || value == "no")
            && !self.settings.wait_aof
        {
            findings.insert("appendfsync is not `always`: up to a second of dead letters may be lost in a crash (hint: set `appendfsync always`, or `wait_aof` with Redis 7.2)".to_owned());
        }
        if !self.connection.is_protected() {
            findings.insert("no password is used, and the server is not on this machine (hint: set a user and a password, and put them into the store's URL)".to_owned());
        }
        if skew_ms.abs() > SKEW_MS_MAX {
            findings.insert(format!(
                "the server's clock differs from ours by {skew_ms} ms (hint: keep both by NTP)"
            ));
        }
        let product = servers
            .first()
            .map_or_else(|| "Redis".to_owned(), |server| server.product.clone());
        Ok(StoreHealth {
            product,
            clock_skew_ms: Some(skew_ms),
            findings: findings.into_iter().collect(),
        })
    }
}

/// What one server says of itself.
#[derive(Debug, Default, PartialEq, Eq)]
struct Server {
    product: String,
    version: (u16, u16),
    policy: Option<String>,
    has_aof: Option<bool>,
    disk_failed: bool,
}

impl Server {
    fn read(info: &str) -> Self {
        let value = |name: &str| {
            info.lines()
                .filter_map(|line| line.split_once(':'))
                .find(|(key, _)| *key == name)
                .map(|(_, value)| value.trim().to_owned())
        };
        let (name, version) = match value("valkey_version") {
            Some(version) => ("Valkey", version),
            None => ("Redis", value("redis_version").unwrap_or_default()),
        };
        let mut numbers = version.split('.').map(|part| part.parse().unwrap_or(0));
        Self {
            product: format!("{name} {version}"),
            version: (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0)),
            policy: value("maxmemory_policy"),
            has_aof: value("aof_enabled").map(|enabled| enabled == "1"),
            disk_failed: value("aof_last_write_status").is_some_and(|status| status != "ok"),
        }
    }

    fn findings(&self, settings: &RedisStoreSettings) -> Vec<String> {
        let mut findings = Vec::new();
        if let Some(policy) = self
            .policy
            .as_deref()
            .filter(|policy| *policy != "noeviction")
        {
            findings.push(format!("maxmemory-policy is `{policy}`: under memory pressure the server throws dead letters away (hint: set `maxmemory-policy noeviction`)"));
        }
        if self.has_aof == Some(false) {
            findings.push("appendonly is off: a restart loses what was stored since the last snapshot (hint: set `appendonly yes`)".to_owned());
        }
        if self.disk_failed {
            findings.push(
                "the last write to the append-only file failed (hint: look for a full disk)"
                    .to_owned(),
            );
        }
        if self.version < (6, 2) {
            findings.push(format!(
                "{} is older than 6.2 (hint: update the server)",
                self.product
            ));
        }
        if settings.wait_aof && self.version < (7, 2) {
            findings.push(format!("{} does not know WAITAOF, so `wait_aof` makes every dead letter fail (hint: update to 7.2, or set `appendfsync always` instead)", self.product));
        }
        findings
    }
}

/// All texts in an answer: one server gives one, a cluster one for each server.
fn texts(value: &Value) -> Vec<String> {
    match value {
        Value::BulkString(bytes) => vec![String::from_utf8_lossy(bytes).into_owned()],
        Value::SimpleString(text) | Value::VerbatimString { text, .. } => vec![text.clone()],
        Value::Array(values) => values.iter().flat_map(texts).collect(),
        Value::Map(pairs) => pairs.iter().flat_map(|(_, value)| texts(value)).collect(),
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_shortcoming_is_found_and_says_what_to_do() {
        let info = "# Server\r\nredis_version:6.0.16\r\nmaxmemory_policy:allkeys-lru\r\naof_enabled:0\r\naof_last_write_status:err\r\n";
        let mut settings = RedisStoreSettings::at(String::new().into());
        settings.wait_aof = true;
        let findings = Server::read(info).findings(&settings);
        assert_eq!(findings.len(), 5, "{findings:?}");
        for finding in findings {
            assert!(finding.contains("(hint: "), "{finding}");
        }
    }

    #[test]
    fn a_server_as_it_should_be_has_none() {
        let info = "redis_version:7.2.4\r\nvalkey_version:8.1.0\r\nmaxmemory_policy:noeviction\r\naof_enabled:1\r\naof_last_write_status:ok\r\n";
        let server = Server::read(info);
        assert_eq!(server.product, "Valkey 8.1.0");
        assert!(
            server
                .findings(&RedisStoreSettings::at(String::new().into()))
                .is_empty()
        );
    }
}
