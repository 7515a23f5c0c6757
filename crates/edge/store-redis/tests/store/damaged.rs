//! Records that nobody can read.

use crate::{raw, settings, store};
use ringback_delivery::port::{PaceStore, WriteAnswer};
use ringback_domain::{Breaker, BreakerRules};
use ringback_testkit::{samples, servers::shared_redis_url};
use ringback_wire::{VERSION, breaker};
use std::{num::NonZeroU32, time::Duration};

const RULES: BreakerRules = BreakerRules {
    failures: NonZeroU32::MIN,
    probe_first: Duration::from_secs(5),
    probe_max: Duration::from_mins(1),
};

#[tokio::test]
async fn a_breaker_that_cannot_be_read_keeps_no_other_from_being_read_and_makes_room() {
    let url = shared_redis_url();
    let settings = settings(&url);
    let key = format!("{{{}:breakers}}:by_destination", settings.prefix);
    let store = store(settings);
    let good = Breaker::opened("whk_good".parse().unwrap(), samples::moment(0), &RULES);
    let bad = Breaker::opened("whk_bad".parse().unwrap(), samples::moment(0), &RULES);
    store.put_breaker(&good).await.unwrap();
    let mut raw = raw(&url).await;
    let newer = String::from_utf8(breaker::encode(&good)).unwrap();
    let version = format!(r#""v":{VERSION},"#);
    assert!(newer.contains(&version), "{newer}");
    let newer = newer.replace(&version, r#""v":4000000000,"#);
    let newer = format!("1 {newer}");
    for (id, record) in [
        ("whk_bad", r#"7 {"v":1"#),
        ("whk_empty", ""),
        ("whk_newer", &*newer),
    ] {
        let mut put = redis::cmd("HSET");
        put.arg(&key).arg(id).arg(record);
        put.exec_async(&mut raw).await.unwrap();
    }

    assert_eq!(store.breakers().await.unwrap(), std::slice::from_ref(&good));

    assert_eq!(
        store.put_breaker(&bad).await.unwrap(),
        WriteAnswer::Written,
        "as if there were none"
    );
    let mut keys = redis::cmd("HKEYS");
    let mut left: Vec<String> = keys.arg(&key).query_async(&mut raw).await.unwrap();
    left.sort();
    assert_eq!(
        left,
        ["whk_bad", "whk_good", "whk_newer"],
        "a newer release can read the last"
    );
}
