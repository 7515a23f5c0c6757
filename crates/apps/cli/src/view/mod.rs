//! What people and machines are shown of the domain: never a secret, a body, or what may be secret in a URL.

mod attempt;
mod dead_letter;
mod delivery;
mod webhook;

pub(crate) use attempt::{AttemptView, attempts_table};
pub(crate) use dead_letter::{DeadLetterView, dead_letter_facts, dead_letters_table};
pub(crate) use delivery::{DeliveryView, deliveries_table, delivery_facts};
pub(crate) use webhook::{WebhookView, webhook_facts, webhooks_table};

use jiff::Timestamp;
use ringback_delivery::port::{Cursor, Page};
use serde::Serialize;
use std::time::Duration;

/// A piece of a list, as the API shows it, too.
#[derive(Serialize)]
pub(crate) struct ListView<T> {
    pub(crate) data: Vec<T>,
    pub(crate) next_cursor: Option<String>,
}

impl<T> ListView<T> {
    pub(crate) fn of<E>(page: Page<E>) -> Self
    where
        T: for<'a> From<&'a E>,
    {
        Self {
            data: page.entries.iter().map(T::from).collect(),
            next_cursor: page.next.map(|Cursor(text)| text),
        }
    }

    pub(crate) fn whole(data: Vec<T>) -> Self {
        Self {
            data,
            next_cursor: None,
        }
    }
}

/// A moment to the second, for lists.
pub(crate) fn moment(at: Timestamp) -> String {
    at.strftime("%Y-%m-%d %H:%M:%S").to_string()
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
