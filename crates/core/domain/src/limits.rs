//! The limits that hold everywhere, each with a name and its reason.

use std::time::Duration;

/// Bytes of an event document, and of a rendered body, that are accepted.
///
/// RabbitMQ takes 16 MiB, receivers far less; beyond this a webhook should carry a link instead.
pub const BODY_BYTES_MAX: usize = 256 * 1024;

/// Bytes of an event document in a queue: it may have grown since it was accepted, by the moment it happened at, a sealed secret,
/// and a URL of up to [`URL_BYTES_MAX`] bytes written as URLs are.
pub const EVENT_BYTES_MAX: usize = BODY_BYTES_MAX + 16 * 1024;

/// Bytes kept of a message that nobody can read; of the rest its length is told.
///
/// Twice what is accepted. In a file of dead letters a byte takes six characters at worst, and a line 4 MiB.
pub const RAW_BYTES_MAX: usize = 512 * 1024;

/// Bytes of a rendered body above which receivers begin to refuse, so that we warn.
///
/// Express answers 413 above 102,400 bytes (`body-parser`, `limit: "100kb"`).
pub const BODY_BYTES_WARN: usize = 100 * 1024;

/// Levels of nesting accepted in an event document.
///
/// Half of where `serde_json` refuses (128), far below where Python's `json` does (about 995).
pub const JSON_DEPTH_MAX: usize = 64;

/// Bytes of a destination's URL, after parsing.
pub const URL_BYTES_MAX: usize = 2048;

/// Attempts of one generation of a delivery, the first included.
pub const ATTEMPTS_MAX: u16 = 32;

/// Bytes of an answer's body kept with an attempt.
pub const EXCERPT_BYTES_MAX: usize = 1024;

/// The longest wait before a retry. The delay ladder reaches 6 days; a schedule may not ask for more than 5.
pub const DELAY_MAX: Duration = Duration::from_hours(5 * 24);

/// The longest time limit a profile may ask for one attempt.
pub const TIME_LIMIT_MAX: Duration = Duration::from_mins(2);

/// Webhooks of one project.
pub const WEBHOOKS_PER_PROJECT_MAX: usize = 10_000;

/// How far ahead a new secret may begin to sign, and how long the old one may sign beside it.
pub const ROTATION_MAX: Duration = Duration::from_hours(90 * 24);

/// Keys of one project, and of the operator, that were neither revoked nor expired long ago.
pub const KEYS_PER_OWNER_MAX: usize = 1_000;

/// Destinations in trouble at one time that have a breaker.
pub const BREAKERS_MAX: usize = 10_000;

/// Headers a webhook may add to our own, the bytes of one value, and the bytes of all together.
pub const CUSTOM_HEADERS_MAX: usize = 32;
/// Bytes of one added header's value.
pub const CUSTOM_HEADER_BYTES_MAX: usize = 4 * 1024;
/// Bytes of all added headers. Node refuses requests with more than 16 KiB of headers.
pub const CUSTOM_HEADERS_BYTES_MAX: usize = 8 * 1024;

/// Entries of one page of any list.
pub const PAGE_ENTRIES_MAX: usize = 500;

/// Attempts kept in a delivery message and in a record, over all generations; the oldest are forgotten first.
pub const HISTORY_MAX: usize = 64;

/// Groups of dead letters kept of one project; in Redis, of one project in each of the 16 shards. What is beyond is
/// counted together.
///
/// A page of hundreds of groups is no overview any more, and every look at the groups reads all of a project's.
pub const GROUPS_PER_PROJECT_MAX: usize = 1_000;

/// Characters of a text that dead letters are searched for.
pub const SEARCH_CHARS_MAX: usize = 200;

/// Groups whose dead letters one search lists; the newest are taken.
pub const SEARCH_GROUPS_MAX: usize = 50;

/// Characters of the note that a person leaves with what they did, or of the reason for a replay plan.
pub const NOTE_CHARS_MAX: usize = 500;

/// Characters that describe a webhook or a key, or say why a webhook is disabled.
pub const DESCRIPTION_CHARS_MAX: usize = 1024;

/// Dead letters that are counted by cause before they are discarded.
pub const DISCARD_ENTRIES_MAX: u32 = 100_000;

/// Dead letters that one step discards; who wants more takes the next step.
pub const DISCARD_STEP_ENTRIES_MAX: usize = 10_000;

/// Dead letters of one replay plan.
pub const PLAN_ENTRIES_MAX: u32 = 1_000_000;

/// Entries of a replay plan that are stored, read and written together: about 80 kB.
pub const PLAN_CHUNK_ENTRIES: usize = 1_000;

/// Chunks of a running plan that are worked on at once: it is never more than so many ahead of its oldest open outcome.
pub const PLAN_CHUNKS_OPEN_MAX: usize = 64;

/// Groups of a kind that the preview and the report of a plan name; the rest is counted together.
pub const PLAN_GROUPS_MAX: usize = 100;

/// Changes of state that a plan remembers; beyond, the oldest but the first is forgotten.
pub const PLAN_CHANGES_MAX: usize = 100;

/// The most entries a plan's rule for stopping looks back on.
pub const PLAN_WINDOW_MAX: u16 = 1_000;
