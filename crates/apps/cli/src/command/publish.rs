//! `ringback publish`: events from a file or the standard input, each answered for.

use crate::{
    args::PublishArgs,
    failure::{Exit, Failure, Outcome},
    session::Session,
};
use bytes::Bytes;
use futures_util::{StreamExt, stream};
use indicatif::{ProgressBar, ProgressStyle};
use ringback_delivery::WebhookCache;
use ringback_domain::limits::BODY_BYTES_MAX;
use ringback_worker::{
    SystemEntropy,
    publish::{PublishError, Published, Publisher},
};
use serde::Serialize;
use std::{io::Cursor, path::Path, pin::pin, sync::Arc};
use tokio::{
    io::{AsyncBufRead, AsyncBufReadExt, AsyncReadExt, BufReader},
    signal::unix::{SignalKind, signal},
};
use tokio_util::sync::CancellationToken;

/// Events on their way to the queue at once: enough to share confirms, few enough to stop soon.
const IN_FLIGHT_MAX: usize = 256;

pub(crate) async fn run(session: &Session, args: PublishArgs) -> Outcome {
    let config = session.config()?;
    let desk = session.desk_of(&config).await?;
    let publisher = Publisher {
        queue: desk.queue.clone(),
        store: desk.store.clone(),
        webhooks: WebhookCache::new(desk.store.clone(), desk.clock.clone()),
        profiles: Arc::new(config.profile_book()),
        keys: desk.keys.clone(),
        urls: config.http.url_policy(),
        clock: desk.clock.clone(),
        entropy: Arc::new(SystemEntropy),
    };
    let done = match open(&args.file).await {
        Ok(input) => publish_all(session, &publisher, Events::new(input)).await,
        Err(failure) => Err(failure),
    };
    if done.as_ref().is_ok_and(|report| report.published > 0) {
        session.note_if_alone(&desk);
    }
    desk.close().await;
    done?.show(session)
}

async fn open(file: &Path) -> Outcome<Box<dyn AsyncBufRead + Unpin>> {
    if file == Path::new("-") {
        return Ok(Box::new(BufReader::new(tokio::io::stdin())));
    }
    Failure::if_directory(file)?;
    let opened = tokio::fs::File::open(file).await;
    let file = opened.map_err(|failure| {
        Failure::usage(format!("could not open `{}`", file.display())).because(failure)
    })?;
    Ok(Box::new(BufReader::with_capacity(64 * 1024, file)))
}

/// What became of the events.
#[derive(Default, Serialize)]
struct Report {
    published: u64,
    /// Those of them that were dispatched before, and go out no second time.
    known_already: u64,
    refused: Vec<Refused>,
    /// Set when the broker or store stopped answering: what was read up to here, and not refused, is published or unknown.
    #[serde(skip_serializing_if = "Option::is_none")]
    stopped_at_line: Option<u64>,
    #[serde(skip)]
    stopped_by: Option<Failure>,
}

#[derive(Serialize)]
struct Refused {
    line: u64,
    /// Where an event over several lines ends.
    #[serde(skip_serializing_if = "Option::is_none")]
    last_line: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    member: Option<String>,
    problem: String,
}

/// Why an event was not published.
enum Problem {
    /// It could not even be read.
    Text(String),
    Event(PublishError),
}

impl Report {
    fn note(&mut self, lines: Lines, result: Result<Published, Problem>) {
        let Lines { first: line, last } = lines;
        let last_line = (last > line).then_some(last);
        match result {
            Ok(published) => {
                self.published += 1;
                self.known_already += u64::from(published.is_known);
            }
            Err(Problem::Text(problem)) => self.refused.push(Refused {
                line,
                last_line,
                member: None,
                problem,
            }),
            Err(Problem::Event(error)) => {
                let problem = chain(&error);
                self.refused.push(Refused {
                    line,
                    last_line,
                    member: error.member().map(str::to_owned),
                    problem,
                });
                if error.is_passing() && self.stopped_by.is_none() {
                    self.stopped_at_line = Some(line);
                    self.stopped_by = Some(Failure::of(Exit::Unreachable, &error));
                }
            }
        }
    }

