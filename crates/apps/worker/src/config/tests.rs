use super::*;
use insta::assert_snapshot;

/// Loads a text, as a file would be, and variables.
fn load(text: &str, env: &[(&str, &str)]) -> Result<Config, ConfigError> {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("ringback.toml");
    std::fs::write(&file, text).unwrap();
    let env = env
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    Config::load(Some(&file), env)
}

/// The faults, a line each, without the directory of the file.
fn faults(text: &str, env: &[(&str, &str)]) -> String {
    let error = load(text, env).expect_err("faulty");
    let lines = error.faults.iter().map(ToString::to_string);
    let lines = lines.map(|line| match line.find("ringback.toml:") {
        Some(at) => line[at..].to_owned(),
        None => line,
    });
    lines.collect::<Vec<_>>().join("\n")
}

#[test]
fn nothing_said_is_the_default() {
    let config = load("", &[]).unwrap();
    assert!(matches!(config.broker, Broker::Embedded));
    assert_eq!(config.store, StoreAt::Embedded);
    assert_eq!(config.deliver.concurrency.get(), 512);
    assert_eq!(config.deliver.shutdown_grace, Duration::from_secs(35));
    assert_eq!(config.http.response_body_max, 16 * 1024);
    assert_eq!(config.dead_letters.retention, Duration::from_hours(30 * 24));
    assert_eq!(config.log.format, LogFormat::Human);
    let projects: Vec<_> = config
        .projects
        .iter()
        .map(|(name, project)| (name.as_str(), project.profile.as_str()))
        .collect();
    assert_eq!(projects, [("default", "standard")]);
}

#[test]
fn a_rate_beside_events_is_of_each_processor_and_none_is_without_bound() {
    let rate_of = |text: &str| {
        let settings = load(text, &[]).unwrap().service_settings([]);
        settings.beside_events_per_second.map(NonZeroU32::get)
    };
    let processors = std::thread::available_parallelism().unwrap().get();
    let of_each = |many: usize| u32::try_from(many * processors).ok();
    assert_eq!(rate_of(""), of_each(500));
    assert_eq!(rate_of("deliver.beside_events_per_second = 7"), of_each(7));
    assert_eq!(rate_of("deliver.beside_events_per_second = 0"), None);
}

#[test]
fn the_default_as_a_file_is_the_default() {
    let config = load(DEFAULT_TOML, &[]).unwrap();
    let nothing = load("", &[]).unwrap();
    assert_eq!(
        format!(
            "{:?}",
            Config {
                file: None,
                data_dir: PathBuf::new(),
                ..config
            }
        ),
        format!(
            "{:?}",
            Config {
                file: None,
                data_dir: PathBuf::new(),
                ..nothing
            }
        )
    );
}

#[test]
fn a_variable_stands_above_the_file_and_a_flag_above_both() {
    let text =
        "prefix = \"file\"\n[deliver]\nconcurrency = 32\n[http]\nallow_networks = [\"10.0.0.0/8\"]";
    let env = [
        ("RINGBACK_DELIVER__CONCURRENCY", "64"),
        ("RINGBACK_HTTP__REQUIRE_HTTPS", "true"),
        ("RINGBACK_HTTP__ALLOW_NETWORKS", "127.0.0.1, 192.168.0.0/16"),
        (
            "RINGBACK_HTTP__DENY_NETWORKS",
            "192.168.7.0/24, 2606:4700::/32",
        ),
        ("RINGBACK_PROJECTS__ACME__PROFILE", "modelhunter"),
        ("RINGBACK_TEST_REDIS_URL", "ignored"),
        ("HOME", "/root"),
    ];
    let config = load(text, &env).unwrap();
    assert_eq!(config.prefix.as_str(), "file");
    assert_eq!(config.deliver.concurrency.get(), 64);
    assert!(config.http.require_https);
    assert_eq!(
        config.http.allow_networks,
        [
            "127.0.0.1".parse().unwrap(),
            "192.168.0.0/16".parse().unwrap()
        ]
    );
    let addresses = config.http.url_policy().addresses;
    for (address, is_open) in [
        ("192.168.6.1:443", true),
        ("192.168.7.1:443", false),
        ("[2606:4700::1]:443", false),
        ("[2606:4701::1]:443", true),
    ] {
        let judged = addresses.check(address.parse().unwrap());
        assert_eq!(judged.is_ok(), is_open, "{address}");
    }
    assert_eq!(config.projects.len(), 2);

    let flag = Flag {
        name: "--prefix",
        member: "prefix",
        value: "flag".to_owned(),
    };
    let env = [("RINGBACK_PREFIX".to_owned(), "variable".to_owned())];
    let config = Config::load_with_flags(None, env, &[flag]).unwrap();
    assert_eq!(config.prefix.as_str(), "flag");
}

