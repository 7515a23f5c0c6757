//! What may have been signed: a template, an id, a timestamp.

use super::{
    Evidence, Known, MISTAKES_MAX, Mistake, NamedScheme,
    body::top_members,
    header::{self, Target},
};
use crate::{SecretEncoding, template::Part};
use std::collections::HashSet;

/// Headers and members that are tried as id or timestamp.
const CANDIDATES_MAX: usize = 32;
const CANDIDATE_BYTES_MAX: usize = 200;
/// Seconds before and after the timestamp that are tried: a receiver that signs with its own clock is this near.
const CLOCK_SECONDS_MAX: i64 = 300;

/// What takes the place of a value that is not there.
const NOTHINGS: [&str; 4] = ["", "undefined", "null", "None"];

/// Templates of what is signed that people take for one another.
const TEMPLATES: [&str; 13] = [
    "{body}",
    "{timestamp}.{body}",
    "{id}.{timestamp}.{body}",
    "{timestamp}.{id}.{body}",
    "{id}.{body}",
    "{timestamp}{body}",
    "{id}{timestamp}{body}",
    "{timestamp}:{body}",
    "v0:{timestamp}:{body}",
    "{timestamp}\n{body}",
    "{body}.{timestamp}",
    "{body}{timestamp}",
    "{id}{body}",
];

/// One reading of the request, with the mistakes it stands for.
pub(super) struct Reading<'a> {
    pub(super) template: Vec<Part>,
    pub(super) encoding: &'a SecretEncoding,
    pub(super) id: String,
    pub(super) timestamp: String,
    pub(super) mistakes: Vec<Mistake>,
    /// How much of what is tried together it takes up.
    pub(super) weight: usize,
    /// The digests to be met, where they are not those of the expected scheme.
    pub(super) targets: Option<Vec<Target>>,
}

/// What the request says, by the headers of a scheme.
pub(super) struct Said {
    pub(super) id: Option<String>,
    pub(super) timestamp: Option<String>,
}

impl Said {
    pub(super) fn of(named: &NamedScheme, evidence: &Evidence<'_>) -> Self {
        let header = |name: &Option<String>| {
            let value = name.as_deref().and_then(|name| evidence.header(name));
            value.map(str::to_owned)
        };
        let carried = evidence
            .header(named.scheme.header())
            .and_then(|value| named.scheme.split_lead(value).ok()?.0);
        Self {
            id: header(&named.id_header),
            timestamp: carried
                .map(str::to_owned)
                .or_else(|| header(&named.timestamp_header)),
        }
    }
}

/// The reading that is right, and every other, each once: what is signed, where it is looked for, with which key.
pub(super) fn readings<'a>(
    expected: &'a NamedScheme,
    others: &'a [NamedScheme],
    evidence: &Evidence<'_>,
) -> Vec<Reading<'a>> {
    let said = Said::of(expected, evidence);
    let signed = expected.scheme.signed();
    let mut all = Collected::new(expected);
    let (id, timestamp) = (said.id.as_deref(), said.timestamp.as_deref());
    let ids = if signed.has_id() {
        ids(expected, id, evidence)
    } else {
        vec![(String::new(), None)]
    };
    let timestamps = if signed.has_timestamp() {
        timestamps(expected, timestamp, evidence)
    } else {
        vec![(String::new(), None)]
    };
    let own = signed.parts().to_vec();
    // The expected scheme, then other schemes, then what is nearly the expected one.
    all.add_known(&own, &ids, &timestamps, 0);
    for other in others {
        all.add_scheme(other, evidence);
    }
    all.add_known(&own, &ids, &timestamps, 1);
    for template in TEMPLATES {
        all.add_template(template, signed.parts(), id, timestamp);
    }
    if signed.has_timestamp() {
        all.add_clock(&own, id, timestamp);
    }
    all.add_known(&own, &ids, &timestamps, 2);
    all.readings
}

type Candidate = (String, Option<Mistake>);

struct Collected<'a> {
    expected: &'a NamedScheme,
    seen: HashSet<(String, String, String)>,
    readings: Vec<Reading<'a>>,
}

impl<'a> Collected<'a> {
    fn new(expected: &'a NamedScheme) -> Self {
        Self {
            expected,
            seen: HashSet::new(),
            readings: Vec::new(),
        }
    }

