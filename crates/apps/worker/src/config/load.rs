//! From the file, the variables and the default to a checked [`Config`].

use super::{
    Api, Broker, Config, ConfigError, ConfigFault, DEFAULT_TOML, DeadLetters, Deliver, Deliveries,
    Http, Idempotency, Log, LogFormat, Place, Project, Proxy, RabbitMq, Redis, Secrets, StoreAt,
    TelemetryMembers, Windows,
    profiles::{Profiles, read_profiles},
    read::{Section, duration, list, number, optional, shorten, size, text, unknown, yes_or_no},
    server::{self, ServerUrl},
    tree::{self, Table, Value},
};
use ringback_domain::{ProfileName, ProjectName};
use ringback_queue_rabbitmq::{BrokerUrlError, Exposure, Prefix};
use ringback_sender_http::{AllowedNetworkError, DeniedNetworkError};
use ringback_signing::{KeyRing, KeyRingError};
use secrecy::{ExposeSecret, SecretString};
use std::{
    collections::BTreeMap,
    net::SocketAddr,
    num::{NonZeroU16, NonZeroU32, NonZeroUsize},
    path::{Path, PathBuf},
    time::Duration,
};
use url::Url;

/// What every variable begins with.
const VARIABLE_PREFIX: &str = "RINGBACK_";
/// Variables that begin so and are no members: the file's name, and what tests are told.
const VARIABLES_APART: &[&str] = &[
    "RINGBACK_CONFIG",
    "RINGBACK_TEST_",
    #[cfg(debug_assertions)]
    crate::fault_points::VARIABLE,
    #[cfg(debug_assertions)]
    crate::sabotage::VARIABLE,
];
/// The members that may be read from a file by `…_FILE`.
const SECRET_MEMBERS: [&str; 4] = ["broker", "store", "http.proxy", "secrets.keys"];
/// The file that is read when none is named.
const FILE_BY_DEFAULT: &str = "ringback.toml";

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_mins(1);
const HOUR: Duration = Duration::from_hours(1);
const DAY: Duration = Duration::from_hours(24);

/// A member given on the command line; stands above the file and the variables.
#[derive(Clone)]
pub struct Flag {
    /// As the user wrote it: `--broker`.
    pub name: &'static str,
    /// The member it stands for: `broker`.
    pub member: &'static str,
    /// Its value.
    pub value: String,
}

impl Config {
    /// Reads the file (the one named, else that of `RINGBACK_CONFIG`, else `./ringback.toml` where there is one), lays
    /// the variables over it, and checks everything.
    ///
    /// # Errors
    ///
    /// Every fault that was found, each with its place.
    pub fn load(
        path: Option<&Path>,
        env: impl IntoIterator<Item = (String, String)>,
    ) -> Result<Self, ConfigError> {
        Self::load_with_flags(path, env, &[])
    }

    /// The same, with members given on the command line above all else.
    ///
    /// # Errors
    ///
    /// Every fault that was found, each with its place.
    pub fn load_with_flags(
        path: Option<&Path>,
        env: impl IntoIterator<Item = (String, String)>,
        flags: &[Flag],
    ) -> Result<Self, ConfigError> {
        let mut faults = Vec::new();
        let mut env: Vec<_> = env
            .into_iter()
            .filter(|(name, _)| name.starts_with(VARIABLE_PREFIX))
            .collect();
        env.sort_unstable();
        let file = file_to_read(path, &env);
        let written = file
            .as_deref()
            .map_or_else(Table::new, |file| read_file(file, &mut faults));

        if !faults.is_empty() {
            // What follows would speak of members that were only misread.
            return Err(ConfigError { file, faults });
        }

        let defaults = tree::of_toml(DEFAULT_TOML, None, &mut faults);
        let mut table = defaults.clone();
        if written.contains_key("projects") {
            table.remove("projects");
        }
        tree::lay_over(&mut table, written);
        lay_variables_over(&mut table, &env, &mut faults);
        for flag in flags {
            set(
                &mut table,
                flag.member,
                flag.value.clone(),
                &Place::Flag(flag.name.to_owned()),
                &mut faults,
            );
        }

        let config = read_config(file.clone(), table, &defaults, &mut faults);
        if faults.is_empty() {
            Ok(config)
        } else {
            Err(ConfigError { file, faults })
        }
    }
}

