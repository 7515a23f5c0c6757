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
    assert_eq!(config.broker, Broker::Embedded);
    assert_eq!(config.store, StoreAt::Embedded);
    assert_eq!(config.deliver.concurrency.get(), 512);
    assert_eq!(config.deliver.shutdown_grace, Duration::from_secs(35));
    assert_eq!(config.http.response_body_max, 16 * 1024);
    assert_eq!(
        config.dead_letters.retention,
        Duration::from_secs(30 * 24 * 3600)
    );
    assert_eq!(config.log.format, LogFormat::Human);
    let projects: Vec<_> = config
        .projects
        .iter()
        .map(|(name, project)| (name.as_str(), project.profile.as_str()))
        .collect();
    assert_eq!(projects, [("default", "standard")]);
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
        ("RINGBACK_PROJECTS__ACME__PROFILE", "modelhunter"),
        ("RINGBACK_TEST_REDIS_URL", "ignored"),
        ("HOME", "/root"),
    ];
    let config = load(text, &env).unwrap();
    assert_eq!(config.prefix, "file");
    assert_eq!(config.deliver.concurrency.get(), 64);
    assert!(config.http.require_https);
    let networks: Vec<_> = config
        .http
        .allow_networks
        .iter()
        .map(ToString::to_string)
        .collect();
    assert_eq!(networks, ["127.0.0.1/32", "192.168.0.0/16"]);
    assert_eq!(config.projects.len(), 2);

    let flag = Flag {
        name: "--prefix",
        member: "prefix",
        value: "flag".to_owned(),
    };
    let env = [("RINGBACK_PREFIX".to_owned(), "variable".to_owned())];
    let config = Config::load_with_flags(None, env, &[flag]).unwrap();
    assert_eq!(config.prefix, "flag");
}

#[test]
fn a_secret_can_be_read_from_a_file() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("broker");
    std::fs::write(&file, "amqp://u:p@rabbit/v\n").unwrap();
    let config = load("", &[("RINGBACK_BROKER_FILE", file.to_str().unwrap())]).unwrap();
    assert_eq!(config.broker.describe(), "RabbitMQ at rabbit");

    let missing = faults("", &[("RINGBACK_BROKER_FILE", "/nowhere/at/all")]);
    assert_snapshot!(missing, @"");
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
proxy = "user:hunter2@proxy"
ca_file = "nowhere.pem"
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
    ]), @"");
}

#[test]
fn text_that_is_no_toml_is_told_by_line() {
    assert_snapshot!(faults("broker = \n[api\nlisten = 'x", &[]), @"");
}

#[test]
fn members_that_contradict_each_other_are_faults() {
    let text = "store = \"redis://r\"\n[deliver]\nconcurrency = 8\nslow_concurrency = 200\n[queue]\ndeliveries_window = 4";
    assert_snapshot!(faults(text, &[]), @"");
}

#[test]
fn a_named_file_that_is_not_there_is_a_fault() {
    let error = Config::load(Some(std::path::Path::new("no-such.toml")), []).unwrap_err();
    assert_snapshot!(error, @"");
}

#[test]
fn no_secret_is_shown() {
    let key = format!("k1:{}", "QUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUE=");
    let text = format!(
        "broker = \"amqp://u:hunter2@a,b\"\nstore = \"redis://:hunter2@r\"\n[http]\nproxy = \"http://u:hunter2@p:3128\"\n[secrets]\nkeys = [\"{key}\"]"
    );
    let shown = format!("{:?}", load(&text, &[]).unwrap());
    assert!(
        !shown.contains("hunter2") && !shown.contains("QUFB"),
        "{shown}"
    );
}
