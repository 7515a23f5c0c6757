//! The generator: publishes events as an application would, and writes down when.

use crate::{
    BenchError,
    figures::{Micros, Sent},
    micros_now,
    part::{Entrance, Generate},
    usage::Usage,
};
use futures_util::{StreamExt, stream};
use reqwest::Client;
use ringback_producer::Producer;
use std::{collections::HashMap, fmt::Write as _, fs, path::Path, time::Duration};
use tokio::time::{Instant, sleep_until};

/// Publishes under way at once.
const AT_ONCE: usize = 1_000;
/// Events of one call to the API, when there is no pace to keep.
const BATCH: u64 = 100;
const BATCHES_AT_ONCE: usize = 4;
/// What the default profile and the event put round the filling of a body, about so many bytes.
const BODY_ROUND: usize = 120;

/// What the generator did.
#[derive(Debug, Default)]
pub(crate) struct Generated {
    pub(crate) sent: HashMap<String, Sent>,
    /// Processor time from connected to done, seconds.
    pub(crate) cpu_s: f64,
}

/// The project of an event.
pub(crate) fn project_of(projects: &[String], number: u64) -> &str {
    &projects[usize::try_from(number).unwrap_or(0) % projects.len()]
}

/// The number of an event within its run.
pub(crate) fn number_of(event: &str) -> Option<u64> {
    event.rsplit_once('-')?.1.parse().ok()
}

/// An event whose rendered body has about `body_bytes`.
fn event_text(told: &Generate, number: u64) -> String {
    let (run, project) = (&told.run, project_of(&told.projects, number));
    let filling = "x".repeat(told.body_bytes.saturating_sub(BODY_ROUND));
    format!(
        r#"{{"id":"{run}-{number}","project":"{project}","type":"job.completed","occurred_at":"2026-06-01T10:01:30Z","job":{{"id":"job-{number}"}},"data":{{"price":1.50,"ok":true,"filling":"{filling}"}}}}"#
    )
}

pub(crate) async fn run(told: Generate) -> Result<(), BenchError> {
    let sent = match &told.entrance {
        Entrance::Broker { urls, prefix } => {
            let producer = Producer::builder(urls).prefix(prefix).connect().await?;
            let before = Usage::of_this_process().map_err(BenchError::io("read own usage"))?;
            let sent = to_broker(&told, &producer).await;
            let used = cpu_since(before)?;
            producer.close().await;
            (sent, used)
        }
        Entrance::Api { url, key } => {
            let client = Client::builder().build().map_err(BenchError::Http)?;
            let before = Usage::of_this_process().map_err(BenchError::io("read own usage"))?;
            (to_api(&told, &client, url, key).await, cpu_since(before)?)
        }
    };
    let (sent, cpu_s) = sent;
    let mut text = format!("{cpu_s}\n");
    for (number, at, acknowledged) in sent {
        let _ = writeln!(
            text,
            "{}-{number} {at} {}",
            told.run,
            u8::from(acknowledged)
        );
    }
    fs::write(&told.out, text).map_err(BenchError::io("write down what was published"))
}

fn cpu_since(before: Usage) -> Result<f64, BenchError> {
    let now = Usage::of_this_process().map_err(BenchError::io("read own usage"))?;
    Ok(now.cpu_s - before.cpu_s)
}

/// When the event of this number is to be published.
fn due(told: &Generate, begun: Instant, number: u64) -> Option<Instant> {
    let per_second = f64::from(told.per_second?);
    #[expect(clippy::cast_precision_loss, reason = "a moment within a short run")]
    let after = number as f64 / per_second;
    Some(begun + Duration::from_secs_f64(after))
}

async fn to_broker(told: &Generate, producer: &Producer) -> Vec<(u64, Micros, bool)> {
    let begun = Instant::now();
    let numbers = stream::iter(0..told.events).then(|number| async move {
        if let Some(due) = due(told, begun, number) {
            sleep_until(due).await;
        }
        number
    });
    let publish = async |number| {
        let text = event_text(told, number);
        let at = micros_now();
        let published = producer.publish_json(text.into_bytes()).await;
        (number, at, published.is_ok())
    };
    numbers
        .map(publish)
        .buffer_unordered(AT_ONCE)
        .collect()
        .await
}

async fn to_api(
    told: &Generate,
    client: &Client,
    url: &str,
    key: &str,
) -> Vec<(u64, Micros, bool)> {
    let begun = Instant::now();
    let (batch, at_once) = match told.per_second {
        Some(_) => (1, AT_ONCE),
        None => (BATCH, BATCHES_AT_ONCE),
    };
    let firsts = (0..told.events).step_by(usize::try_from(batch).unwrap_or(1));
    let batches = stream::iter(firsts).then(|first| async move {
        if let Some(due) = due(told, begun, first) {
            sleep_until(due).await;
        }
        first..(first + batch).min(told.events)
    });
    let publish = async |numbers: std::ops::Range<u64>| {
        let lines: Vec<String> = numbers
            .clone()
            .map(|number| event_text(told, number))
            .collect();
        let at = micros_now();
        let call = client
            .post(format!("{url}/api/v1/events/batch"))
            .bearer_auth(key)
            .header("content-type", "application/x-ndjson")
            .body(lines.join("\n"));
        let answer = call.send().await;
        let taken = answer.is_ok_and(|answer| answer.status().as_u16() == 202);
        numbers
            .map(|number| (number, at, taken))
            .collect::<Vec<_>>()
    };
    let sent: Vec<Vec<_>> = batches
        .map(publish)
        .buffer_unordered(at_once)
        .collect()
        .await;
    sent.concat()
}

/// Reads what a generator wrote down.
pub(crate) fn read(path: &Path) -> Result<Generated, BenchError> {
    let text = fs::read_to_string(path).map_err(BenchError::io("read what was published"))?;
    parse(&text).ok_or_else(|| {
        BenchError::io("read what was published")(std::io::Error::other("it is garbled"))
    })
}

fn parse(text: &str) -> Option<Generated> {
    let mut lines = text.lines();
    let cpu_s = lines.next()?.parse().ok()?;
    let sent = lines.map(|line| {
        let [event, at, acknowledged] = line.split(' ').collect::<Vec<_>>().try_into().ok()?;
        let sent = Sent {
            at: at.parse().ok()?,
            acknowledged: acknowledged == "1",
        };
        Some((event.to_owned(), sent))
    });
    Some(Generated {
        sent: sent.collect::<Option<_>>()?,
        cpu_s,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_down_is_read() {
        let generated = parse("0.25\nrun-0 10 1\nrun-1 20 0\n").unwrap();
        assert!((generated.cpu_s - 0.25).abs() < 1e-9);
        let expected = Sent {
            at: 20,
            acknowledged: false,
        };
        assert_eq!(generated.sent["run-1"], expected);
        assert!(parse("0.25\nrun-0 10\n").is_none());
        assert_eq!(number_of("a-b-17"), Some(17));
    }

    #[test]
    fn an_event_is_one_and_its_filling_leaves_room_for_the_rest() {
        let told = Generate {
            entrance: Entrance::Broker {
                urls: String::new(),
                prefix: String::new(),
            },
            run: "r".into(),
            projects: vec!["a".into(), "b".into()],
            events: 2,
            per_second: None,
            body_bytes: 500,
            out: "out".into(),
        };
        let event: serde_json::Value = serde_json::from_str(&event_text(&told, 1)).unwrap();
        assert_eq!(event["project"], "b");
        assert_eq!(event["data"]["filling"].as_str().unwrap().len(), 380);
    }
}
