//! What the file holds, and how it is read back when it is opened.

use crate::store;
use redb::{
    Database, Key, ReadableDatabase, ReadableTable, Table, TableDefinition, Value, WriteTransaction,
};
use ringback_domain::Traffic;
use std::collections::HashMap;

/// Lane, due millisecond, number.
pub(crate) type MessageKey = (u8, i64, u64);
/// Died at, in nanoseconds; number.
pub(crate) type DeadLetterKey = (i128, u64);
/// Half, term, and the dead letter's key.
pub(crate) type IndexKey = (u8, u64, i128, u64);
/// Step, its number, what is counted.
type TrafficKey = (u8, u32, &'static str);
/// Delivered, failed attempts, given up.
type TrafficCounts = (u64, u64, u64);
/// Project, created at in nanoseconds, webhook.
type WebhookOrder = (&'static str, i128, &'static str);

/// Messages that nobody acknowledged, as they were published.
pub(crate) const MESSAGES: TableDefinition<MessageKey, &[u8]> = TableDefinition::new("messages");
/// How often a message was given back, for the few that were; [`PARKED`] once it is parked.
pub(crate) const GIVEN_BACK: TableDefinition<u64, u32> = TableDefinition::new("given_back");
/// Where the record of a delivery is.
pub(crate) const DELIVERY_NUMBERS: TableDefinition<&str, u64> =
    TableDefinition::new("delivery_numbers");
/// Records of deliveries with their claims, in the order they were first taken.
pub(crate) const DELIVERIES: TableDefinition<u64, &[u8]> = TableDefinition::new("deliveries");
/// Where a dead letter is.
pub(crate) const DEAD_LETTER_KEYS: TableDefinition<&str, DeadLetterKey> =
    TableDefinition::new("dead_letter_keys");
/// What dead letters are listed and filtered by, and what was done about them.
pub(crate) const DEAD_LETTER_TERMS: TableDefinition<DeadLetterKey, &[u8]> =
    TableDefinition::new("dead_letter_terms");
/// Dead letters whole, as they were stored.
pub(crate) const DEAD_LETTERS: TableDefinition<DeadLetterKey, &[u8]> =
    TableDefinition::new("dead_letters");
/// Open dead letters by project, under the empty name all of them.
pub(crate) const OPEN_DEAD_LETTERS: TableDefinition<&str, u64> =
    TableDefinition::new("open_dead_letters");
/// Dead letters by each of their terms, newest last; see `store::index`.
pub(crate) const DEAD_LETTER_INDEX: TableDefinition<IndexKey, ()> =
    TableDefinition::new("dead_letter_index");
/// Groups of open dead letters by project and fingerprint.
pub(crate) const GROUPS: TableDefinition<(&str, &str), &[u8]> = TableDefinition::new("groups");
/// What was delivered, failed and given up in each minute and hour.
pub(crate) const TRAFFIC: TableDefinition<TrafficKey, TrafficCounts> =
    TableDefinition::new("traffic");
/// Webhooks by id.
pub(crate) const WEBHOOKS: TableDefinition<&str, &[u8]> = TableDefinition::new("webhooks");
/// Webhooks of a project, oldest first.
pub(crate) const WEBHOOK_ORDER: TableDefinition<WebhookOrder, ()> =
    TableDefinition::new("webhook_order");
/// Keys to the HTTP API by id.
pub(crate) const API_KEYS: TableDefinition<&str, &[u8]> = TableDefinition::new("api_keys");
/// Breakers by destination.
pub(crate) const BREAKERS: TableDefinition<&str, &[u8]> = TableDefinition::new("breakers");
/// Replay plans by id.
pub(crate) const PLANS: TableDefinition<&str, &[u8]> = TableDefinition::new("plans");
/// When the first entries of a plan were written, in seconds.
pub(crate) const PLAN_LISTS: TableDefinition<&str, i64> = TableDefinition::new("plan_lists");
/// The entries of plans, by plan and the number of the chunk.
pub(crate) const PLAN_CHUNKS: TableDefinition<(&str, u32), &[u8]> =
    TableDefinition::new("plan_chunks");
/// What became of the entries, for the chunks that were begun.
pub(crate) const PLAN_MARKS: TableDefinition<(&str, u32), &str> =
    TableDefinition::new("plan_marks");
/// Marks of events by project and id.
pub(crate) const EVENT_MARKS: TableDefinition<(&str, &str), &[u8]> =
    TableDefinition::new("event_marks");
/// The moments of events that tell none, by project and id.
pub(crate) const EVENT_MOMENTS: TableDefinition<(&str, &str), &[u8]> =
    TableDefinition::new("event_moments");
/// Format, number of times opened, and the bytes that dead letters take.
pub(crate) const ABOUT: TableDefinition<&str, u64> = TableDefinition::new("about");

/// In place of a count in [`GIVEN_BACK`].
pub(crate) const PARKED: u32 = u32::MAX;

/// Raised when an older release could no longer read the file. Since 2 dead letters are indexed and grouped.
const FORMAT: u64 = 2;

macro_rules! tables {
    ($($name:ident: $definition:ident<$key:ty, $value:ty>),* $(,)?) => {
        /// The tables of one transaction, opened when first used.
        pub(crate) struct Tables<'tx> {
            tx: &'tx WriteTransaction,
            /// Traffic counted by this transaction and not yet written.
            pub(crate) counted: HashMap<(u8, u32, String), Traffic>,
            $($name: Option<Table<'tx, $key, $value>>,)*
        }

        impl<'tx> Tables<'tx> {
            pub(crate) fn of(tx: &'tx WriteTransaction) -> Self {
                Self { tx, counted: HashMap::new(), $($name: None,)* }
            }

            $(
                pub(crate) fn $name(&mut self) -> Result<&mut Table<'tx, $key, $value>, redb::Error> {
                    opened(&mut self.$name, self.tx, $definition)
                }
            )*
        }
    };
}