    fn add(&mut self, template: &[Part], id: &str, timestamp: &str, mistakes: Vec<Mistake>) {
        let weight = mistakes.len();
        self.add_weighed(template, id, timestamp, mistakes, weight);
    }

    fn add_weighed(
        &mut self,
        template: &[Part],
        id: &str,
        timestamp: &str,
        mistakes: Vec<Mistake>,
        weight: usize,
    ) {
        let used = |part, text: &str| {
            if template.contains(&part) {
                text.to_owned()
            } else {
                String::new()
            }
        };
        let (id, timestamp) = (used(Part::Id, id), used(Part::Timestamp, timestamp));
        let spelled = spelled(template);
        if self.seen.insert((spelled, id.clone(), timestamp.clone())) {
            self.readings.push(Reading {
                template: template.to_vec(),
                encoding: self.expected.scheme.secret_encoding(),
                id,
                timestamp,
                mistakes,
                weight,
                targets: None,
            });
        }
    }

    /// The expected template with every id and timestamp that together stand for so many mistakes.
    fn add_known(
        &mut self,
        template: &[Part],
        ids: &[Candidate],
        timestamps: &[Candidate],
        count: usize,
    ) {
        for (id, id_mistake) in ids {
            for (timestamp, timestamp_mistake) in timestamps {
                let mistakes: Vec<_> = id_mistake
                    .iter()
                    .chain(timestamp_mistake)
                    .cloned()
                    .collect();
                if mistakes.len() == count {
                    self.add(template, id, timestamp, mistakes);
                }
            }
        }
    }

    /// Another scheme, with its own headers; its signature is where it belongs, or where the expected one is.
    fn add_scheme(&mut self, other: &'a NamedScheme, evidence: &Evidence<'_>) {
        let (own, scheme) = (&self.expected.scheme, &other.scheme);
        let header = evidence.computed.or(evidence.header(scheme.header()));
        let is_alike =
            own.signed() == scheme.signed() && own.secret_encoding() == scheme.secret_encoding();
        let is_elsewhere = header.is_some() && !own.header().eq_ignore_ascii_case(scheme.header());
        if is_alike && (!is_elsewhere || evidence.computed.is_some()) {
            return;
        }
        let said = Said::of(other, evidence);
        let signed = scheme.signed();
        let wants = |wanted: bool, said: Option<String>| match said {
            Some(said) => Some(said),
            None if wanted => None,
            None => Some(String::new()),
        };
        let (Some(id), Some(timestamp)) = (
            wants(signed.has_id(), said.id),
            wants(signed.has_timestamp(), said.timestamp),
        ) else {
            return;
        };
        let Some(value) = header.or(evidence.claimed(own)) else {
            return;
        };
        self.readings.push(Reading {
            template: signed.parts().to_vec(),
            encoding: scheme.secret_encoding(),
            id,
            timestamp,
            mistakes: vec![Mistake {
                name: "other-scheme",
                says: format!("it was signed as {} are", other.name),
                advice: "verify with the scheme of the platform that sends: see its profile",
            }],
            weight: 1,
            targets: Some(header::targets(scheme, value)),
        });
    }

    fn add_template(
        &mut self,
        text: &str,
        own: &[Part],
        id: Option<&str>,
        timestamp: Option<&str>,
    ) {
        let template = Part::parse_signed(text).expect("our own templates are well formed");
        let lacks = |part, said: Option<&str>| template.contains(&part) && said.is_none();
        if template == own || lacks(Part::Id, id) || lacks(Part::Timestamp, timestamp) {
            return;
        }
        let mistake = Mistake {
            name: "other-parts",
            says: format!(
                "what was signed is `{}`, where this scheme signs `{}`",
                text.escape_debug(),
                spelled(own)
            ),
            advice: "join exactly what the scheme names, in its order, with its separators",
        };
        self.add(
            &template,
            id.unwrap_or_default(),
            timestamp.unwrap_or_default(),
            vec![mistake],
        );
    }

    /// Moments around the timestamp, for those who sign with their own clock.
    fn add_clock(&mut self, template: &[Part], id: Option<&str>, timestamp: Option<&str>) {
        let Some(seconds) = timestamp.and_then(|text| text.parse::<i64>().ok()) else {
            return;
        };
        let lacks_id = template.contains(&Part::Id) && id.is_none();
        if lacks_id {
            return;
        }
        for off in (1..=CLOCK_SECONDS_MAX).flat_map(|off| [off, -off]) {
            let mistake = Mistake {
                name: "timestamp-of-clock",
                says: format!("the timestamp signed is {off:+} s from the one that was sent"),
                advice: "sign with the timestamp of the request's header, not with the time of day",
            };
            let moment = seconds.saturating_add(off).to_string();
            // Too many to be tried together with anything else.
            let id = id.unwrap_or_default();
            self.add_weighed(template, id, &moment, vec![mistake], MISTAKES_MAX);
        }
    }
}

