//! Bad input: each with a clear error and its exit code, and nothing half done.

use crate::place::Place;
use insta::assert_snapshot;

/// New keys would open nothing, and every signed delivery would end as a dead letter.
#[test]
fn a_store_without_its_keys_is_not_opened() {
    let place = Place::new();
    let list = || place.run(["webhooks", "list"]);
    assert_eq!(list().code, 0);
    let keys = place.path("ringback-data/secrets.keys");
    let put_away = place.path("ringback-data/kept");
    std::fs::rename(&keys, &put_away).unwrap();
    for command in [&["webhooks", "list"][..], &["doctor"]] {
        let ran = place.run(command);
        assert_ne!(ran.code, 0, "{}", ran.stdout);
        let told = format!("{}{}", ran.stdout, ran.stderr);
        let expected = "has a store, and not the keys that seal its secrets";
        assert!(told.contains(expected), "{told}");
        assert!(!keys.exists(), "{command:?} made others");
    }
    std::fs::rename(&put_away, &keys).unwrap();
    assert_eq!(list().code, 0);
}

#[test]
fn the_doctor_finds_nothing_to_change_in_what_the_readme_begins_with() {
    let readme = include_str!("../../../../../README.md");
    let config = "[http]\nallow_networks = [\"127.0.0.1/32\"]\n";
    assert!(
        readme.contains(&config.replace('\n', "\\n")),
        "it begins with something else"
    );
    let place = Place::new();
    place.write("ringback.toml", config);
    let ran = place.run(["doctor"]);
    assert_eq!(ran.code, 0, "{}{}", ran.stdout, ran.stderr);
    place.write(
        "ringback.toml",
        &config.replace("127.0.0.1/32", "10.20.0.0/16"),
    );
    let checks = place.run(["doctor", "-o", "json"]);
    assert_eq!(checks.code, 1, "{}", checks.stderr);
    assert!(
        checks.stdout.contains("Name the receivers' addresses"),
        "{}",
        checks.stdout
    );
}

#[test]
fn a_port_that_is_taken_is_told_and_nothing_else() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let place = Place::new().with("RINGBACK_API__LISTEN", address.clone());
    let ran = place.run(["serve"]);
    assert_eq!(ran.code, 1, "{}", ran.stderr);
    assert!(!ran.stderr.contains("opentelemetry"), "{}", ran.stderr);
    let told = format!("error: could not listen on {address}");
    assert!(ran.stderr.contains(&told), "{}", ran.stderr);
}

/// It would show only as dead letters.
#[test]
fn the_doctor_tells_of_secrets_that_the_keys_do_not_open() {
    let place = Place::new();
    place.write(
        "ringback.toml",
        "[http]\nallow_networks = [\"127.0.0.1/32\"]\n",
    );
    for number in 0..3 {
        let url = format!("http://127.0.0.1:9/{number}");
        let added = place.run(["webhooks", "add", &url]);
        assert_eq!(added.code, 0, "{}", added.stderr);
    }
    let said = place.run(["doctor"]).stdout;
    assert!(said.contains("open those of all webhooks: 3"), "{said}");

    let key = place.run(["config", "new-key", "other"]).stdout;
    let keys = [("RINGBACK_SECRETS__KEYS", key.trim())];
    let ran = place.run_with(keys, ["doctor"]);
    assert_eq!(ran.code, 1, "{}", ran.stdout);
    let (_, told) = ran.stdout.split_once("broken  secrets").expect(&ran.stdout);
    assert!(
        told.contains("do not open those of 3 of 3 webhooks"),
        "{told}"
    );
    assert!(told.contains("which is not configured"), "{told}");
}

/// The same.
#[test]
fn the_doctor_tells_of_webhooks_whose_profile_is_gone() {
    let place = Place::new();
    let configure = |profiles: &str| {
        let networks = "[http]\nallow_networks = [\"127.0.0.1/32\"]\n";
        place.write("ringback.toml", &format!("{profiles}{networks}"));
    };
    let ours = place.run(["profiles", "show", "standard"]).stdout;
    place.write("ours.toml", &ours);
    configure("[profiles.ours]\nfile = \"ours.toml\"\n");
    for profile in ["ours", "standard"] {
        let url = format!("http://127.0.0.1:9/{profile}");
        let added = place.run(["webhooks", "add", &url, "--profile", profile]);
        assert_eq!(added.code, 0, "{}", added.stderr);
    }
    let said = place.run(["doctor"]).stdout;
    assert!(!said.contains("broken"), "{said}");

    configure("");
    let ran = place.run(["doctor"]);
    assert_eq!(ran.code, 1, "{}", ran.stdout);
    let (_, told) = ran
        .stdout
        .split_once("broken  profiles")
        .expect(&ran.stdout);
    assert!(
        told.contains("of 1 of 2 webhooks are not configured") && told.contains("`ours`"),
        "{told}"
    );
}

