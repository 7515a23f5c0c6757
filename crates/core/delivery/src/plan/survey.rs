//! Counting what a plan would hold.

use crate::{
    ProfileBook, SearchText,
    age::{age_of, stale},
    cause_counts::{CauseCounts, GROUPS_COUNTED_MAX},
    port::{DeadLetterFilter, DeadLetterMark},
};
use ringback_domain::{
    DeadLetter, DeadLetterContent, DeadLetterReason, DestinationId, Timestamp,
    limits::PLAN_GROUPS_MAX,
    replay_plan::{AgeBand, DestinationCount, EntryDelivery, PlanEntry, PlanPreview},
};
use std::{cmp::Reverse, collections::HashMap};

/// The counts so far.
pub(super) struct Survey {
    now: Timestamp,
    preview: PlanPreview,
    destinations: HashMap<DestinationId, DestinationCount>,
    causes: CauseCounts,
}

impl Survey {
    pub(super) fn new(now: Timestamp) -> Self {
        Self {
            now,
            preview: PlanPreview::default(),
            destinations: HashMap::new(),
            causes: CauseCounts::default(),
        }
    }

    pub(super) fn entries(&self) -> u32 {
        self.preview.entries
    }

    pub(super) fn count(&mut self, dead_letter: &DeadLetter, profiles: &ProfileBook) {
        self.preview.entries += 1;
        let stale = u32::from(stale(dead_letter, profiles, self.now).is_some());
        self.preview.stale += stale;
        let is_raw = matches!(dead_letter.content, DeadLetterContent::Raw { .. });
        self.preview.not_events += u32::from(is_raw);
        let band = AgeBand::of(age_of(dead_letter, self.now));
        let place = AgeBand::ALL.iter().position(|other| *other == band);
        self.preview.by_age[place.expect("all are in the list")] += 1;

        self.causes.count(&dead_letter.cause);
        let Some(delivery) = dead_letter.delivery() else {
            return;
        };
        let id = delivery.destination.id();
        if self.destinations.contains_key(&id) || self.destinations.len() < GROUPS_COUNTED_MAX {
            let group = self.destinations.entry(id.clone());
            let group = group.or_insert_with(|| DestinationCount {
                destination: id,
                url: delivery.destination.display_url(),
                entries: 0,
                stale: 0,
            });
            group.entries += 1;
            group.stale += stale;
        }
    }

    pub(super) fn into_preview(self) -> PlanPreview {
        let mut preview = self.preview;
        preview.by_destination = self.destinations.into_values().collect();
        let by_count =
            |group: &DestinationCount| (Reverse(group.entries), group.destination.clone());
        preview.by_destination.sort_by_key(by_count);
        preview.by_destination.truncate(PLAN_GROUPS_MAX);
        preview.by_cause = self.causes.into_sorted();
        preview.by_cause.truncate(PLAN_GROUPS_MAX);
        preview
    }
}

/// What a plan keeps of a dead letter.
pub(super) fn entry_of(dead_letter: &DeadLetter) -> PlanEntry {
    let delivery = dead_letter.delivery();
    PlanEntry {
        dead_letter: dead_letter.id.clone(),
        delivery: delivery.map(|delivery| EntryDelivery {
            id: delivery.id.clone(),
            generation: delivery.generation,
            destination: delivery.destination.id(),
        }),
    }
}

/// A filter and a text in words for people.
pub(super) fn in_words(filter: &DeadLetterFilter, text: Option<&SearchText>) -> String {
    fn say(name: &str, value: Option<&impl ToString>) -> Option<String> {
        value.map(|value| format!("{name} {}", value.to_string()))
    }
    let any_of = filter.any_of.as_ref().map(|marks| {
        let of_one = |mark: &DeadLetterMark| match mark {
            DeadLetterMark::Cause(cause) => format!("cause {cause}"),
            DeadLetterMark::Event(event) => format!("event {event}"),
            DeadLetterMark::Job(job) => format!("job {job}"),
        };
        let marks: Vec<_> = marks.iter().map(of_one).collect();
        marks.join(" or ")
    });
    let said = [
        say("project", filter.project.as_ref()),
        say("destination", filter.destination.as_ref()),
        say("type", filter.event_type.as_ref()),
        say("job", filter.job.as_ref()),
        say("cause", filter.cause.as_ref()),
        say(
            "reason",
            filter.reason.map(DeadLetterReason::class).as_ref(),
        ),
        say("since", filter.since.map(to_the_second).as_ref()),
        say("until", filter.until.map(to_the_second).as_ref()),
    ];
    let text = text.map(|text| format!("text `{text}`"));
    let said = said.into_iter().chain([any_of, text]);
    said.flatten().collect::<Vec<_>>().join(", ")
}

fn to_the_second(moment: Timestamp) -> Timestamp {
    Timestamp::from_second(moment.as_second()).unwrap_or(moment)
}
