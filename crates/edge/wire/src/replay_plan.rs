//! Stored replay plans, in the parts that change at different hands, and the chunks of their lists.
//!
//! A plan's parts are JSON. A chunk is lines of text, since there are a thousand in a large plan and each has a thousand
//! entries: the version and the destinations, then an entry on each line. Marks are a letter for each entry.

use crate::{VERSION, WireError, check_version, json_error, parts::read, record::to_bytes};
use ringback_domain::{
    DestinationId, Generation, Timestamp, limits,
    replay_plan::{
        AgeBand, CauseCount, DestinationCount, EntryDelivery, EntryMark, Pacing, PlanChange,
        PlanCounts, PlanEntry, PlanPreview, PlanProgress, PlanState, PlanStatus, PlanTerms,
        ReplayPlan, StopRule,
    },
};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use std::{collections::BTreeMap, fmt::Write, num::NonZeroU32, str::FromStr};

const WHAT: &str = "replay plan";
const CHUNK: &str = "chunk of a replay plan";

#[derive(Serialize, Deserialize)]
struct PlanLine {
    terms: TermsLine,
    status: StatusLine,
    progress: ProgressLine,
}

#[derive(Serialize, Deserialize)]
struct TermsLine {
    v: u32,
    id: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    project: Option<String>,
    selection: String,
    reason: String,
    by: String,
    planned_at: Timestamp,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    rate: Option<NonZeroU32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    concurrency: Option<NonZeroU32>,
    order: String,
    target: String,
    stop: StopLine,
    sends_stale: bool,
    preview: PreviewLine,
}

#[derive(Serialize, Deserialize)]
struct StopLine {
    share_percent: u8,
    window: u16,
}

#[derive(Serialize, Deserialize)]
struct PreviewLine {
    entries: u32,
    by_destination: Vec<DestinationLine>,
    by_cause: Vec<CauseLine>,
    by_age: BTreeMap<String, u32>,
    stale: u32,
    not_events: u32,
}

#[derive(Serialize, Deserialize)]
struct DestinationLine {
    id: String,
    url: String,
    entries: u32,
    stale: u32,
}

#[derive(Serialize, Deserialize)]
struct CauseLine {
    fingerprint: String,
    summary: String,
    entries: u32,
}

#[derive(Serialize, Deserialize)]
struct StatusLine {
    v: u32,
    #[serde(flatten)]
    state: StateLine,
    changes: Vec<ChangeLine>,
    revision: u64,
}

#[derive(Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
enum StateLine {
    Planned,
    Running,
    Paused,
    StoppedItself { failed: u16, of: u16 },
    Cancelled,
    Finished,
}

#[derive(Serialize, Deserialize)]
struct ChangeLine {
    at: Timestamp,
    by: String,
    #[serde(flatten)]
    to: StateLine,
}

#[derive(Serialize, Deserialize)]
struct ProgressLine {
    v: u32,
    /// Words of [`EntryMark::class`]; none is left out but those of which there are none.
    counts: BTreeMap<String, u32>,
    by_destination: Vec<(String, BTreeMap<String, u32>)>,
    chunks_begun: u32,
    chunks_open: Vec<u32>,
    /// `f` for one that failed, `d` for one that did not, oldest first.
    signs: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    began_at: Option<Timestamp>,
    changed_at: Timestamp,
}

/// A plan as one record.
pub fn encode(plan: &ReplayPlan) -> Vec<u8> {
    to_bytes(&PlanLine {
        terms: TermsLine::of(&plan.terms),
        status: StatusLine::of(&plan.status),
        progress: ProgressLine::of(&plan.progress),
    })
}

/// Reads a plan.
///
/// # Errors
///
/// What of the record cannot be read.
pub fn decode(bytes: &[u8]) -> Result<ReplayPlan, WireError> {
    let line: PlanLine = of_json(bytes)?;
    Ok(ReplayPlan {
        terms: line.terms.read()?,
        status: line.status.read()?,
        progress: line.progress.read()?,
    })
}

