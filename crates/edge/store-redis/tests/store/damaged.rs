//! Records that nobody can read.

use crate::{raw, settings, store};
use redis::AsyncCommands;
use ringback_delivery::port::{PaceStore, PlanStore, WriteAnswer};
use ringback_domain::{Breaker, BreakerRules, replay_plan::ReplayPlan};
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

#[tokio::test]
async fn a_plan_that_cannot_be_read_is_told_to_whoever_lists_all_and_hides_no_other() {
    let url = shared_redis_url();
    let settings = settings(&url);
    let key = |id: &str| format!("{{{}:plans}}:plan:{id}", settings.prefix);
    let store = store(settings.clone());
    let project = samples::project();
    let mut ids = Vec::new();
    for second in 0..4 {
        let mut plan = samples::replay_plan_of(&project, 1);
        plan.terms.planned_at = samples::moment(second);
        store.create_plan(&plan).await.unwrap();
        ids.push(plan.id().clone());
    }
    let mut raw = raw(&url).await;
    for (number, part) in [(1, "terms"), (2, "progress")] {
        let () = raw
            .hset(key(ids[number].as_str()), part, "{")
            .await
            .unwrap();
    }

    let first = store.plans(None, None, 2).await.unwrap();
    assert_eq!(
        (first.entries[0].id(), &*first.damaged[0].id),
        (&ids[3], ids[2].as_str())
    );
    let rest = store.plans(None, first.next.as_ref(), 2).await.unwrap();
    assert_eq!(
        (rest.entries[0].id(), &*rest.damaged[0].id),
        (&ids[0], ids[1].as_str())
    );
    assert_eq!(rest.next, None);
    let of_project = store.plans(Some(&project), None, 9).await.unwrap();
    let listed: Vec<_> = of_project.entries.iter().map(ReplayPlan::id).collect();
    assert_eq!(
        (listed, of_project.damaged.len()),
        (vec![&ids[3], &ids[0]], 0)
    );
}