    fn show(mut self, session: &Session) -> Outcome {
        self.refused.sort_by_key(|refused| refused.line);
        session.terminal.data(&self, |report| {
            let mut lines: Vec<_> = report
                .refused
                .iter()
                .map(|refused| {
                    let problem = ringback_domain::harmless_text(refused.problem.as_bytes());
                    match refused.last_line {
                        None => format!("line {}: {problem}", refused.line),
                        Some(last) => {
                            format!("lines {} to {last}: {problem}", refused.line)
                        }
                    }
                })
                .collect();
            let refused = report.refused.len();
            let known = match (report.known_already, report.published) {
                (0, _) => String::new(),
                (1, 1) => ", known already: it goes out once".to_owned(),
                (known, _) => format!(", {known} known already: each goes out once"),
            };
            lines.push(match (report.published, refused) {
                (1, 0) => format!("published 1 event{known}"),
                (published, 0) => format!("published {published} events{known}"),
                (published, refused) => format!(
                    "published {published} of {} events{known}, refused {refused}",
                    published + refused as u64
                ),
            });
            lines.join("\n")
        })?;
        match (self.stopped_by, self.refused.len(), self.published) {
            (Some(failure), ..) => Err(failure.hint(
                "publish the same events again: those known already are dropped by their ids",
            )),
            (None, 0, 0) => Err(Failure::usage("there was no event to publish")),
            (None, 0, _) => Ok(()),
            (None, 1, _) => Err(Failure::failed("one event was refused")),
            (None, many, _) => Err(Failure::failed(format!("{many} events were refused"))),
        }
    }
}

fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(source) = cause {
        text = format!("{text}: {source}");
        cause = source.source();
    }
    text
}

/// Reads and publishes at the same time: an event of a slow input does not wait for the next one to be read.
async fn publish_all(session: &Session, publisher: &Publisher, events: Events) -> Outcome<Report> {
    let progress = progress(session);
    let mut report = Report::default();
    let mut interrupts = signal(SignalKind::interrupt())
        .map_err(|failure| Failure::failed("could not listen for signals").because(failure))?;
    let no_more = CancellationToken::new();
    let texts = stream::try_unfold(events, async |mut events| {
        Ok(events.next().await?.map(|next| (next, events)))
    });
    let publish = async |read: Outcome<Numbered>| match read? {
        (lines, Err(problem)) => Ok((lines, Err(Problem::Text(problem)))),
        (lines, Ok(text)) => {
            let answer = publisher.publish(&text).await;
            Ok((lines, answer.map_err(Problem::Event)))
        }
    };
    let mut answers = pin!(
        texts
            .take_until(no_more.cancelled())
            .map(publish)
            .buffer_unordered(IN_FLIGHT_MAX)
    );
    loop {
        tokio::select! {
            answer = answers.next() => match answer {
                None => break,
                Some(Err(failure)) => report.stopped_by = Some(failure),
                Some(Ok((lines, result))) => {
                    report.note(lines, result);
                    progress.inc(1);
                }
            },
            // What is on its way is still waited for, unless asked twice.
            _ = interrupts.recv() => {
                if no_more.is_cancelled() {
                    break;
                }
                report.stopped_by = Some(Failure::failed("interrupted"));
            }
        }
        // A queue that stopped answering gets nothing more.
        if report.stopped_by.is_some() {
            no_more.cancel();
        }
    }
    progress.finish_and_clear();
    Ok(report)
}

fn progress(session: &Session) -> ProgressBar {
    if !session.terminal.shows_progress() {
        return ProgressBar::hidden();
    }
    let style = ProgressStyle::with_template("{spinner} {pos} published, {per_sec}")
        .expect("a template of our own");
    ProgressBar::new_spinner().with_style(style)
}

/// The events of an input: one a line, or one over several lines.
struct Events {
    input: Box<dyn AsyncBufRead + Unpin>,
    line: u64,
    is_first: bool,
}

/// Where an event stands.
#[derive(Clone, Copy)]
struct Lines {
    first: u64,
    last: u64,
}

/// An event's text, or why it cannot be one; with its lines.
type Numbered = (Lines, Result<Bytes, String>);

/// What some editors put before a text. It is none of it.
const BYTE_ORDER_MARK: &[u8] = "\u{feff}".as_bytes();