/// What was asked for, as a record.
pub fn encode_terms(terms: &PlanTerms) -> Vec<u8> {
    to_bytes(&TermsLine::of(terms))
}

/// Reads what was asked for.
///
/// # Errors
///
/// What of the record cannot be read.
pub fn decode_terms(bytes: &[u8]) -> Result<PlanTerms, WireError> {
    of_json::<TermsLine>(bytes)?.read()
}

/// Where it stands, as a record.
pub fn encode_status(status: &PlanStatus) -> Vec<u8> {
    to_bytes(&StatusLine::of(status))
}

/// Reads where it stands.
///
/// # Errors
///
/// What of the record cannot be read.
pub fn decode_status(bytes: &[u8]) -> Result<PlanStatus, WireError> {
    of_json::<StatusLine>(bytes)?.read()
}

/// How far it came, as a record.
pub fn encode_progress(progress: &PlanProgress) -> Vec<u8> {
    to_bytes(&ProgressLine::of(progress))
}

/// Reads how far it came.
///
/// # Errors
///
/// What of the record cannot be read.
pub fn decode_progress(bytes: &[u8]) -> Result<PlanProgress, WireError> {
    of_json::<ProgressLine>(bytes)?.read()
}

/// The entries of a chunk.
pub fn encode_entries(entries: &[PlanEntry]) -> Vec<u8> {
    let mut destinations: Vec<&DestinationId> = Vec::new();
    let mut lines = String::with_capacity(entries.len() * 80);
    for entry in entries {
        let _ = write!(lines, "\n{}", entry.dead_letter);
        if let Some(delivery) = &entry.delivery {
            let known = destinations
                .iter()
                .rposition(|known| **known == delivery.destination);
            let place = known.unwrap_or_else(|| {
                destinations.push(&delivery.destination);
                destinations.len() - 1
            });
            let _ = write!(
                lines,
                " {} {} {place}",
                delivery.id,
                delivery.generation.get()
            );
        }
    }
    let mut text = VERSION.to_string();
    for destination in destinations {
        let _ = write!(text, " {destination}");
    }
    text.push_str(&lines);
    text.into_bytes()
}

/// Reads the entries of a chunk.
///
/// # Errors
///
/// What of the record cannot be read.
pub fn decode_entries(bytes: &[u8]) -> Result<Vec<PlanEntry>, WireError> {
    let text = std::str::from_utf8(bytes).map_err(|_| wrong("text", "is not text"))?;
    let mut lines = text.split('\n');
    let mut head = lines.next().unwrap_or_default().split(' ');
    let version = head.next().and_then(|version| version.parse().ok());
    check_version(CHUNK, version.unwrap_or(0))?;
    let destinations: Vec<DestinationId> = head
        .map(|id| read(CHUNK, "destinations", id))
        .collect::<Result<_, _>>()?;
    let entries = lines.map(|line| {
        let words: Vec<_> = line.split(' ').collect();
        let delivery = match words[1..] {
            [] => None,
            [id, generation, place] => {
                let generation = number(generation, "generation")?;
                let destination = destinations.get(number::<usize>(place, "destination")?);
                Some(EntryDelivery {
                    id: read(CHUNK, "delivery", id)?,
                    generation: Generation::new(generation),
                    destination: destination
                        .ok_or_else(|| wrong("destination", "is not in the list"))?
                        .clone(),
                })
            }
            _ => return Err(wrong("entry", "has too many or too few words")),
        };
        Ok(PlanEntry {
            dead_letter: read(CHUNK, "dead letter", words[0])?,
            delivery,
        })
    });
    let entries: Vec<_> = entries.collect::<Result<_, _>>()?;
    if entries.len() > limits::PLAN_CHUNK_ENTRIES {
        return Err(wrong("entries", "are too many"));
    }
    Ok(entries)
}

/// The marks of a chunk.
pub fn encode_marks(marks: &[EntryMark]) -> String {
    marks.iter().map(|mark| mark.letter()).collect()
}

