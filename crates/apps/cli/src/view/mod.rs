//! What `ringback-api` shows of the domain, as tables and lines of facts.

mod attempt;
mod breaker;
mod dead_letter;
mod delivery;
mod group;
mod key;
mod replay_plan;
mod webhook;

pub(crate) use attempt::{attempts_table, one_line};
pub(crate) use breaker::breakers_table;
pub(crate) use dead_letter::{dead_letter_facts, dead_letters_table};
pub(crate) use delivery::{ShownDelivery, deliveries_table, delivery_facts};
pub(crate) use group::{group_facts, groups_table};
pub(crate) use key::{key_facts, keys_table};
pub(crate) use replay_plan::{plan_facts, plans_table, preview_facts};
pub(crate) use ringback_api::view::{
    BreakerView, ContractView, DamagedView, DeadLetterView, DeliveryView, GroupListView, GroupView,
    KeyView, KeyWithTextView, ListView, PlanPreviewView, PlanView, ProfileView, RecordListView,
    TestedView, WebhookView, WebhookWithSecretView,
};
pub(crate) use webhook::{webhook_facts, webhooks_table};

use jiff::Timestamp;
use ringback_domain::Generation;
use std::time::Duration;

/// A moment to the second, for lists.
pub(crate) fn moment(at: Timestamp) -> String {
    at.strftime("%Y-%m-%d %H:%M:%S").to_string()
}

/// A moment to the minute, for tables that have little room.
pub(crate) fn minute(at: Timestamp) -> String {
    at.strftime("%Y-%m-%d %H:%M").to_string()
}

/// The round that a generation is to people.
pub(crate) fn round(generation: u32) -> u32 {
    Generation::new(generation).round()
}

/// A list without an entry.
pub(crate) fn none_of(what: &str, damaged: &[DamagedView]) -> String {
    let readable = match damaged {
        [] => "",
        _ => " that can be read",
    };
    format!("no {what}{readable}")
}

/// A duration as short as says enough.
pub(crate) fn took(wait: Duration) -> String {
    let ms = wait.as_secs_f64() * 1000.0;
    if ms < 10.0 {
        format!("{ms:.1} ms")
    } else if ms < 10_000.0 {
        format!("{ms:.0} ms")
    } else {
        format!("{:.1} s", ms / 1000.0)
    }
}
