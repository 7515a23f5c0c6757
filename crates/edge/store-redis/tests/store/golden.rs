//! A store as an older release left it.

use crate::{raw, settings, store};
use ringback_store_redis::RedisStoreSettings;
use ringback_testkit::{golden, servers::shared_redis_url};

/// What the golden stores' keys begin with.
const PREFIX: &str = "{golden:";
const LINE_END: usize = b"\r\n".len();

#[tokio::test]
async fn what_version_1_wrote_is_read() {
    assert_is_read(include_bytes!("../golden/v1.resp")).await;
}

async fn assert_is_read(mut commands: &[u8]) {
    let url = shared_redis_url();
    let settings = RedisStoreSettings {
        idempotency_window: golden::KEPT_FOR,
        ..settings(&url)
    };
    let prefix = format!("{{{}:", settings.prefix);
    let mut server = raw(&url).await;
    while !commands.is_empty() {
        let mut words = next_command(&mut commands).into_iter();
        let name = String::from_utf8(words.next().unwrap()).unwrap();
        let key = String::from_utf8(words.next().unwrap()).unwrap();
        let mut command = redis::cmd(&name);
        command.arg(key.replacen(PREFIX, &prefix, 1));
        for word in words {
            command.arg(word);
        }
        let () = command.query_async(&mut server).await.unwrap();
    }
    golden::assert_holds(&store(settings)).await;
}

/// The words of the next command, as it goes over the wire: `*2`, `$3`, `GET`, `$1`, `a`, a line each.
fn next_command(commands: &mut &[u8]) -> Vec<Vec<u8>> {
    let count = number_after(commands, b'*');
    let mut words = Vec::new();
    for _ in 0..count {
        let length = number_after(commands, b'$');
        words.push(commands[..length].to_vec());
        *commands = &commands[length + LINE_END..];
    }
    words
}

fn number_after(commands: &mut &[u8], mark: u8) -> usize {
    assert_eq!(commands[0], mark);
    let end = commands.iter().position(|byte| *byte == b'\r').unwrap();
    let number = str::from_utf8(&commands[1..end]).unwrap();
    *commands = &commands[end + LINE_END..];
    number.parse().unwrap()
}