/// Reads the marks of a chunk of so many entries. Where there are none, none was begun.
///
/// # Errors
///
/// When they are not of so many entries, or not marks.
pub fn decode_marks(text: &str, entries: usize) -> Result<Vec<EntryMark>, WireError> {
    if text.is_empty() {
        return Ok(vec![EntryMark::Waiting; entries]);
    }
    let marks = text.chars().map(EntryMark::of_letter);
    let marks: Option<Vec<_>> = marks.collect();
    marks
        .filter(|marks| marks.len() == entries)
        .ok_or_else(|| wrong("marks", "are not one for each entry"))
}

fn wrong(member: &'static str, problem: &str) -> WireError {
    WireError::Member {
        what: CHUNK,
        member,
        problem: problem.to_owned(),
    }
}

fn number<T: FromStr>(text: &str, member: &'static str) -> Result<T, WireError> {
    text.parse().map_err(|_| wrong(member, "is not a number"))
}

fn of_json<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, WireError> {
    serde_json::from_slice(bytes).map_err(|error| json_error(WHAT, &error))
}

impl TermsLine {
    fn of(terms: &PlanTerms) -> Self {
        Self {
            v: VERSION,
            id: terms.id.to_string(),
            project: terms.project.as_ref().map(ToString::to_string),
            selection: terms.selection.clone(),
            reason: terms.reason.clone(),
            by: terms.by.clone(),
            planned_at: terms.planned_at,
            rate: terms.pacing.rate,
            concurrency: terms.pacing.concurrency,
            order: terms.pacing.order.to_string(),
            target: terms.target.to_string(),
            stop: StopLine {
                share_percent: terms.stop_rule.share_percent(),
                window: terms.stop_rule.window(),
            },
            sends_stale: terms.sends_stale,
            preview: PreviewLine::of(&terms.preview),
        }
    }

    fn read(self) -> Result<PlanTerms, WireError> {
        check_version(WHAT, self.v)?;
        let project = self.project.map(|text| read(WHAT, "project", &text));
        let StopLine {
            share_percent,
            window,
        } = self.stop;
        let stop_rule = StopRule::try_new(share_percent, window);
        Ok(PlanTerms {
            id: read(WHAT, "id", &self.id)?,
            project: project.transpose()?,
            selection: self.selection,
            reason: self.reason,
            by: self.by,
            planned_at: self.planned_at,
            pacing: Pacing {
                rate: self.rate,
                concurrency: self.concurrency,
                order: read(WHAT, "order", &self.order)?,
            },
            target: read(WHAT, "target", &self.target)?,
            stop_rule: stop_rule.map_err(|refused| WireError::Member {
                what: WHAT,
                member: "stop",
                problem: format!("is not accepted: {refused}"),
            })?,
            sends_stale: self.sends_stale,
            preview: self.preview.read()?,
        })
    }
}

impl PreviewLine {
    fn of(preview: &PlanPreview) -> Self {
        let by_destination = preview.by_destination.iter().map(|group| DestinationLine {
            id: group.destination.to_string(),
            url: group.url.clone(),
            entries: group.entries,
            stale: group.stale,
        });
        let by_cause = preview.by_cause.iter().map(|group| CauseLine {
            fingerprint: group.fingerprint.clone(),
            summary: group.summary.clone(),
            entries: group.entries,
        });
        let by_age = AgeBand::ALL.into_iter().zip(preview.by_age);
        Self {
            entries: preview.entries,
            by_destination: by_destination.collect(),
            by_cause: by_cause.collect(),
            by_age: by_age
                .map(|(band, count)| (band.as_str().to_owned(), count))
                .collect(),
            stale: preview.stale,
            not_events: preview.not_events,
        }
    }

