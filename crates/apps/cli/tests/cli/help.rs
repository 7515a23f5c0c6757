use crate::place::Place;
use insta::assert_snapshot;

#[test]
fn nothing_asked_is_answered_with_help_and_exit_code_2() {
    let ran = Place::new().run::<&str>([]);
    assert_eq!((ran.code, ran.stdout.as_str()), (2, ""));
    assert_snapshot!(ran.stderr, @"
    Delivers job events as signed webhooks: retried on a schedule, kept when they cannot be delivered,
    replayed when asked

    Usage: ringback [OPTIONS] <COMMAND>

    Commands:
      demo               Shows the whole story in one terminal, in under a minute
      bench              Measures throughput, latency and cost, on servers of its own
      drill              Makes everything fail, on servers of its own, and counts what was lost
      serve              Runs the long-running roles until told to stop
      publish            Publishes events and waits until they are safe
      listen             Receives webhooks on this machine, verifies and shows them
      webhooks           Registered destinations of a project
      deliveries         Events on their way to one destination each
      breakers           Destinations that are spared because they kept failing
      dead               Deliveries given up
      keys               Keys to the HTTP API
      replays            Plans to send many dead letters again
      topology           Exchanges and queues of the broker
      profiles           What platforms promise their receivers
      config             The configuration
      explain-signature  Says why a signature does not match, without asking anyone
      doctor             Checks configuration, broker and store against the promises
      completions        Prints a completion script
      man                Writes the manual pages
      help               Print this message or the help of the given subcommand(s)

    Options:
      -h, --help     Print help (see more with '--help')
      -V, --version  Print version

    Options everywhere:
          --config <FILE>  The configuration [default: $RINGBACK_CONFIG, else ./ringback.toml where
                           there is one]
      -o, --output <FORM>  How data is printed [default: table] [possible values: table, json]
      -y, --yes            Does what is asked without asking back
          --color <WHEN>   When to use colours; `NO_COLOR` is respected [default: auto] [possible
                           values: auto, always, never]
      -v, --verbose...     Says more of what happens; twice for details

    Exit codes: 0 done, 1 failed, 2 usage, 3 not found, 4 refused by policy, 5 broker or store
    unreachable.
    Begin with `ringback demo`.
    ");
}

#[test]
fn profiles_are_listed_with_what_they_promise() {
    let ran = Place::new().run(["profiles", "list"]);
    assert_eq!((ran.code, ran.stderr.as_str()), (0, ""));
    assert_snapshot!(ran.stdout, @"
    PROFILE      FOR       SIGNATURE               SUCCESS  RETRIES AFTER
    github       webhook   X-Hub-Signature-256     2xx      30s 2m 8m 32m 2h8m 6h 6h 6h
    github       callback  X-Hub-Signature-256     2xx      30s 2m 8m 32m 2h8m 6h 6h 6h
    hinto        webhook   unsigned                2xx      1m 5m 30m
    hinto        callback  X-Hinto-Signature       2xx      1m 5m 30m
    hooked       webhook   unsigned                200      1m 5m 15m
    hooked       callback  unsigned                200      1m 5m 15m
    modelhunter  webhook   X-Webhook-Signature     2xx      1m 5m 30m
    modelhunter  callback  unsigned                2xx      none
    standard     webhook   webhook-signature       2xx      5s 5m 30m 2h 5h 10h 14h 20h 1d
    standard     callback  webhook-signature       2xx      5s 5m 30m 2h 5h 10h 14h 20h 1d
    videopilot   webhook   X-VideoPilot-Signature  200      1m 5m 25m
    videopilot   callback  X-VideoPilot-Signature  200      1m 5m 25m
    ");
}

#[test]
fn a_profile_is_shown_as_it_is_written() {
    let place = Place::new();
    let ran = place.run(["profiles", "show", "hooked"]);
    assert_eq!(ran.code, 0);
    place.write("hooked.toml", &ran.stdout);
    let checked = place.run(["profiles", "check", "hooked.toml"]);
    assert_eq!(
        (checked.code, checked.stdout.as_str()),
        (0, "hooked.toml: no fault\n")
    );
}

#[test]
fn the_default_configuration_is_a_configuration() {
    let place = Place::new();
    let ran = place.run(["config", "default"]);
    place.write("ringback.toml", &ran.stdout);
    let checked = place.run(["config", "check"]);
    assert_eq!(
        (checked.code, checked.stdout.as_str()),
        (0, "ringback.toml: no fault\n")
    );
}

#[test]
fn a_check_names_the_file_that_has_the_faults() {
    let place = Place::new();
    place.write("ringback.toml", "[api]\nlisten = 1\n");
    place.write("broken.toml", "[api\n");
    for (arguments, file) in [
        (
            ["config", "check", "-o", "json"].as_slice(),
            "ringback.toml",
        ),
        (
            &["config", "check", "-o", "json", "--config", "broken.toml"],
            "broken.toml",
        ),
    ] {
        let ran = place.run(arguments);
        let checked: serde_json::Value = serde_json::from_str(&ran.stdout).unwrap();
        assert_eq!(checked["file"], file, "{}", ran.stdout);
        assert_eq!(checked["faults"][0]["place"], file);
    }
}

#[test]
fn a_new_key_is_accepted() {
    let place = Place::new();
    let key = place.json(&["config", "new-key", "k2"])["key"]
        .as_str()
        .unwrap()
        .to_owned();
    assert!(key.starts_with("k2:"));
    let checked = place
        .with("RINGBACK_SECRETS__KEYS", key)
        .run(["config", "check"]);
    assert_eq!(checked.code, 0, "{}", checked.stdout);
}

#[test]
fn completions_and_manual_pages_know_every_command() {
    let place = Place::new();
    for shell in ["bash", "zsh", "fish"] {
        let script = place.run(["completions", shell]).stdout;
        assert!(script.contains("rotate-secret"), "{shell}");
    }
    assert_eq!(place.run(["man", "pages"]).code, 0);
    let page = std::fs::read_to_string(place.path("pages/ringback-webhooks-add.1")).unwrap();
    assert!(page.contains("Registers a destination"));
    let pages = std::fs::read_dir(place.path("pages")).unwrap();
    let of_help: Vec<_> = pages
        .map(|page| page.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.contains("-help"))
        .collect();
    assert!(of_help.is_empty(), "{of_help:?}");
    assert!(!page.contains("ringback\\-webhooks\\-help"), "{page}");
}

#[test]
fn colours_are_for_those_who_want_them() {
    let place = Place::new();
    let error = |color: &str| {
        place
            .run(["profiles", "show", "nope", "--color", color])
            .stderr
    };
    assert!(error("always").contains('\u{1b}'));
    assert!(!error("auto").contains('\u{1b}'), "no terminal, no colours");
    assert!(!error("never").contains('\u{1b}'));
}
