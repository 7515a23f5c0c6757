//! Dead letters as they are shown.

use super::{AttemptView, ListView, attempts_table, moment};
use crate::terminal::{facts, table};
use jiff::Timestamp;
use ringback_domain::{DeadLetter, DeadLetterContent, Disposal};
use serde::Serialize;

#[derive(Serialize)]
pub(crate) struct DeadLetterView {
    pub(crate) id: String,
    pub(crate) project: Option<String>,
    pub(crate) event: Option<String>,
    #[serde(rename = "type")]
    pub(crate) event_type: Option<String>,
    pub(crate) job: Option<String>,
    pub(crate) delivery: Option<String>,
    pub(crate) destination: Option<String>,
    pub(crate) url: Option<String>,
    pub(crate) reason: &'static str,
    pub(crate) fault: &'static str,
    pub(crate) cause: CauseView,
    pub(crate) why: Option<String>,
    pub(crate) died_at: Timestamp,
    pub(crate) disposal: DisposalView,
    pub(crate) body_bytes: usize,
    pub(crate) attempts: Vec<AttemptView>,
}

#[derive(Serialize)]
pub(crate) struct CauseView {
    pub(crate) fingerprint: String,
    pub(crate) summary: String,
}

#[derive(Serialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub(crate) enum DisposalView {
    Open,
    Replayed {
        at: Timestamp,
        by: String,
        generation: u32,
    },
    Discarded {
        at: Timestamp,
        note: String,
    },
}

impl From<&DeadLetter> for DeadLetterView {
    fn from(dead_letter: &DeadLetter) -> Self {
        let delivery = dead_letter.delivery();
        let event = match &dead_letter.content {
            DeadLetterContent::Delivery(delivery) => Some((
                &delivery.event.id,
                &delivery.event.event_type,
                &delivery.event.job.id,
            )),
            DeadLetterContent::Event { event, .. } => {
                Some((&event.id, &event.event_type, &event.job.id))
            }
            DeadLetterContent::Raw { .. } => None,
        };
        let (why, body_bytes) = match &dead_letter.content {
            DeadLetterContent::Delivery(delivery) => (None, delivery.body.len()),
            DeadLetterContent::Event { event, why } => (Some(why.clone()), event.document.len()),
            DeadLetterContent::Raw { bytes, why } => (Some(why.clone()), bytes.len()),
        };
        Self {
            id: dead_letter.id.to_string(),
            project: dead_letter.project.as_ref().map(ToString::to_string),
            event: event.map(|(id, _, _)| id.to_string()),
            event_type: event.map(|(_, event_type, _)| event_type.to_string()),
            job: event.map(|(_, _, job)| job.to_string()),
            delivery: delivery.map(|delivery| delivery.id.to_string()),
            destination: delivery.map(|delivery| delivery.destination.id().to_string()),
            url: delivery.map(|delivery| delivery.destination.display_url()),
            reason: dead_letter.reason.class(),
            fault: dead_letter.reason.fault().class(),
            cause: CauseView {
                fingerprint: dead_letter.cause.fingerprint.clone(),
                summary: dead_letter.cause.summary.clone(),
            },
            why,
            died_at: dead_letter.died_at,
            disposal: DisposalView::from(&dead_letter.disposal),
            body_bytes,
            attempts: delivery.map_or_else(Vec::new, |delivery| {
                delivery.history.iter().map(AttemptView::from).collect()
            }),
        }
    }
}

impl From<&Disposal> for DisposalView {
    fn from(disposal: &Disposal) -> Self {
        match disposal {
            Disposal::Open => Self::Open,
            Disposal::Replayed(replayed) => Self::Replayed {
                at: replayed.at,
                by: replayed.by.clone(),
                generation: replayed.generation.get(),
            },
            Disposal::Discarded { at, note } => Self::Discarded {
                at: *at,
                note: note.clone(),
            },
        }
    }
}

impl DisposalView {
    fn word(&self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Replayed { .. } => "replayed",
            Self::Discarded { .. } => "discarded",
        }
    }

    fn sentence(&self) -> String {
        match self {
            Self::Open => "open".to_owned(),
            Self::Replayed { at, by, generation } => {
                format!("replayed at {} by {by} as round {generation}", moment(*at))
            }
            Self::Discarded { at, note } => format!("discarded at {}: {note}", moment(*at)),
        }
    }
}

pub(crate) fn dead_letters_table(list: &ListView<DeadLetterView>) -> String {
    if list.data.is_empty() {
        return "no dead letters".to_owned();
    }
    let rows = list.data.iter().map(|dead| {
        [
            dead.id.clone(),
            dead.event_type.clone().unwrap_or_default(),
            dead.url.clone().unwrap_or_default(),
            dead.reason.replace('_', " "),
            dead.cause.summary.clone(),
            dead.attempts.len().to_string(),
            moment(dead.died_at),
            dead.disposal.word().to_owned(),
        ]
    });
    table(
        [
            "ID",
            "TYPE",
            "TO",
            "REASON",
            "CAUSE",
            "ATTEMPTS",
            "SINCE (UTC)",
            "STATE",
        ],
        rows,
    )
}

pub(crate) fn dead_letter_facts(dead: &DeadLetterView) -> String {
    let mut lines = vec![("dead letter", dead.id.clone())];
    let mut fact =
        |name, value: &Option<String>| lines.extend(value.clone().map(|value| (name, value)));
    fact("project", &dead.project);
    fact("event", &dead.event);
    fact("type", &dead.event_type);
    fact("job", &dead.job);
    fact("delivery", &dead.delivery);
    fact("destination", &dead.destination);
    fact("to", &dead.url);
    fact("why", &dead.why);
    lines.extend([
        ("reason", dead.reason.replace('_', " ")),
        ("whose fault", dead.fault.to_owned()),
        (
            "cause",
            format!("{} ({})", dead.cause.summary, dead.cause.fingerprint),
        ),
        ("since", moment(dead.died_at)),
        ("state", dead.disposal.sentence()),
        ("body", format!("{} bytes", dead.body_bytes)),
    ]);
    format!("{}\n\n{}", facts(lines), attempts_table(&dead.attempts))
}