    fn read(self) -> Result<PlanPreview, WireError> {
        let by_destination = self.by_destination.into_iter().map(|group| {
            Ok(DestinationCount {
                destination: read(WHAT, "preview.by_destination.id", &group.id)?,
                url: group.url,
                entries: group.entries,
                stale: group.stale,
            })
        });
        let by_cause = self.by_cause.into_iter().map(|group| CauseCount {
            fingerprint: group.fingerprint,
            summary: group.summary,
            entries: group.entries,
        });
        let of_age = |band: AgeBand| self.by_age.get(band.as_str()).copied().unwrap_or(0);
        Ok(PlanPreview {
            entries: self.entries,
            by_destination: by_destination.collect::<Result<_, WireError>>()?,
            by_cause: by_cause.collect(),
            by_age: AgeBand::ALL.map(of_age),
            stale: self.stale,
            not_events: self.not_events,
        })
    }
}

impl StateLine {
    fn of(state: PlanState) -> Self {
        match state {
            PlanState::Planned => Self::Planned,
            PlanState::Running => Self::Running,
            PlanState::Paused => Self::Paused,
            PlanState::StoppedItself { failed, of } => Self::StoppedItself { failed, of },
            PlanState::Cancelled => Self::Cancelled,
            PlanState::Finished => Self::Finished,
        }
    }

    fn read(self) -> PlanState {
        match self {
            Self::Planned => PlanState::Planned,
            Self::Running => PlanState::Running,
            Self::Paused => PlanState::Paused,
            Self::StoppedItself { failed, of } => PlanState::StoppedItself { failed, of },
            Self::Cancelled => PlanState::Cancelled,
            Self::Finished => PlanState::Finished,
        }
    }
}

impl StatusLine {
    fn of(status: &PlanStatus) -> Self {
        let changes = status.changes.iter().map(|change| ChangeLine {
            at: change.at,
            by: change.by.clone(),
            to: StateLine::of(change.to),
        });
        Self {
            v: VERSION,
            state: StateLine::of(status.state),
            changes: changes.collect(),
            revision: status.revision,
        }
    }

    fn read(self) -> Result<PlanStatus, WireError> {
        check_version(WHAT, self.v)?;
        let changes = self.changes.into_iter().map(|change| PlanChange {
            at: change.at,
            by: change.by,
            to: change.to.read(),
        });
        Ok(PlanStatus {
            state: self.state.read(),
            changes: changes.collect(),
            revision: self.revision,
        })
    }
}

fn counts_of(counts: &PlanCounts) -> BTreeMap<String, u32> {
    let all = EntryMark::ALL.into_iter();
    let all = all.map(|mark| (mark.class().to_owned(), counts.get(mark)));
    all.filter(|(_, count)| *count > 0).collect()
}

fn read_counts(line: &BTreeMap<String, u32>) -> PlanCounts {
    let mut counts = PlanCounts::default();
    for mark in EntryMark::ALL {
        counts.set(mark, line.get(mark.class()).copied().unwrap_or(0));
    }
    counts
}

impl ProgressLine {
    fn of(progress: &PlanProgress) -> Self {
        let by_destination = progress.by_destination.iter();
        let signs = progress.signs.iter();
        Self {
            v: VERSION,
            counts: counts_of(&progress.counts),
            by_destination: by_destination
                .map(|(id, counts)| (id.to_string(), counts_of(counts)))
                .collect(),
            chunks_begun: progress.chunks_begun,
            chunks_open: progress.chunks_open.clone(),
            signs: signs
                .map(|failed| if *failed { 'f' } else { 'd' })
                .collect(),
            began_at: progress.began_at,
            changed_at: progress.changed_at,
        }
    }

    fn read(self) -> Result<PlanProgress, WireError> {
        check_version(WHAT, self.v)?;
        let by_destination = self.by_destination.iter().map(|(id, counts)| {
            let id = read(WHAT, "by_destination", id)?;
            Ok((id, read_counts(counts)))
        });
        Ok(PlanProgress {
            counts: read_counts(&self.counts),
            by_destination: by_destination.collect::<Result<_, WireError>>()?,
            chunks_begun: self.chunks_begun,
            chunks_open: self.chunks_open,
            signs: self.signs.chars().map(|sign| sign == 'f').collect(),
            began_at: self.began_at,
            changed_at: self.changed_at,
        })
    }
}