fn file_to_read(path: Option<&Path>, env: &[(String, String)]) -> Option<PathBuf> {
    let by_variable = || {
        let (_, file) = env.iter().find(|(name, _)| name == "RINGBACK_CONFIG")?;
        (!file.is_empty()).then(|| PathBuf::from(file))
    };
    let by_default = || Some(PathBuf::from(FILE_BY_DEFAULT)).filter(|file| file.exists());
    path.map(Path::to_owned)
        .or_else(by_variable)
        .or_else(by_default)
}

fn read_file(file: &Path, faults: &mut Vec<ConfigFault>) -> Table {
    match std::fs::read_to_string(file) {
        Ok(text) => tree::of_toml(&text, Some(file), faults),
        Err(failure) => {
            faults.push(ConfigFault {
                place: Place::File(file.to_owned()),
                member: String::new(),
                problem: format!("could not be read: {failure}"),
                hint: None,
            });
            Table::new()
        }
    }
}

fn lay_variables_over(table: &mut Table, env: &[(String, String)], faults: &mut Vec<ConfigFault>) {
    for (name, value) in env {
        if VARIABLES_APART.iter().any(|apart| name.starts_with(apart)) {
            continue;
        }
        let place = Place::Variable(name.clone());
        let member = name[VARIABLE_PREFIX.len()..]
            .to_lowercase()
            .replace("__", ".");
        let secret = member
            .strip_suffix("_file")
            .filter(|member| SECRET_MEMBERS.contains(member));
        match secret.map(|member| (member, std::fs::read_to_string(value))) {
            None => set(table, &member, value.clone(), &place, faults),
            Some((member, Ok(text))) => {
                set(table, member, text.trim_end().to_owned(), &place, faults);
            }
            Some((member, Err(failure))) => faults.push(ConfigFault {
                place,
                member: member.to_owned(),
                problem: format!("could not read `{}`: {failure}", shorten(value)),
                hint: None,
            }),
        }
    }
}

fn set(
    table: &mut Table,
    member: &str,
    text: String,
    place: &Place,
    faults: &mut Vec<ConfigFault>,
) {
    let path: Vec<String> = member.split('.').map(str::to_owned).collect();
    if !tree::set(table, &path, text, place) {
        faults.push(ConfigFault {
            place: place.clone(),
            member: member.to_owned(),
            problem: "there is no such member".to_owned(),
            hint: Some("`ringback config default` shows all members".to_owned()),
        });
    }
}

fn read_config(
    file: Option<PathBuf>,
    table: Table,
    defaults: &Table,
    faults: &mut Vec<ConfigFault>,
) -> Config {
    let places = PlacesOf::of(&table);
    let mut top = Section::top(table, defaults, faults);
    let mut config = Config {
        file,
        broker: top.member("broker", text(broker)),
        store: top.member("store", text(store)),
        data_dir: top.path("data_dir", text(path)),
        prefix: top.member("prefix", text(prefix)),
        api: read_api(top.section("api")),
        queue: read_windows(top.section("queue")),
        deliver: read_deliver(top.section("deliver")),
        http: read_http(top.section("http")),
        rabbitmq: read_rabbitmq(top.section("rabbitmq")),
        redis: read_redis(top.section("redis")),
        deliveries: read_deliveries(top.section("deliveries")),
        dead_letters: read_dead_letters(top.section("dead_letters")),
        idempotency: read_idempotency(top.section("idempotency")),
        secrets: read_secrets(top.section("secrets")),
        log: read_log(top.section("log")),
        telemetry: read_telemetry(top.section("telemetry")),
        projects: BTreeMap::new(),
        profiles: Profiles::default(),
    };
    let projects = top.named_entries("projects");
    let profiles = top.named_entries("profiles");
    top.end();
    config.profiles = read_profiles(profiles, faults);
    config.projects = read_projects(projects, &config.profiles, faults);
    check_together(&config, &places, faults);
    config
}

