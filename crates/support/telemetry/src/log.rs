//! Log lines: where they go, how they look, which are kept.

use tracing_subscriber::{EnvFilter, fmt, layer::SubscriberExt, util::SubscriberInitExt};

/// What must not be kept, whatever the level: lapin logs messages that the broker returns whole, payload included.
const NEVER: &str = "lapin::returned_messages=off";
/// What is not kept unless asked for by name: lapin logs as errors what our own links expect and handle.
const UNLESS_ASKED: (&str, &str) = ("lapin", "lapin=off");
/// What is kept of it where `info` is: its lines of that level tell how it is built, and one of them stands before the error of a
/// process that does not start.
const AT_INFO: (&str, &str) = ("opentelemetry", "opentelemetry=warn");
/// What may stand alone. The filter would take any other word for the name of a part, and keep nothing of all others.
const LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LogFormat {
    /// For people, with colours on a terminal.
    #[default]
    Human,
    /// For machines, one JSON object a line.
    Json,
}

/// Which log lines are kept, and how they look.
#[derive(Debug, Clone)]
pub struct LogSettings {
    /// How they look.
    pub format: LogFormat,
    /// `info`, or by part: `info,ringback_delivery=debug`.
    pub level: String,
    /// Whether human lines may have colours.
    pub colours: bool,
}

/// A filter that cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum LevelError {
    /// A part of it makes no sense.
    #[error("write `info`, or by part `info,ringback_delivery=debug`")]
    Unreadable(#[source] tracing_subscriber::filter::ParseError),
    /// A word that stands alone is no level.
    #[error(
        "`{0}` is none of {allowed}; write a part as `ringback_delivery=debug`", allowed = LEVELS.join(", ")
    )]
    NoLevel(String),
}

/// Why logging could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum SetUpError {
    /// The filter cannot be read.
    #[error("the log level cannot be read")]
    Level(#[source] LevelError),
    /// It was set up before.
    #[error("logging is set up already")]
    Again(#[source] tracing_subscriber::util::TryInitError),
}

/// Whether a text is a filter.
///
/// # Errors
///
/// What to write instead.
pub fn check_level(level: &str) -> Result<(), LevelError> {
    filter(level).map(drop)
}

fn filter(level: &str) -> Result<EnvFilter, LevelError> {
    let directive = |text: &str| text.parse().expect("a directive of our own");
    let mut alone = level.split(',').filter(|part| !part.contains('='));
    let is_level = |part: &str| LEVELS.iter().any(|level| level.eq_ignore_ascii_case(part));
    if let Some(part) = alone.find(|part| !part.is_empty() && !is_level(part)) {
        return Err(LevelError::NoLevel(part.to_owned()));
    }
    let mut kept = EnvFilter::builder()
        .parse(level)
        .map_err(LevelError::Unreadable)?;
    let (library, off) = UNLESS_ASKED;
    if !level.contains(library) {
        kept = kept.add_directive(directive(off));
    }
    let (library, less) = AT_INFO;
    let is_info = |part: &str| part.eq_ignore_ascii_case("info");
    if level.split(',').any(is_info) && !level.contains(library) {
        kept = kept.add_directive(directive(less));
    }
    Ok(kept.add_directive(directive(NEVER)))
}

/// Sends log lines to the standard error stream, for the rest of the process.
///
/// # Errors
///
/// When the level cannot be read, or logging is set up already.
pub fn set_up_log(settings: &LogSettings) -> Result<(), SetUpError> {
    let filter = filter(&settings.level).map_err(SetUpError::Level)?;
    let lines = fmt::layer().with_writer(std::io::stderr);
    let registry = tracing_subscriber::registry().with(filter);
    match settings.format {
        LogFormat::Human => registry.with(lines.with_ansi(settings.colours)).try_init(),
        LogFormat::Json => registry.with(lines.json().flatten_event(true)).try_init(),
    }
    .map_err(SetUpError::Again)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_level_is_a_word_or_a_list_by_part() {
        for (level, accepted) in [
            ("info", true),
            ("off", true),
            ("info,ringback_delivery=debug", true),
            ("WARN", true),
            ("ringback=loud", false),
            ("info,,=", false),
            ("warning", false),
            ("info,verbose", false),
            ("ringback_delivery", false),
        ] {
            assert_eq!(check_level(level).is_ok(), accepted, "{level}");
        }
    }

    #[test]
    fn a_word_that_is_no_level_is_named_with_those_that_are() {
        assert_eq!(
            check_level("info,inof").unwrap_err().to_string(),
            "`inof` is none of off, error, warn, info, debug, trace; write a part as `ringback_delivery=debug`"
        );
    }

    #[test]
    fn returned_messages_are_never_logged() {
        let filter = filter("trace,lapin=trace").unwrap().to_string();
        assert!(filter.contains("lapin::returned_messages=off"), "{filter}");
    }

    #[test]
    fn how_a_library_is_built_is_no_event_of_the_service() {
        for (level, is_held_back) in [
            ("info", true),
            ("INFO,ringback_delivery=debug", true),
            ("info,opentelemetry_sdk=info", false),
            ("warn", false),
            ("error", false),
            ("debug", false),
        ] {
            let filter = filter(level).unwrap().to_string();
            let is_in_it = filter.contains("opentelemetry=warn");
            assert_eq!(is_in_it, is_held_back, "{level}: {filter}");
        }
    }

    #[test]
    fn a_library_that_cries_wolf_is_heard_only_when_asked_for() {
        assert!(filter("debug").unwrap().to_string().contains("lapin=off"));
        assert!(
            !filter("info,lapin=warn")
                .unwrap()
                .to_string()
                .contains("lapin=off")
        );
    }
}
