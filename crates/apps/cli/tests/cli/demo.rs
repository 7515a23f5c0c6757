use crate::place::Place;
use ringback_testkit::servers;
use serde_json::Value;

fn all_of_it_happens(arguments: &[&str]) {
    let place = Place::new();
    let proof = place.json(arguments);
    let claims = proof["claims"].as_array().unwrap();
    let broken: Vec<_> = claims
        .iter()
        .filter(|claim| claim["holds"] != true)
        .collect();
    assert!(broken.is_empty() && claims.len() > 30, "{broken:?}");
    let answers = |profile: &str| -> Vec<Value> {
        let rows = proof["deliveries"].as_array().unwrap();
        rows.iter().find(|row| row["profile"] == profile).unwrap()["answers"]
            .as_array()
            .unwrap()
            .clone()
    };
    assert_eq!(answers("modelhunter"), [500, 503, 200]);
    assert_eq!(answers("hooked"), [503, 503, 503, 503, 200]);
    let left: Vec<_> = std::fs::read_dir(place.path(".")).unwrap().collect();
    assert!(left.is_empty(), "it leaves nothing where it was started");
}

#[test]
fn all_of_it_happens_with_no_server_at_all() {
    all_of_it_happens(&["demo"]);
}

#[test]
fn all_of_it_happens_on_servers() {
    let (broker, store) = (servers::shared_amqp_url(), servers::shared_redis_url());
    all_of_it_happens(&["demo", "--broker", &broker, "--store", &store]);
}

#[test]
fn the_story_is_talk_and_the_summary_is_data() {
    let ran = Place::new().run(["demo"]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    for words in [
        "attempt 3 → 200",
        "dead letter: attempts exhausted",
        "replay as round 2",
        "in real life 15m",
    ] {
        assert!(ran.stderr.contains(words), "{words}: {}", ran.stderr);
    }
    assert!(
        ran.stdout.starts_with("PROFILE") && ran.stdout.contains("all of it happened"),
        "{}",
        ran.stdout
    );
}

#[test]
fn a_broker_that_is_not_there_is_told() {
    let ran = Place::new().run([
        "demo",
        "--broker",
        "amqp://127.0.0.1:1",
        "--store",
        "redis://127.0.0.1:1",
    ]);
    assert_eq!(ran.code, 5, "{}", ran.stderr);
    assert!(
        ran.stderr
            .contains("could not reach the broker at `127.0.0.1:1`"),
        "{}",
        ran.stderr
    );
}