fn read_api(mut section: Section<'_>) -> Api {
    let api = Api {
        listen: section.member("listen", text(listen)),
        hosts: section.member("hosts", list(host)),
    };
    section.end();
    api
}

fn listen(text: &str) -> Result<SocketAddr, String> {
    text.trim().parse().map_err(|_| {
        format!(
            "`{}` is not an address and a port such as `127.0.0.1:8080`",
            shorten(text)
        )
    })
}

/// A name as it stands in the `Host` header, without the port.
fn host(text: &str) -> Result<String, String> {
    let is_part = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_');
    if text.is_empty() || !text.bytes().all(is_part) {
        return Err(format!(
            "`{}` is not a host name such as `ringback.example.com`",
            shorten(text)
        ));
    }
    Ok(text.to_ascii_lowercase())
}

fn read_windows(mut section: Section<'_>) -> Windows {
    let windows = Windows {
        events: section.member("events_window", number(1..=65_535)),
        deliveries: section.member("deliveries_window", number(1..=65_535)),
        slow: section.member("slow_window", number(1..=65_535)),
    };
    section.end();
    windows
}

fn read_deliver(mut section: Section<'_>) -> Deliver {
    let deliver = Deliver {
        concurrency: section.member("concurrency", count),
        per_destination_concurrency: section.member("per_destination_concurrency", count),
        slow_concurrency: section.member("slow_concurrency", count),
        beside_events_per_second: section.member("beside_events_per_second", |value: &Value| {
            number::<u32>(0..=1_000_000)(value).map(NonZeroU32::new)
        }),
        lease_margin: section.member("lease_margin", duration(SECOND..=HOUR)),
        breaker_failures: section.member("breaker_failures", |value: &Value| {
            number::<u32>(0..=1_000_000)(value).map(NonZeroU32::new)
        }),
        breaker_probe_first: section.member("breaker_probe_first", duration(SECOND..=HOUR)),
        breaker_probe_max: section.member("breaker_probe_max", duration(SECOND..=HOUR)),
        shutdown_grace: section.member("shutdown_grace", duration(Duration::ZERO..=HOUR)),
    };
    section.end();
    deliver
}

fn read_http(mut section: Section<'_>) -> Http {
    let allowed = |text: &str| {
        text.parse()
            .map_err(|refused: AllowedNetworkError| refused.to_string())
    };
    let denied = |text: &str| {
        text.parse()
            .map_err(|refused: DeniedNetworkError| refused.to_string())
    };
    let http = Http {
        connect_timeout: section.member(
            "connect_timeout",
            duration(Duration::from_millis(100)..=2 * MINUTE),
        ),
        response_body_max: section.member("response_body_max", size(1024..=1024 * 1024)),
        allow_networks: section.member("allow_networks", list(allowed)),
        deny_networks: section.member("deny_networks", list(denied)),
        require_https: section.member("require_https", yes_or_no),
        proxy: section.member("proxy", optional(proxy)),
        ca_file: section.path("ca_file", optional(path)),
    };
    section.end();
    http
}

fn read_rabbitmq(mut section: Section<'_>) -> RabbitMq {
    let delivery_limit = |value: &Value| {
        let limit = number::<u16>(1..=65_535)(value)?;
        NonZeroU16::new(limit).ok_or_else(|| "`0` is out of range; allowed: 1 to 65535".to_owned())
    };
    let rabbitmq = RabbitMq {
        delivery_limit: section.member("delivery_limit", delivery_limit),
        confirm_timeout: section.member("confirm_timeout", duration(SECOND..=HOUR)),
        declare: section.member("declare", yes_or_no),
        ca_file: section.path("ca_file", optional(path)),
        allow_plaintext: section.member("allow_plaintext", yes_or_no),
        allow_guest: section.member("allow_guest", yes_or_no),
    };
    section.end();
    rabbitmq
}