#[test]
fn a_secret_can_be_read_from_a_file() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("broker");
    std::fs::write(&file, "amqps://u:p@rabbit/v\n").unwrap();
    let config = load("", &[("RINGBACK_BROKER_FILE", file.to_str().unwrap())]).unwrap();
    assert_eq!(config.broker.describe(), "RabbitMQ at rabbit");

    let missing = faults("", &[("RINGBACK_BROKER_FILE", "/nowhere/at/all")]);
    assert_snapshot!(missing, @"RINGBACK_BROKER_FILE: broker: could not read `/nowhere/at/all`: No such file or directory (os error 2)");
}

#[test]
fn a_file_with_projects_of_its_own_has_no_default_project() {
    let config = load("[projects.acme]\nprofile = \"hinto\"", &[]).unwrap();
    assert_eq!(
        config
            .projects
            .keys()
            .map(ProjectName::as_str)
            .collect::<Vec<_>>(),
        ["acme"]
    );
}

#[test]
fn paths_in_a_file_start_from_its_directory() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("my.toml");
    std::fs::write(&file, "data_dir = \"data\"").unwrap();
    let config = Config::load(Some(&file), []).unwrap();
    assert_eq!(config.data_dir, directory.path().join("data"));
    let env = [("RINGBACK_DATA_DIR".to_owned(), "here".to_owned())];
    assert_eq!(
        Config::load(Some(&file), env).unwrap().data_dir,
        PathBuf::from("here")
    );
}

