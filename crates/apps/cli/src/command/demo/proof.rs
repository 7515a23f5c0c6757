//! Whether all of it really happened: told by what the receivers took and what the store keeps, not by what was hoped.

use super::{
    cast::{Behaviour, Part},
    stage::Player,
};
use crate::{
    failure::Outcome,
    receiver::Received,
    terminal::table,
    verifier::{Verdict, Verifier},
};
use jiff::Timestamp;
use owo_colors::OwoColorize;
use ringback_delivery::port::{DeliveryFilter, Store};
use ringback_domain::{
    DeadLetter, DeadLetterReason, DeliveryRecord, DeliveryState, Destination, Disposal, EventId,
};
use ringback_profile::{DestinationKind, Profile};
use ringback_signing::Secret;
use serde::Serialize;
use std::time::Duration;

/// What the demonstration has shown.
#[derive(Serialize)]
pub(super) struct Proof {
    pub(super) broker: String,
    pub(super) store: String,
    pub(super) took_ms: u64,
    pub(super) deliveries: Vec<Row>,
    pub(super) claims: Vec<Claim>,
}

/// One destination.
#[derive(Serialize)]
pub(super) struct Row {
    profile: &'static str,
    kind: &'static str,
    receiver: &'static str,
    requests: usize,
    verified: usize,
    signed: bool,
    answers: Vec<u16>,
    state: &'static str,
}

/// Something that must have happened.
#[derive(Serialize)]
pub(super) struct Claim {
    what: String,
    holds: bool,
}

impl Proof {
    pub(super) fn holds(&self) -> bool {
        self.claims.iter().all(|claim| claim.holds)
    }

    pub(super) fn claim(&mut self, what: impl Into<String>, holds: bool) {
        self.claims.push(Claim {
            what: what.into(),
            holds,
        });
    }

    /// A receiver's log and its delivery's record against its part.
    pub(super) async fn examine(
        &mut self,
        player: &mut Player,
        profile: &Profile,
        secrets: Vec<Secret>,
        store: &dyn Store,
        now: Timestamp,
    ) -> Outcome {
        let part = player.part;
        let took = player.receiver.take_all();
        let verifier = Verifier::try_new(profile, part.kind == DestinationKind::Callback, secrets)?;
        let right =
            |received: &&Received| !matches!(verifier.judge(received, now), Verdict::Refused(_));
        let right_count = took.iter().filter(right).count();
        let record = record(store, part).await?;
        let retries = profile.rules(part.kind).retry.delays().len();
        let replays = usize::from(part.behaviour == Behaviour::IsBroken);
        let expected = part.requests(retries) + replays;

        let name = format!("{} {}", part.profile, part.kind);
        self.claim(
            format!("{name}: {expected} of {expected} requests arrived, no more"),
            took.len() == expected,
        );
        self.claim(
            format!("{name}: every request was what its receiver accepts"),
            right_count == took.len(),
        );
        let one_body = took.windows(2).all(|pair| pair[0].body == pair[1].body);
        self.claim(
            format!("{name}: every attempt carried the same bytes"),
            one_body && !took.is_empty(),
        );
        let delivered = record
            .as_ref()
            .is_some_and(|record| matches!(record.state, DeliveryState::Delivered { .. }));
        self.claim(format!("{name}: the store has it as delivered"), delivered);
        let kept = record.as_ref().map(|record| record.attempts.len());
        self.claim(
            format!("{name}: the store kept every attempt"),
            kept == Some(took.len()),
        );
        self.deliveries.push(Row {
            profile: part.profile,
            kind: part.kind.as_str(),
            receiver: part.behaviour.describe(),
            requests: took.len(),
            verified: right_count,
            signed: profile.signature(part.kind).is_some(),
            answers: took
                .iter()
                .map(|received| received.answer.as_u16())
                .collect(),
            state: record.map_or("unknown", |record| record.state.class()),
        });
        Ok(())
    }

    /// The dead letter as it was found, and as it is after its replay.
    pub(super) fn examine_dead_letter(
        &mut self,
        found: &DeadLetter,
        now: Option<&DeadLetter>,
        attempts: usize,
    ) {
        let held = found
            .delivery()
            .map_or(0, |delivery| delivery.history.len());
        self.claim(
            format!("the dead letter kept {attempts} attempts with their answers"),
            held == attempts,
        );
        self.claim(
            "its reason was that all attempts were used up",
            found.reason == DeadLetterReason::AttemptsExhausted,
        );
        let replayed =
            now.is_some_and(|dead_letter| matches!(dead_letter.disposal, Disposal::Replayed(_)));
        self.claim("it is marked as replayed", replayed);
    }

    pub(super) fn show(&self) -> String {
        let rows = self.deliveries.iter().map(|row| {
            let answers: Vec<_> = row.answers.iter().map(ToString::to_string).collect();
            [
                row.profile.to_owned(),
                row.kind.to_owned(),
                row.receiver.to_owned(),
                answers.join(" "),
                if row.signed {
                    format!("{} of {}", row.verified, row.requests)
                } else {
                    "unsigned".to_owned()
                },
                row.state.to_owned(),
            ]
        });
        let mut lines = vec![table(
            [
                "PROFILE", "FOR", "RECEIVER", "ANSWERED", "VERIFIED", "STATE",
            ],
            rows,
        )];
        let (broker, store) = (&self.broker, &self.store);
        let seconds = Duration::from_millis(self.took_ms).as_secs_f64();
        let count = self.claims.len();
        lines.push(String::new());
        if self.holds() {
            lines.push(format!("{} in {seconds:.1} s: {count} of {count} claims hold, by the receivers' logs and the store", "all of it happened".green().bold()));
        } else {
            let missing = self.claims.iter().filter(|claim| !claim.holds);
            lines
                .extend(missing.map(|claim| format!("{} {}", "did not happen:".red(), claim.what)));
        }
        lines.push(format!("broker: {broker}; store: {store}"));
        lines.join("\n")
    }
}

async fn record(store: &dyn Store, part: &Part) -> Outcome<Option<DeliveryRecord>> {
    let event: EventId = format!("evt_{}", part.profile).parse().expect("an id");
    let filter = DeliveryFilter {
        project: part.profile.parse().ok(),
        event: Some(event),
        ..DeliveryFilter::default()
    };
    let page = store.deliveries(&filter, None, 10).await?;
    let is_callback =
        |record: &DeliveryRecord| matches!(record.destination, Destination::Callback { .. });
    let wants_callback = part.kind == DestinationKind::Callback;
    Ok(page
        .entries
        .into_iter()
        .find(|record| is_callback(record) == wants_callback))
}