fn read_redis(mut section: Section<'_>) -> Redis {
    let redis = Redis {
        wait_aof: section.member("wait_aof", yes_or_no),
        ca_file: section.path("ca_file", optional(path)),
        allow_plaintext: section.member("allow_plaintext", yes_or_no),
    };
    section.end();
    redis
}

fn read_deliveries(mut section: Section<'_>) -> Deliveries {
    let deliveries = Deliveries {
        entries_max: section.member("entries_max", number(1_000..=1_000_000_000)),
    };
    section.end();
    deliveries
}

fn read_dead_letters(mut section: Section<'_>) -> DeadLetters {
    let dead_letters = DeadLetters {
        retention: section.member("retention", duration(MINUTE..=3650 * DAY)),
        entries_max: section.member("entries_max", number(1..=1_000_000_000)),
        bytes_max: section.member("bytes_max", size(1024 * 1024..=1024 * 1024 * 1024 * 1024))
            as u64,
        spill_dir: section.path("spill_dir", optional(path)),
    };
    section.end();
    dead_letters
}

fn read_idempotency(mut section: Section<'_>) -> Idempotency {
    let idempotency = Idempotency {
        window: section.member("window", duration(MINUTE..=366 * DAY)),
    };
    section.end();
    idempotency
}

fn read_secrets(mut section: Section<'_>) -> Secrets {
    let secrets = Secrets {
        keys: section.member("keys", list(|key| Ok(SecretString::from(key)))),
        allow_plain_callback_secrets: section.member("allow_plain_callback_secrets", yes_or_no),
    };
    section.end();
    secrets
}

fn read_log(mut section: Section<'_>) -> Log {
    let format = |text: &str| match text {
        "human" => Ok(LogFormat::Human),
        "json" => Ok(LogFormat::Json),
        other => Err(format!(
            "`{}` is not a format; allowed: `human` and `json`",
            shorten(other)
        )),
    };
    let level = |text: &str| {
        ringback_telemetry::check_level(text)
            .map_err(|problem| format!("`{}` is not a level: {problem}", shorten(text)))?;
        Ok(text.to_owned())
    };
    let log = Log {
        format: section.member("format", text(format)),
        level: section.member("level", text(level)),
    };
    section.end();
    log
}

fn read_telemetry(mut section: Section<'_>) -> TelemetryMembers {
    let collector = |text: &str| {
        let url = Url::parse(text).ok().filter(|url| {
            matches!(url.scheme(), "http" | "https")
                && url.host().is_some()
                && url.username().is_empty()
                && url.password().is_none()
        });
        url.ok_or_else(|| {
            "is not the URL of a collector such as `http://127.0.0.1:4318`".to_owned()
        })
    };
    let telemetry = TelemetryMembers {
        listen: section.member("listen", optional(listen)),
        otlp: section.member("otlp", optional(collector)),
        push_interval: section.member("push_interval", duration(SECOND..=HOUR)),
        trace_percent: section.member("trace_percent", number(0..=100)),
    };
    section.end();
    telemetry
}