#[test]
fn every_kind_of_failure_has_its_exit_code() {
    let place = Place::new();
    place.write("broken.toml", "[deliver]\nconcurrency = 0\n");
    let table: &[(&[&str], i32, &str)] = &[
        (&["dance"], 2, "unrecognized subcommand"),
        (
            &["publish", "no-such-file"],
            2,
            "could not open `no-such-file`",
        ),
        (&["publish", "."], 2, "`.` is a directory"),
        (&["dead", "import", "."], 2, "`.` is a directory"),
        (&["webhooks", "import", "."], 2, "`.` is a directory"),
        (
            &["webhooks", "import", "nowhere"],
            2,
            "could not open `nowhere`",
        ),
        (
            &["config", "default", "--output", "json"],
            2,
            "the default is TOML",
        ),
        (
            &["config", "check", "--config", "no-such.toml"],
            1,
            "the configuration has a fault",
        ),
        (
            &["webhooks", "list", "--config", "broken.toml"],
            2,
            "deliver.concurrency: `0` is out of range; allowed: 1 to 65535",
        ),
        (
            &["profiles", "show", "nope"],
            3,
            "there is no profile `nope`",
        ),
        (
            &["webhooks", "show", "whk_nope"],
            3,
            "there is no webhook whk_nope",
        ),
        (
            &[
                "webhooks",
                "add",
                "https://example.com/",
                "--project",
                "nobody",
            ],
            3,
            "project `nobody` is not configured",
        ),
        (
            &[
                "webhooks",
                "add",
                "https://example.com/",
                "--profile",
                "nope",
            ],
            3,
            "there is no profile `nope`",
        ),
        (
            &["webhooks", "add", "http://127.0.0.1/"],
            4,
            "address 127.0.0.1 is not public",
        ),
        (
            &["webhooks", "add", "https://user:pw@example.com/"],
            4,
            "user name or password",
        ),
        (&["webhooks", "add", "nonsense"], 2, "not of the form"),
        (
            &[
                "webhooks",
                "add",
                "https://example.com/",
                "--header",
                "Host: x",
            ],
            4,
            "header `Host` is reserved",
        ),
        (
            &[
                "webhooks",
                "add",
                "https://example.com/",
                "--profile",
                "hinto",
                "--secret-file",
                "secret",
            ],
            4,
            "does not sign webhooks",
        ),
        (
            &[
                "webhooks",
                "add",
                "https://example.com/",
                "--profile",
                "hooked",
                "--events",
                "task.completed",
            ],
            4,
            "has no event type `task.completed`",
        ),
        (
            &[
                "webhooks",
                "add",
                "https://example.com/",
                "--secret-file",
                "two",
            ],
            2,
            "`two` has 2 lines, and a secret is one",
        ),
        (
            &["deliveries", "show", "dlv_nope"],
            3,
            "there is no delivery dlv_nope",
        ),
        (
            &["deliveries", "list", "--cursor", "nonsense"],
            2,
            "the cursor is not from this list",
        ),
        (
            &["dead", "show", "dlt_nope"],
            3,
            "there is no dead letter dlt_nope",
        ),
        (
            &["dead", "replay", "dlt_nope", "--yes"],
            3,
            "there is no dead letter dlt_nope",
        ),
        (&["dead", "replay", "dlt_nope"], 2, "pass --yes"),
        (
            &["dead", "export", "nowhere/all.ndjson"],
            2,
            "could not begin `nowhere/all.ndjson`",
        ),
        (
            &["webhooks", "export", "nowhere/all.jsonl"],
            2,
            "could not begin `nowhere/all.jsonl`",
        ),
        (
            &["dead", "import", "-", "--callback-secret-file", "-"],
            2,
            "either the dead letters or the secret",
        ),
        (&["webhooks", "update", "whk_nope"], 2, "say what to change"),
        (&["topology", "check"], 2, "the broker is embedded"),
        (
            &["listen", "--profile", "hinto", "--callback"],
            2,
            "a secret is needed",
        ),
        (&["listen", "--status", "99"], 2, "99 is not in 200..=599"),
    ];
    place.write("two", "first\nsecond\n");
    place.write("secret", "hunter2");
    for (arguments, code, words) in table {
        let ran = place.run(*arguments);
        assert!(
            ran.code == *code && ran.stderr.contains(words),
            "{arguments:?}: exit code {}, {}",
            ran.code,
            ran.stderr
        );
        assert!(
            !ran.stderr.contains("pw@") && !ran.stderr.contains("hunter2"),
            "{}",
            ran.stderr
        );
        assert!(!ran.stderr.contains("panicked"), "{}", ran.stderr);
    }
}