tables! {
    messages: MESSAGES<MessageKey, &'static [u8]>,
    given_back: GIVEN_BACK<u64, u32>,
    delivery_numbers: DELIVERY_NUMBERS<&'static str, u64>,
    deliveries: DELIVERIES<u64, &'static [u8]>,
    dead_letter_keys: DEAD_LETTER_KEYS<&'static str, DeadLetterKey>,
    dead_letter_terms: DEAD_LETTER_TERMS<DeadLetterKey, &'static [u8]>,
    dead_letters: DEAD_LETTERS<DeadLetterKey, &'static [u8]>,
    open_dead_letters: OPEN_DEAD_LETTERS<&'static str, u64>,
    dead_letter_index: DEAD_LETTER_INDEX<IndexKey, ()>,
    groups: GROUPS<(&'static str, &'static str), &'static [u8]>,
    traffic: TRAFFIC<TrafficKey, TrafficCounts>,
    webhooks: WEBHOOKS<&'static str, &'static [u8]>,
    webhook_order: WEBHOOK_ORDER<WebhookOrder, ()>,
    api_keys: API_KEYS<&'static str, &'static [u8]>,
    breakers: BREAKERS<&'static str, &'static [u8]>,
    plans: PLANS<&'static str, &'static [u8]>,
    plan_lists: PLAN_LISTS<&'static str, i64>,
    plan_chunks: PLAN_CHUNKS<(&'static str, u32), &'static [u8]>,
    plan_marks: PLAN_MARKS<(&'static str, u32), &'static str>,
    event_marks: EVENT_MARKS<(&'static str, &'static str), &'static [u8]>,
    event_moments: EVENT_MOMENTS<(&'static str, &'static str), &'static [u8]>,
    about: ABOUT<&'static str, u64>,
}

fn opened<'a, 'tx, K: Key, V: Value>(
    slot: &'a mut Option<Table<'tx, K, V>>,
    tx: &'tx WriteTransaction,
    definition: TableDefinition<'static, K, V>,
) -> Result<&'a mut Table<'tx, K, V>, redb::Error> {
    match slot {
        Some(table) => Ok(table),
        None => Ok(slot.insert(tx.open_table(definition)?)),
    }
}

/// What an opened file holds.
pub(crate) struct Waiting {
    /// How often it was opened, this time included.
    pub(crate) boot: u64,
    /// All messages: key, bytes, and how often given back.
    pub(crate) messages: Vec<(MessageKey, u32)>,
}

/// Makes the tables that are missing and reads what waits.
pub(crate) fn prepare(database: &Database) -> Result<Waiting, redb::Error> {
    let tx = database.begin_write()?;
    let boot = {
        let mut tables = Tables::of(&tx);
        let found = tables.about()?.get("format")?.map(|format| format.value());
        if found.is_some_and(|format| format > FORMAT) {
            return Err(redb::Error::Corrupted(format!(
                "format {}, this release reads up to {FORMAT}",
                found.unwrap_or_default()
            )));
        }
        tables.make_all()?;
        if found.is_some_and(|format| format < 2) {
            store::index_dead_letters(&mut tables)?;
        }
        let about = tables.about()?;
        let boot = about.get("boot")?.map_or(0, |boot| boot.value()) + 1;
        about.insert("format", FORMAT)?;
        about.insert("boot", boot)?;
        boot
    };
    tx.commit()?;

    let tx = database.begin_read()?;
    let given_back = tx.open_table(GIVEN_BACK)?;
    let mut messages = Vec::new();
    for entry in tx.open_table(MESSAGES)?.iter()? {
        let key = entry?.0.value();
        let count = given_back.get(key.2)?.map_or(0, |count| count.value());
        messages.push((key, count));
    }
    Ok(Waiting { boot, messages })
}

impl Tables<'_> {
    /// Reading transactions find only tables that were made.
    fn make_all(&mut self) -> Result<(), redb::Error> {
        self.messages()?;
        self.given_back()?;
        self.delivery_numbers()?;
        self.deliveries()?;
        self.dead_letter_keys()?;
        self.dead_letter_terms()?;
        self.dead_letters()?;
        self.open_dead_letters()?;
        self.dead_letter_index()?;
        self.groups()?;
        self.traffic()?;
        self.webhooks()?;
        self.webhook_order()?;
        self.api_keys()?;
        self.breakers()?;
        self.plans()?;
        self.plan_lists()?;
        self.plan_chunks()?;
        self.plan_marks()?;
        self.event_marks()?;
        self.event_moments()?;
        Ok(())
    }
}