fn read_projects(
    entries: Table,
    profiles: &Profiles,
    faults: &mut Vec<ConfigFault>,
) -> BTreeMap<ProjectName, Project> {
    let mut projects = BTreeMap::new();
    for (name, entry) in entries {
        let member = format!("projects.{name}");
        let mut fault = |place, member, problem, hint| {
            faults.push(ConfigFault {
                place,
                member,
                problem,
                hint,
            });
        };
        let project = match name.parse::<ProjectName>() {
            Ok(project) => project,
            Err(refused) => {
                fault(entry.place, member, refused.to_string(), None);
                continue;
            }
        };
        let Value::Table(mut table) = entry.value else {
            fault(
                entry.place,
                member,
                format!("{} stands where a table is expected", entry.value.kind()),
                None,
            );
            continue;
        };
        let profile = table.remove("profile");
        for (key, entry) in table {
            let mut fault = unknown("", &key, entry, &["profile"]);
            fault.member = format!("{member}.{key}");
            faults.push(fault);
        }
        let Some(profile) = profile else {
            let hint = "`ringback profiles list` shows those built in".to_owned();
            faults.push(ConfigFault {
                place: entry.place,
                member,
                problem: "the project has no profile".to_owned(),
                hint: Some(hint),
            });
            continue;
        };
        let member = format!("{member}.profile");
        match known_profile(&profile.value, profiles) {
            Ok(profile) => {
                projects.insert(project, Project { profile });
            }
            Err(problem) => faults.push(ConfigFault {
                place: profile.place,
                member,
                problem,
                hint: None,
            }),
        }
    }
    projects
}

fn known_profile(value: &Value, profiles: &Profiles) -> Result<ProfileName, String> {
    let Value::Text(name) = value else {
        return Err(format!(
            "{} stands where a profile's name is expected",
            value.kind()
        ));
    };
    let name: ProfileName = name
        .parse()
        .map_err(|refused: ringback_domain::IdError| refused.to_string())?;
    if profiles.contains_key(&name) {
        return Ok(name);
    }
    let known: Vec<_> = profiles.keys().map(ProfileName::as_str).collect();
    Err(format!(
        "there is no profile `{name}`; known: {}",
        known.join(", ")
    ))
}

/// Where members were written that are judged together with others.
struct PlacesOf(BTreeMap<&'static str, Place>);

impl PlacesOf {
    const MEMBERS: [&'static str; 10] = [
        "broker",
        "store",
        "secrets.keys",
        "http.ca_file",
        "rabbitmq.ca_file",
        "redis.ca_file",
        "deliver.concurrency",
        "deliver.slow_concurrency",
        "queue.deliveries_window",
        "queue.slow_window",
    ];

    fn of(table: &Table) -> Self {
        let place = |member: &str| {
            let entry = match member.split_once('.') {
                None => table.get(member),
                Some((section, key)) => match &table.get(section)?.value {
                    Value::Table(table) => table.get(key),
                    _ => None,
                },
            };
            entry.map(|entry| entry.place.clone())
        };
        let found = Self::MEMBERS.map(|member| (member, place(member).unwrap_or(Place::BuiltIn)));
        Self(found.into())
    }
}

impl PlacesOf {
    /// The one of two members that was not left to the default.
    fn written_of(&self, one: &'static str, other: &'static str) -> &'static str {
        if self.0[one] == Place::BuiltIn {
            other
        } else {
            one
        }
    }
}

/// What one member alone cannot tell.
fn check_together(config: &Config, places: &PlacesOf, faults: &mut Vec<ConfigFault>) {
    let mut fault = |member: &'static str, problem: String, hint: Option<&str>| {
        faults.push(ConfigFault {
            place: places.0[member].clone(),
            member: member.to_owned(),
            problem,
            hint: hint.map(str::to_owned),
        });
    };
    match KeyRing::try_new(&config.secrets.keys) {
        Err(KeyRingError::Empty) if config.store == StoreAt::Embedded => {}
        Err(KeyRingError::Empty) => fault(
            "secrets.keys",
            "there is no key, and one can be generated for the embedded store only".to_owned(),
            Some("make one with `ringback config new-key`, the same for every worker"),
        ),
        Err(wrong) => fault("secrets.keys", wrong.to_string(), None),
        Ok(_) => {}
    }
    for (member, file) in [
        ("http.ca_file", &config.http.ca_file),
        ("rabbitmq.ca_file", &config.rabbitmq.ca_file),
        ("redis.ca_file", &config.redis.ca_file),
    ] {
        if let Some(file) = file.as_deref().filter(|file| !file.is_file()) {
            fault(
                member,
                format!("there is no file `{}`", file.display()),
                None,
            );
        }
    }
    check_access(config, &mut fault);
    let deliver = &config.deliver;
    for (member, window, name, concurrency) in [
        (
            "queue.deliveries_window",
            config.queue.deliveries,
            "deliver.concurrency",
            deliver.concurrency,
        ),
        (
            "queue.slow_window",
            config.queue.slow,
            "deliver.slow_concurrency",
            deliver.slow_concurrency,
        ),
    ] {
        if usize::from(window) < concurrency.get() {
            fault(
                places.written_of(member, name),
                format!(
                    "`{member}` (`{window}`) is less than `{name}` (`{concurrency}`), which would never be reached"
                ),
                None,
            );
        }
    }
}