#[test]
fn servers_that_do_not_answer_are_exit_code_5() {
    let key = "k1:QUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUE=";
    // Port 1 is privileged and nothing listens there.
    let no_store = Place::new()
        .with("RINGBACK_STORE", "redis://user:hunter2@127.0.0.1:1")
        .with("RINGBACK_SECRETS__KEYS", key);
    let no_broker = Place::new().with("RINGBACK_BROKER", "amqp://user:hunter2@127.0.0.1:1/v");
    for (place, words) in [
        (no_store, "could not reach the Redis at `127.0.0.1:1`"),
        (no_broker, "could not reach the broker at `127.0.0.1:1`"),
    ] {
        let event = include_str!("../../../../../examples/event.json");
        place.write("event.json", event);
        for arguments in [&["publish", "event.json"][..], &["doctor"]] {
            let ran = place.run(arguments);
            let said = format!("{}{}", ran.stdout, ran.stderr);
            assert!(
                ran.code == 5 && said.contains(words),
                "{arguments:?}: exit code {}, {said}",
                ran.code
            );
            assert!(!said.contains("hunter2"), "{said}");
        }
    }
}

/// Somebody wants to know what is lost right when something is away.
#[test]
fn what_is_only_in_the_store_is_shown_without_a_broker() {
    let no_broker = Place::new().with("RINGBACK_BROKER", "amqp://user:pw@127.0.0.1:1/v");
    for list in ["dead", "deliveries", "webhooks", "keys", "replays"] {
        let ran = no_broker.run([list, "list"]);
        assert_eq!(ran.code, 0, "{list}: {}", ran.stderr);
    }
    let no_store = Place::new()
        .with("RINGBACK_STORE", "redis://127.0.0.1:1")
        .with(
            "RINGBACK_SECRETS__KEYS",
            "k1:QUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUE=",
        );
    let ran = no_store.run(["dead", "list"]);
    assert!(
        ran.code == 5
            && ran
                .stderr
                .contains("could not reach the Redis at `127.0.0.1:1`"),
        "{}",
        ran.stderr
    );
}