#[test]
fn every_fault_is_told_at_once_with_its_line() {
    let text = r#"
broker = "amqp://user:hunter2@"
store = 3
colour = "red"

[deliver]
concurency = 12
concurrency = 0
lease_margin = "soon"
shutdown_grace = 35
per_destination_concurrency = 1.5

[http]
response_body_max = "1GiB"
allow_networks = ["10.0.0.0/8", "nonsense", "300.0.0.0/8"]
deny_networks = ["10.0.0.0/8:80"]
proxy = "user:hunter2@proxy"
ca_file = "/nowhere.pem"
require_https = "perhaps"

[secrets]
keys = ["k1:c2hvcnQ="]

[api]
listen = "localhost"

[log]
format = "xml"
level = "loud=very"

[projects.acme]
profile = "modelhunted"
colour = "red"
[projects.Acme]
profile = "hinto"
[projects.none]
[projects]
flat = "standard"
"#;
    assert_snapshot!(faults(text, &[
        ("RINGBACK_DELIVER__SLOW_CONCURRENCY", "many"),
        ("RINGBACK_DELIVRE__CONCURRENCY", "3"),
        ("RINGBACK_PREFIX__X", "3"),
        ("RINGBACK_QUEUE__SLOW_WINDOW", "0"),
    ]), @"
    RINGBACK_PREFIX__X: prefix.x: there is no such member (hint: `ringback config default` shows all members)
    ringback.toml:2: broker: a host is missing
    ringback.toml:3: store: a number stands where a text is expected
    ringback.toml:25: api.listen: `localhost` is not an address and a port such as `127.0.0.1:8080`
    RINGBACK_QUEUE__SLOW_WINDOW: queue.slow_window: `0` is out of range; allowed: 1 to 65535
    ringback.toml:8: deliver.concurrency: `0` is out of range; allowed: 1 to 65535
    ringback.toml:11: deliver.per_destination_concurrency: a number with a fraction stands where a whole number is expected
    RINGBACK_DELIVER__SLOW_CONCURRENCY: deliver.slow_concurrency: `many` is not a whole number
    ringback.toml:9: deliver.lease_margin: `soon` is not a wait; write `500ms`, `30s`, `5m`, `2h` or `1d`
    ringback.toml:10: deliver.shutdown_grace: `35` has no unit; write a wait such as `30s`
    ringback.toml:7: deliver.concurency: there is no such member (hint: did you mean `concurrency`?)
    ringback.toml:14: http.response_body_max: `1GiB` is out of range; allowed: 1KiB to 1MiB
    ringback.toml:15: http.allow_networks: `nonsense` is not a network such as `10.20.0.0/16`, `127.0.0.1/32:8080` or `[fd00::/8]:443`; `300.0.0.0/8` is not a network such as `10.20.0.0/16`, `127.0.0.1/32:8080` or `[fd00::/8]:443`
    ringback.toml:16: http.deny_networks: `10.0.0.0/8:80` is not a network such as `198.51.100.0/24` or `2001:db8::1`
    ringback.toml:19: http.require_https: `perhaps` is neither true nor false
    ringback.toml:17: http.proxy: the proxy is not a URL such as `http://proxy:3128`
    ringback.toml:28: log.format: `xml` is not a format; allowed: `human` and `json`
    ringback.toml:29: log.level: `loud=very` is not a level: write `info`, or by part `info,ringback_delivery=debug`
    ringback.toml:4: colour: there is no such member (hint: known here: broker, store, data_dir, prefix, api, queue, deliver, http, rabbitmq, redis, deliveries, dead_letters, idempotency, secrets, log, telemetry, projects, profiles)
    RINGBACK_DELIVRE__CONCURRENCY: delivre: there is no such member (hint: did you mean `deliver`?)
    ringback.toml:34: projects.Acme: project `Acme` is not accepted: 1 to 64 lower-case letters, digits, `_` or `-`
    ringback.toml:33: projects.acme.colour: there is no such member (hint: known here: profile)
    ringback.toml:32: projects.acme.profile: there is no profile `modelhunted`; known: github, hinto, hooked, modelhunter, standard, videopilot
    ringback.toml:38: projects.flat: a text stands where a table is expected
    ringback.toml:36: projects.none: the project has no profile (hint: `ringback profiles list` shows those built in)
    ringback.toml:22: secrets.keys: key `k1` is not 32 bytes in base64
    ringback.toml:18: http.ca_file: there is no file `/nowhere.pem`
    ");
}

#[test]
fn text_that_is_no_toml_is_told_by_line() {
    assert_snapshot!(faults("broker = \n[api\nlisten = 'x", &[]), @"
    ringback.toml:2: unclosed table, expected `]`
    ringback.toml:1: string values must be quoted, expected literal string
    ");
}

#[test]
fn members_that_contradict_each_other_are_faults() {
    let text = "store = \"rediss://r\"\n[deliver]\nconcurrency = 8\nslow_concurrency = 200\n[queue]\ndeliveries_window = 4";
    assert_snapshot!(faults(text, &[]), @"
    built-in default: secrets.keys: there is no key, and one can be generated for the embedded store only (hint: make one with `ringback config new-key`, the same for every worker)
    ringback.toml:6: queue.deliveries_window: `queue.deliveries_window` (`4`) is less than `deliver.concurrency` (`8`), which would never be reached
    ringback.toml:4: deliver.slow_concurrency: `queue.slow_window` (`128`) is less than `deliver.slow_concurrency` (`200`), which would never be reached
    ");
}

#[test]
fn another_machine_is_reached_by_tls_and_as_oneself_unless_told_otherwise() {
    let key = "[secrets]\nkeys = [\"k1:QUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUE=\"]\n";
    let far = format!(
        "broker = \"amqp://far,amqps://guest:x@far\"\nstore = \"redis://:hunter2@127.0.0.1,far:1\"\n{key}"
    )
    .replace("redis:", "redis+cluster:");
    assert_snapshot!(faults(&far, &[]), @"
    ringback.toml:1: broker: `far:5672` is on another machine and logged in to as `guest`, whose password everybody knows (hint: make a user of your own, as docs/deployment.md shows under RabbitMQ; or set `rabbitmq.allow_guest`)
    ringback.toml:1: broker: `far:5672` is on another machine and spoken to in plain text: its password and every event can be read on the way (hint: use amqps://; or set `rabbitmq.allow_plaintext` where the network between is yours alone)
    ringback.toml:1: broker: `far:5671` is on another machine and logged in to as `guest`, whose password everybody knows (hint: make a user of your own, as docs/deployment.md shows under RabbitMQ; or set `rabbitmq.allow_guest`)
    ringback.toml:2: store: `far:1` is on another machine and spoken to in plain text: its password and every dead letter can be read on the way (hint: use rediss://; or set `redis.allow_plaintext` where the network between is yours alone)
    ");
    let told = format!(
        "{far}[rabbitmq]\nallow_plaintext = true\nallow_guest = true\n[redis]\nallow_plaintext = true"
    );
    load(&told, &[]).unwrap();
    let near = format!("broker = \"amqp://127.0.0.1\"\nstore = \"redis://localhost\"\n{key}");
    load(&near, &[]).unwrap();
}

#[test]
fn a_named_file_that_is_not_there_is_a_fault() {
    let error = Config::load(Some(std::path::Path::new("no-such.toml")), []).unwrap_err();
    assert_snapshot!(error, @"
    the configuration has a fault
      no-such.toml: could not be read: No such file or directory (os error 2)
    ");
}

#[test]
fn a_profile_is_written_here_or_in_a_file_and_its_faults_have_lines() {
    let standard = ringback_profile::Profile::builtin_source("standard").unwrap();
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("mine.toml"), standard).unwrap();
    std::fs::write(directory.path().join("broken.toml"), "\ncolour = \"red\"").unwrap();
    let load = |text: &str| {
        let file = directory.path().join("ringback.toml");
        std::fs::write(&file, text).unwrap();
        Config::load(Some(&file), [])
    };
    let config =
        load("[profiles.mine]\nfile = \"mine.toml\"\n[projects.acme]\nprofile = \"mine\"").unwrap();
    assert_eq!(config.profiles[&"mine".parse().unwrap()].source(), standard);

    let error = load("[profiles.broken]\nfile = \"broken.toml\"\n[profiles.inline]\ncolour = \"red\"\n[profiles.both]\nfile = \"mine.toml\"\nx = 1\n[profiles.lost]\nfile = \"lost.toml\"").unwrap_err();
    let shown = error
        .to_string()
        .replace(&format!("{}/", directory.path().display()), "");
    assert_snapshot!(shown, @r#"
    the configuration has 10 faults
      ringback.toml:7: profiles.both.x: a profile is written here or in its file, not both (hint: known here: file)
      broken.toml:1: body: is missing; write a filter that makes the body of the event, such as `'{id, type, data}'`
      broken.toml:1: retry: is missing; write a table, or `retry = "none"` to try once
      broken.toml:1: signature: is missing; write a table, or `signature = "none"` to send unsigned
      broken.toml:2: colour: there is no such member; known here: `description`, `event_types`, `payload_age_max`, `webhook`, `callback`, `body`, `body_form`, `headers`, `diagnostic_headers`, `signature`, `secret_required`, `success`, `refused_for_good`, `gone_disables`, `time_limit`, `on_unknown`, `retry`
      ringback.toml:3: profiles.inline.body: is missing; write a filter that makes the body of the event, such as `'{id, type, data}'`
      ringback.toml:4: profiles.inline.colour: there is no such member; known here: `description`, `event_types`, `payload_age_max`, `webhook`, `callback`, `body`, `body_form`, `headers`, `diagnostic_headers`, `signature`, `secret_required`, `success`, `refused_for_good`, `gone_disables`, `time_limit`, `on_unknown`, `retry`
      ringback.toml:3: profiles.inline.retry: is missing; write a table, or `retry = "none"` to try once
      ringback.toml:3: profiles.inline.signature: is missing; write a table, or `signature = "none"` to send unsigned
      ringback.toml:9: profiles.lost.file: could not read `lost.toml`: No such file or directory (os error 2)
    "#);
}

#[test]
fn every_edge_gets_its_settings() {
    let key = "k1:QUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUE=";
    let text = format!(
        "broker = \"amqps://u:p@a,b/v\"\nstore = \"rediss://r\"\nprefix = \"p\"\n[secrets]\nkeys = [\"{key}\"]\n[idempotency]\nwindow = \"2h\"\n[http]\nconnect_timeout = \"1s\""
    );
    let config = load(&text, &[]).unwrap();
    assert_eq!(config.broker.describe(), "RabbitMQ at a,b");
    assert_eq!(config.rabbit_config().prefix.as_str(), "p");
    let StoreAt::Redis(url) = &config.store else {
        panic!("a Redis was given")
    };
    let redis = config.redis_settings(url.secret()).unwrap();
    assert_eq!(
        (redis.prefix.as_str(), redis.idempotency_window),
        ("p", Duration::from_hours(2))
    );
    assert_eq!(
        config.http_config().unwrap().lookup_timeout,
        Duration::from_secs(1)
    );
    assert_eq!(
        config.embedded_settings().idempotency_window,
        Duration::from_hours(2)
    );
}

#[test]
fn no_secret_is_shown() {
    let key = format!("k1:{}", "QUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUE=");
    let text = format!(
        "broker = \"amqps://u:hunter2@a,b\"\nstore = \"rediss://:hunter2@r\"\n[http]\nproxy = \"http://u:hunter2@p:3128\"\n[secrets]\nkeys = [\"{key}\"]"
    );
    let shown = format!("{:?}", load(&text, &[]).unwrap());
    assert!(
        !shown.contains("hunter2") && !shown.contains("QUFB"),
        "{shown}"
    );
}