/// Other machines are reached by TLS and by a user of our own, unless the operator said that it need not be.
fn check_access(config: &Config, fault: &mut impl FnMut(&'static str, String, Option<&str>)) {
    if let Broker::RabbitMq { urls, .. } = &config.broker {
        for exposure in urls.exposures() {
            let (is_allowed, hint) = match exposure {
                Exposure::Guest { .. } => (
                    config.rabbitmq.allow_guest,
                    "make a user of your own, as docs/deployment.md shows under RabbitMQ; or set `rabbitmq.allow_guest`",
                ),
                Exposure::PlainText { .. } => (
                    config.rabbitmq.allow_plaintext,
                    "use amqps://; or set `rabbitmq.allow_plaintext` where the network between is yours alone",
                ),
            };
            if !is_allowed {
                fault("broker", exposure.to_string(), Some(hint));
            }
        }
    }
    if let StoreAt::Redis(url) = &config.store
        && !config.redis.allow_plaintext
    {
        for address in url.plain_text_to() {
            fault(
                "store",
                format!(
                    "`{address}` is on another machine and spoken to in plain text: its password and every dead letter can be read on the way"
                ),
                Some(
                    "use rediss://; or set `redis.allow_plaintext` where the network between is yours alone",
                ),
            );
        }
    }
}

fn broker(text: &str) -> Result<Broker, String> {
    match text.trim() {
        "embedded" => Ok(Broker::Embedded),
        text => {
            let nodes = server::broker(text)?;
            let joined =
                |part: fn(&ServerUrl) -> &str| nodes.iter().map(part).collect::<Vec<_>>().join(",");
            let urls: Result<_, BrokerUrlError> =
                joined(|node| node.secret().expose_secret()).parse();
            Ok(Broker::RabbitMq {
                urls: urls.map_err(|refused| refused.to_string())?,
                address: joined(ServerUrl::address),
            })
        }
    }
}

fn store(text: &str) -> Result<StoreAt, String> {
    match text.trim() {
        "embedded" => Ok(StoreAt::Embedded),
        text => server::store(text).map(StoreAt::Redis),
    }
}

/// Accepted is what both RabbitMQ's names and Redis's keys take.
fn prefix(text: &str) -> Result<Prefix, String> {
    let accepted = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
    let refused = || {
        format!(
            "`{}` is not accepted: 1 to 32 letters, digits, `_` or `-`",
            shorten(text)
        )
    };
    if text.len() > 32 || !text.bytes().all(accepted) {
        return Err(refused());
    }
    text.parse().map_err(|_| refused())
}

fn path(text: &str) -> Result<PathBuf, String> {
    match text.trim() {
        "" => Err("the path is empty".to_owned()),
        text => Ok(PathBuf::from(text)),
    }
}

/// The URL may hold a password, so it is not repeated.
fn proxy(text: &str) -> Result<Proxy, String> {
    let url = Url::parse(text)
        .ok()
        .filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
    url.map(Proxy)
        .ok_or_else(|| "the proxy is not a URL such as `http://proxy:3128`".to_owned())
}

fn count(value: &Value) -> Result<NonZeroUsize, String> {
    let count = number::<usize>(1..=65_535)(value)?;
    NonZeroUsize::new(count).ok_or_else(|| "`0` is out of range; allowed: 1 to 65535".to_owned())
}