#[test]
fn a_directory_in_use_by_a_stranger_is_exit_code_5_with_a_hint() {
    let place = Place::new();
    std::fs::create_dir(place.path("ringback-data")).unwrap();
    let lock = std::fs::File::create(place.path("ringback-data/lock")).unwrap();
    lock.try_lock().unwrap();
    let ran = place.run(["dead", "list"]);
    assert_eq!(ran.code, 5);
    assert_snapshot!(ran.stderr, @"
    error: data directory `./ringback-data` is in use by another process
    hint: stop it first, or choose another `data_dir`
    ");
}

#[test]
fn a_broken_profile_is_told_with_line_and_member() {
    let place = Place::new();
    place.write("broken.toml", "colour = \"red\"\nsuccess = [\"9xx\"]\ntime_limit = \"1h\"\nbody = '{'\nsignature = \"none\"\nretry = \"none\"\n");
    let ran = place.run(["profiles", "check", "broken.toml"]);
    assert_eq!(ran.code, 1);
    assert_snapshot!(ran.stdout, @"
    broken.toml:1: colour: there is no such member; known here: `description`, `event_types`, `payload_age_max`, `webhook`, `callback`, `body`, `body_form`, `headers`, `diagnostic_headers`, `signature`, `secret_required`, `success`, `refused_for_good`, `gone_disables`, `time_limit`, `on_unknown`, `retry`
    broken.toml:2: success[0]: status `9xx` is not one; write a code (`200`), a class (`2xx`) or a range (`200-204`) within 100 to 599
    broken.toml:3: time_limit: 3600s is out of range; allowed: 1s to 120s
    broken.toml:4: body: expected closing brace, found the end of the filter
    ");
    assert_snapshot!(ran.stderr, @"error: the profile has 4 faults");
}

#[test]
fn of_many_events_the_good_are_published_and_each_bad_one_is_named() {
    let place = Place::new();
    let good = |id: u32| {
        format!(
            r#"{{"id":"evt_{id}","project":"default","type":"a.b","occurred_at":"2026-06-01T10:00:00Z","job":{{"id":"j"}}}}"#
        )
    };
    let secret = r#"{"id":"evt_9","project":"default","type":"a.b","occurred_at":"2026-06-01T10:00:00Z","job":{"id":"j"},"callback":{"url":"http://10.0.0.1/","secret":"hunter2"}}"#;
    let lines = [
        good(1),
        String::new(),
        r#"{"id":"evt_2"}"#.to_owned(),
        good(3).replace("default", "nobody"),
        good(4).replace("2026-06-01T10:00:00Z", "yesterday"),
        "not json".to_owned(),
        good(5).replace(r#""id":"j""#, r#""id":"j","id":"k""#),
        secret.to_owned(),
        good(6).replace(r#""job""#, r#""jobs""#),
        good(7),
        format!(r#"{{"data":"{}"}}"#, "x".repeat(300_000)),
    ];
    place.write("events.ndjson", &lines.join("\n"));
    let ran = place.run(["publish", "events.ndjson"]);
    assert_eq!(ran.code, 1);
    assert_snapshot!(ran.stdout, @"
    line 3: member `job` is missing
    line 4: project `nobody` is not configured (hint: add `[projects.nobody]` to the configuration)
    line 5: member `occurred_at` is not a moment of RFC 3339, such as `2026-06-01T10:01:30.250Z`
    line 6: the event is not JSON: byte 1: expected null, found `o`
    line 7: member `job.id` is not accepted: the member appears twice in its object
    line 8: member `callback.url` is not accepted: address 10.0.0.1 is not public: private (hint: see `http.allow_networks`)
    line 9: member `jobs` is not known; known are id, project, type, occurred_at, job, data, callback
    line 11: the event is longer than 262144 bytes
    published 2 of 10 events, refused 8
    ");
    assert_snapshot!(ran.stderr, @"
    note: there was no data directory `./ringback-data`, and an empty one was made
    note: nothing is sent until `ringback serve` runs on this data directory
    error: 8 events were refused
    ");
}

#[test]
fn what_cannot_be_carried_without_loss_is_refused_with_the_path_of_the_member() {
    let place = Place::new();
    place.write(
        "ringback.toml",
        "[projects.acme]\nprofile = \"modelhunter\"\n",
    );
    place.write(
        "event.json",
        r#"{"id":"evt_1","project":"acme","type":"task.completed","occurred_at":"2026-06-01T10:00:00Z",
            "job":{"id":"j","created_at":"2026-06-01T10:00:00Z","completed_at":"2026-06-01T10:00:00Z"},
            "data":{"provider":"p","model":"m","metadata":{"big":9007199254740993}}}"#,
    );
    let ran = place.run(["publish", "event.json", "--output", "json"]);
    assert_eq!(ran.code, 1);
    assert_snapshot!(ran.stdout, @r#"
    {
      "published": 0,
      "known_already": 0,
      "refused": [
        {
          "line": 1,
          "last_line": 3,
          "member": "data.task.metadata.big",
          "problem": "no body can be made of it under profile `modelhunter`: the body: `data.task.metadata.big`: number `9007199254740993` would become `9007199254740992` in JavaScript; send it as a string"
        }
      ]
    }
    "#);
}

#[test]
fn nothing_to_publish_is_a_mistake() {
    let place = Place::new();
    place.write("empty", "\n\n");
    let ran = place.run(["publish", "empty"]);
    assert_eq!(ran.code, 2);
    assert!(
        ran.stderr
            .ends_with("error: there was no event to publish\n"),
        "{}",
        ran.stderr
    );
}

#[test]
fn a_project_that_is_not_configured_is_told_wherever_a_list_is_of_one() {
    let place = Place::new();
    let commands: [&[&str]; 9] = [
        &["webhooks", "list"],
        &["deliveries", "list"],
        &["breakers", "list"],
        &["dead", "list"],
        &["dead", "groups"],
        &["dead", "export", "-"],
        &["dead", "discard", "--dry-run"],
        &["replays", "list"],
        &["keys", "list"],
    ];
    for command in commands {
        let asked = |project| place.run([command, &["--project", project]].concat());
        let told = asked("acmee").stderr;
        assert!(
            told.contains("note: project `acmee` is not configured"),
            "{command:?}: {told}"
        );
        let told = asked("default").stderr;
        assert!(!told.contains("note:"), "{command:?}: {told}");
    }
    let plan = ["replays", "plan", "--reason", "x", "--project", "acmee"];
    let told = place.run(plan).stderr;
    assert!(told.contains("is not configured"), "{told}");
}

#[test]
fn a_destination_that_nothing_is_known_of_is_told_wherever_a_list_is_of_one() {
    let place = Place::new();
    let webhook = place.json(&["webhooks", "add", "https://customer.example/"]);
    let commands: [&[&str]; 6] = [
        &["deliveries", "list"],
        &["dead", "list"],
        &["dead", "groups"],
        &["dead", "export", "-"],
        &["dead", "discard", "--dry-run"],
        &["replays", "plan", "--dry-run"],
    ];
    for command in commands {
        let asked = |id| place.run([command, &["--destination", id]].concat());
        for id in ["whk_nobody", "cbk_nothing"] {
            let told = asked(id).stderr;
            let note = format!("note: destination `{id}` is no webhook, and nothing is kept of it");
            assert!(told.contains(&note), "{command:?}: {told}");
        }
        let told = asked(webhook["id"].as_str().unwrap()).stderr;
        assert!(!told.contains("note:"), "{command:?}: {told}");
    }
}

#[test]
fn a_span_that_ends_before_it_begins_is_refused() {
    let place = Place::new();
    let commands: [&[&str]; 5] = [
        &["deliveries", "list"],
        &["dead", "list"],
        &["dead", "export", "-"],
        &["dead", "discard", "--dry-run"],
        &["replays", "plan", "--dry-run"],
    ];
    for command in commands {
        let ran = place.run([command, &["--since", "1h", "--until", "2h"]].concat());
        assert_eq!(ran.code, 2, "{command:?}: {}", ran.stderr);
        assert!(
            ran.stderr.contains("nothing lies between"),
            "{}",
            ran.stderr
        );
        let ran = place.run([command, &["--since", "2h", "--until", "1h"]].concat());
        assert_ne!(ran.code, 2, "{command:?}: {}", ran.stderr);
    }
}

#[test]
fn what_is_too_long_or_out_of_range_is_refused_with_the_limit() {
    let place = Place::new();
    let long = "d".repeat(1025);
    let url = "https://example.com/";
    let commands: [(&[&str], &str); 5] = [
        (
            &["webhooks", "add", url, "--description", &long],
            "it has 1025 characters; allowed: 1024",
        ),
        (
            &["webhooks", "disable", "whk_1", "--reason", &long],
            "it has 1025 characters; allowed: 1024",
        ),
        (
            &["keys", "create", "--operator", "--description", &long],
            "it has 1025 characters; allowed: 1024",
        ),
        (
            &["webhooks", "add", url, "--rate-limit", "0"],
            "write a whole number from 1 to 4294967295",
        ),
        (
            &["webhooks", "update", "whk_1", "--rate-limit", "4294967296"],
            "write a whole number from 1 to",
        ),
    ];
    for (command, told) in commands {
        let ran = place.run(command);
        assert_eq!(ran.code, 2, "{}", ran.stderr);
        assert!(ran.stderr.contains(told), "{}", ran.stderr);
    }
}

#[test]
fn a_data_directory_that_was_not_there_is_told() {
    let place = Place::new();
    let first = place.run(["dead", "list"]).stderr;
    assert!(
        first.starts_with("note: there was no data directory `"),
        "{first}"
    );
    assert!(
        first.ends_with("ringback-data`, and an empty one was made\n"),
        "{first}"
    );
    let second = place.run(["dead", "list"]);
    assert_eq!(
        (second.stdout.as_str(), second.stderr.as_str()),
        ("no dead letters\n", "")
    );
}