impl Events {
    fn new(input: Box<dyn AsyncBufRead + Unpin>) -> Self {
        Self {
            input,
            line: 0,
            is_first: true,
        }
    }

    async fn next(&mut self) -> Outcome<Option<Numbered>> {
        loop {
            let Some(line) = self.next_line().await? else {
                return Ok(None);
            };
            self.line += 1;
            let first = self.line;
            let at = |last| Lines { first, last };
            let Some(mut text) = line else {
                return Ok(Some((at(first), Err(too_long()))));
            };
            if first == 1 && text.starts_with(BYTE_ORDER_MARK) {
                text.drain(..BYTE_ORDER_MARK.len());
            }
            if text.trim_ascii().is_empty() {
                continue;
            }
            let mut last = first;
            if std::mem::take(&mut self.is_first) && goes_on(&text) {
                self.read_on(&mut text).await?;
                let ends = text.trim_ascii_end().iter().filter(|byte| **byte == b'\n');
                last += ends.count() as u64;
            }
            let text = if text.len() > BODY_BYTES_MAX + 1 {
                Err(too_long())
            } else if last > first && is_several(&text) {
                Err(
                    "several events over several lines (hint: write each on one line, as `jq -c .` does)"
                        .to_owned(),
                )
            } else {
                Ok(text.into())
            };
            return Ok(Some((at(last), text)));
        }
    }

    /// The rest of an event over several lines; nothing when what follows are events of their own, and the first is broken.
    async fn read_on(&mut self, first: &mut Vec<u8>) -> Outcome {
        let mut rest = Vec::new();
        let room = BODY_BYTES_MAX as u64 + 1;
        let read = (&mut self.input).take(room).read_to_end(&mut rest).await;
        read.map_err(could_not_read)?;
        let mut lines = rest.split(|byte| *byte == b'\n');
        let next = lines.find(|line| !line.trim_ascii().is_empty());
        if next.is_some_and(is_event_of_its_own) {
            let input = std::mem::replace(&mut self.input, Box::new(tokio::io::empty()));
            self.input = Box::new(Cursor::new(rest).chain(input));
        } else {
            first.push(b'\n');
            first.append(&mut rest);
        }
        Ok(())
    }

    /// The next line without its end; `Some(None)` when it is longer than any event. It is passed over, not kept.
    async fn next_line(&mut self) -> Outcome<Option<Option<Vec<u8>>>> {
        let mut line = Vec::new();
        let mut length = 0;
        loop {
            let buffer = self.input.fill_buf().await.map_err(could_not_read)?;
            if buffer.is_empty() {
                return Ok((length > 0).then_some(Some(line).filter(|_| length <= BODY_BYTES_MAX)));
            }
            let (taken, ends) = match buffer.iter().position(|byte| *byte == b'\n') {
                Some(at) => (at, true),
                None => (buffer.len(), false),
            };
            length += taken;
            if length <= BODY_BYTES_MAX {
                line.extend_from_slice(&buffer[..taken]);
            }
            self.input.consume(taken + usize::from(ends));
            if ends {
                return Ok(Some(Some(line).filter(|_| length <= BODY_BYTES_MAX)));
            }
        }
    }
}

/// Whether the line is the beginning of a JSON text that goes on.
fn goes_on(line: &[u8]) -> bool {
    serde_json::from_slice::<serde::de::IgnoredAny>(line).is_err_and(|error| error.is_eof())
}

/// Whether a whole JSON text is followed by another.
fn is_several(text: &[u8]) -> bool {
    let texts = serde_json::Deserializer::from_slice(text).into_iter::<serde::de::IgnoredAny>();
    texts.take(2).flatten().count() == 2
}

/// Whether the line alone is a JSON object with an event's id: a line within one event is not.
fn is_event_of_its_own(line: &[u8]) -> bool {
    serde_json::from_slice::<serde_json::Map<String, serde_json::Value>>(line)
        .is_ok_and(|members| members.contains_key("id") && members.contains_key("type"))
}

fn too_long() -> String {
    format!("the event is longer than {BODY_BYTES_MAX} bytes")
}

fn could_not_read(failure: std::io::Error) -> Failure {
    Failure::failed("could not read the events").because(failure)
}