fn spelled(template: &[Part]) -> String {
    template.iter().map(ToString::to_string).collect()
}

fn ids(expected: &NamedScheme, said: Option<&str>, evidence: &Evidence<'_>) -> Vec<Candidate> {
    let name = expected.id_header.as_deref().unwrap_or("the id's header");
    let mut ids: Vec<Candidate> = said.map(|id| (id.to_owned(), None)).into_iter().collect();
    for (place, value) in elsewhere(expected, evidence) {
        ids.push((
            value,
            Some(Mistake {
                name: "other-id",
                says: format!("the id signed is that of {place}"),
                advice: "the id is the one of the request's header, and stays the same in every attempt",
            }),
        ));
    }
    ids.extend(NOTHINGS.map(|nothing| {
        let says = format!("the id signed is `{nothing}`, not the value of `{name}`");
        (
            nothing.to_owned(),
            Some(Mistake {
                name: "id-missing",
                says,
                advice: "look at the name of the header the id is read from",
            }),
        )
    }));
    ids
}

fn timestamps(
    expected: &NamedScheme,
    said: Option<&str>,
    evidence: &Evidence<'_>,
) -> Vec<Candidate> {
    let name = expected
        .timestamp_header
        .as_deref()
        .unwrap_or(expected.scheme.header());
    let mut timestamps: Vec<Candidate> = said
        .map(|text| (text.to_owned(), None))
        .into_iter()
        .collect();
    if let Some(number) = said.and_then(|text| text.parse::<i64>().ok()) {
        let seconds = Known {
            name: "milliseconds",
            says: "the timestamp signed is in seconds, the one that was sent in milliseconds",
            advice: "send and sign one timestamp, in Unix seconds",
        };
        let milliseconds = Known {
            name: "milliseconds",
            says: "the timestamp signed is in milliseconds, the one that was sent in seconds",
            advice: "sign the text of the header as it came: Unix seconds, no arithmetic",
        };
        timestamps.push(((number / 1000).to_string(), Some(seconds.mistake())));
        timestamps.push((
            number.saturating_mul(1000).to_string(),
            Some(milliseconds.mistake()),
        ));
    }
    for (place, value) in elsewhere(expected, evidence) {
        let mistake = || Mistake {
            name: "other-timestamp",
            says: format!("the timestamp signed is that of {place}"),
            advice: "the timestamp signed is the one beside the signature, as it came",
        };
        if let Ok(moment) = value.parse::<ringback_domain::Timestamp>() {
            timestamps.push((moment.as_second().to_string(), Some(mistake())));
            timestamps.push((moment.as_millisecond().to_string(), Some(mistake())));
        }
        if value.bytes().any(|byte| byte.is_ascii_digit()) {
            timestamps.push((value, Some(mistake())));
        }
    }
    timestamps.extend(NOTHINGS.map(|nothing| {
        let says = format!("the timestamp signed is `{nothing}`, not the value of `{name}`");
        (
            nothing.to_owned(),
            Some(Mistake {
                name: "timestamp-missing",
                says,
                advice: "look at the name of the header the timestamp is read from",
            }),
        )
    }));
    timestamps
}

/// Short values of other headers and of the body's members, with where they stand.
fn elsewhere(expected: &NamedScheme, evidence: &Evidence<'_>) -> Vec<(String, String)> {
    let is_own = |name: &str| name.eq_ignore_ascii_case(expected.scheme.header());
    let headers = evidence.headers.iter();
    let headers = headers
        .filter(|(name, _)| !is_own(name))
        .map(|(name, value)| (format!("header `{name}`"), value.clone()));
    let members = top_members(evidence.body);
    let members = members
        .into_iter()
        .map(|(name, value)| (format!("the body's `{name}`"), value));
    headers
        .chain(members)
        .filter(|(_, value)| {
            !value.is_empty()
                && value.len() <= CANDIDATE_BYTES_MAX
                && !value.contains(char::is_whitespace)
        })
        .take(CANDIDATES_MAX)
        .collect()
}
