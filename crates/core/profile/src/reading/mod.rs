//! From a TOML text to a profile. Every fault is reported, not only the first.

mod contract;
mod signature;
mod source;

use self::source::{Member, Section, Source};
use crate::{DestinationKind, Profile, ProfileFault};
use ringback_domain::{EventType, ProfileName};
use std::{borrow::Cow, collections::BTreeSet};
use toml::de::DeTable;

/// Members that say something about the profile as a whole.
const OF_THE_PROFILE: [&str; 5] = [
    "description",
    "event_types",
    "payload_age_max",
    "webhook",
    "callback",
];

pub(crate) fn read(
    name: ProfileName,
    text: Cow<'static, str>,
) -> Result<Profile, Vec<ProfileFault>> {
    let (table, syntax) = DeTable::parse_recoverable(&text);
    let mut source = Source::new(&text);
    for error in syntax {
        source.fault_at(
            error.span().map_or(0, |span| span.start),
            "",
            error.message(),
        );
    }
    let top = Section::top(&table);
    let known: Vec<_> = OF_THE_PROFILE
        .into_iter()
        .chain(contract::MEMBERS)
        .collect();
    top.expect_only(&mut source, &known);

    let description = top
        .get("description")
        .and_then(|member| member.text(&mut source));
    let event_types = top
        .get("event_types")
        .and_then(|member| event_types(&mut source, &member));
    let payload_age_max = top
        .get("payload_age_max")
        .and_then(|member| member.duration(&mut source));
    let webhook = contract::read(&mut source, &top, DestinationKind::Webhook);
    let callback = contract::read(&mut source, &top, DestinationKind::Callback);

    let description = description.map(str::to_owned);
    let faults = source.into_faults();
    match (webhook, callback) {
        (Some(webhook), Some(callback)) if faults.is_empty() => {
            drop(table);
            Ok(Profile {
                name,
                source: text,
                description,
                event_types,
                payload_age_max,
                webhook,
                callback,
            })
        }
        _ => Err(faults),
    }
}

fn event_types(source: &mut Source<'_>, member: &Member<'_>) -> Option<BTreeSet<EventType>> {
    let items = member.items(source)?;
    if items.is_empty() {
        member.fault(source, "names no type; leave it out to take all");
    }
    Some(
        items
            .iter()
            .filter_map(|item| item.parsed(source))
            .collect(),
    )
}
