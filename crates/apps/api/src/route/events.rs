//! `/events`: taking events in.

use super::{BodyProblems, KeyProblems};
use crate::{
    Services,
    auth::{Caller, Publish},
    body::{Json, JsonLines},
    failure::chain,
    members::malformed,
    problem::{Code, Fault, Problem, ProblemDocument},
};
use axum::{
    extract::State,
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use futures_util::{StreamExt, stream};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use ringback_delivery::port::Entropy;
use ringback_domain::{
    EventId, TraceContext,
    limits::{BODY_BYTES_MAX, JSON_DEPTH_MAX},
};
use ringback_json::Limits;
use ringback_wire::event;
use ringback_worker::publish::PublishError;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

/// Events of a batch.
const BATCH_LINES_MAX: usize = 10_000;
/// Events of one batch on their way to the queue at once: enough to share confirms.
const BATCH_IN_FLIGHT: usize = 256;
/// The header that may name an event instead of its `id`.
const IDEMPOTENCY_KEY: &str = "idempotency-key";

const LIMITS: Limits = Limits {
    bytes_max: BODY_BYTES_MAX,
    depth_max: JSON_DEPTH_MAX,
};

pub(super) fn calls() -> OpenApiRouter<Arc<Services>> {
    OpenApiRouter::new()
        .routes(routes!(publish))
        .routes(routes!(publish_batch))
}

/// Something that happened to a job.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = Event)]
#[expect(dead_code, reason = "described only")]
struct EventBody {
    /// The same id within the idempotency window is the same event; one is made when it is left out or null.
    #[schema(pattern = "^[A-Za-z0-9_:-]{1,128}$")]
    id: Option<String>,
    #[schema(pattern = "^[a-z0-9_-]{1,64}$")]
    project: String,
    /// What happened, such as `task.completed`.
    #[serde(rename = "type")]
    #[schema(pattern = "^[A-Za-z0-9_.-]{1,128}$")]
    event_type: String,
    /// When it happened, such as `2026-06-01T10:01:30.250Z`; now, when it is left out.
    occurred_at: Option<jiff::Timestamp>,
    job: JobBody,
    /// Anything. Structure, order of members and the digits of numbers reach the profile as they stand here.
    data: Option<serde_json::Value>,
    /// A destination that the job itself names.
    callback: Option<CallbackBody>,
}

/// The job it happened to. Other members than these reach the profile, too.
#[derive(Deserialize, ToSchema)]
#[schema(as = Job)]
#[expect(dead_code, reason = "described only")]
struct JobBody {
    /// Visible ASCII.
    #[schema(pattern = "^[!-~]{1,256}$")]
    id: String,
    kind: Option<String>,
    status: Option<String>,
    /// When it was created, in the same form as `occurred_at`.
    created_at: Option<jiff::Timestamp>,
    /// When it ended, in the same form.
    completed_at: Option<jiff::Timestamp>,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = Callback)]
#[expect(dead_code, reason = "described only")]
struct CallbackBody {
    /// A public `https` or `http` address.
    #[schema(format = "uri", max_length = 2048)]
    url: String,
    /// What to sign with. It is sealed before it goes anywhere.
    #[schema(min_length = 1)]
    secret: Option<String>,
}

/// An event that is safe.
#[derive(Debug, Serialize, ToSchema)]
struct Accepted {
    id: String,
    /// Whether it was known already; then nothing was published.
    duplicate: bool,
}

/// Publishes an event. The answer comes once the broker has confirmed it.
#[utoipa::path(
    post, path = "/events", tag = "events", operation_id = "publish_event", request_body = EventBody,
    params(
        ("Idempotency-Key" = Option<String>, Header, description = "The event's id, where the body has none",
         pattern = "^[A-Za-z0-9_:-]{1,128}$")
    ),
    responses(
        (status = 202, description = "It is safe", body = Accepted), KeyProblems, BodyProblems
    )
)]
async fn publish(
    caller: Caller<Publish>,
    State(services): State<Arc<Services>>,
    headers: HeaderMap,
    Json(body): Json,
) -> Result<(StatusCode, axum::Json<Accepted>), Problem> {
    let named = idempotency_key(&headers)?;
    let trace = trace_of(&headers);
    let accepted = take_in(&caller, &services, body, named, trace.as_ref()).await?;
    Ok((StatusCode::ACCEPTED, axum::Json(accepted)))
}

/// What became of one line of a batch.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = LineResult)]
struct LineResult<'a> {
    /// The first is 1; empty lines count.
    line: usize,
    /// What the event alone would have been answered with.
    status: u16,
    /// The event's id, when it is safe.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    duplicate: Option<bool>,
    /// Why it was not published.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    problem: Option<ProblemDocument<'a>>,
}

/// Publishes events, one a line. Each is answered for on a line of its own, in the same order; those refused keep none of
/// the others back.
///
/// Each event has an `id` of its own, or gets one; `Idempotency-Key` is refused.
#[utoipa::path(
    post, path = "/events/batch", tag = "events", operation_id = "publish_events",
    request_body(content = String, content_type = "application/x-ndjson", description = "One event a line"),
    responses(
        (status = 202, description = "All are safe", body = LineResult, content_type = "application/x-ndjson"),
        (status = 207, description = "Some are not: each line says", body = LineResult, content_type = "application/x-ndjson"),
        KeyProblems, BodyProblems
    )
)]
async fn publish_batch(
    caller: Caller<Publish>,
    State(services): State<Arc<Services>>,
    headers: HeaderMap,
    JsonLines { text, room: _room }: JsonLines,
) -> Result<Response, Problem> {
    if headers.contains_key(IDEMPOTENCY_KEY) {
        let problem = "names one event; in a batch each line has an `id` of its own";
        return Err(Problem::of_member("Idempotency-Key", problem));
    }
    let trace = trace_of(&headers);
    let lines = lines(&text);
    if lines.is_empty() {
        return Err(Problem::of_member("", "there is no event in the batch"));
    }
    if lines.len() > BATCH_LINES_MAX {
        let detail = format!("allowed: up to {BATCH_LINES_MAX} events");
        return Err(Problem::new(Code::BodyTooLarge).detail(detail));
    }
    let publish = async |(number, line): (usize, Bytes)| {
        let result = if line.len() > BODY_BYTES_MAX {
            Err(too_long())
        } else {
            take_in(&caller, &services, line, None, trace.as_ref()).await
        };
        (number, result)
    };
    let results: Vec<_> = stream::iter(lines)
        .map(publish)
        .buffered(BATCH_IN_FLIGHT)
        .collect()
        .await;
    let status = if results.iter().all(|(_, result)| result.is_ok()) {
        StatusCode::ACCEPTED
    } else {
        StatusCode::MULTI_STATUS
    };
    let mut body = Vec::new();
    for (line, result) in &results {
        let line = match result {
            Ok(accepted) => LineResult {
                line: *line,
                status: StatusCode::ACCEPTED.as_u16(),
                id: Some(accepted.id.clone()),
                duplicate: Some(accepted.duplicate),
                problem: None,
            },
            Err(problem) => LineResult {
                line: *line,
                status: problem.code().status().as_u16(),
                id: None,
                duplicate: None,
                problem: Some(problem.document()),
            },
        };
        serde_json::to_writer(&mut body, &line).expect("writing to memory");
        body.push(b'\n');
    }
    let mut response = (status, body).into_response();
    let media_type = HeaderValue::from_static("application/x-ndjson");
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, media_type);
    Ok(response)
}

/// The lines that hold something, with their numbers.
fn lines(text: &Bytes) -> Vec<(usize, Bytes)> {
    let lines = text.split(|byte| *byte == b'\n').enumerate();
    lines
        .map(|(index, line)| (index + 1, line.trim_ascii()))
        .filter(|(_, line)| !line.is_empty())
        .map(|(number, line)| (number, text.slice_ref(line)))
        .collect()
}

/// The caller's place in a trace of its own.
fn trace_of(headers: &HeaderMap) -> Option<TraceContext> {
    let text = |name| headers.get(name)?.to_str().ok().map(str::to_owned);
    Some(TraceContext {
        traceparent: text("traceparent")?,
        tracestate: text("tracestate"),
    })
}

/// Reads, checks and publishes one event.
async fn take_in(
    caller: &Caller<Publish>,
    services: &Services,
    text: Bytes,
    named: Option<EventId>,
    trace: Option<&TraceContext>,
) -> Result<Accepted, Problem> {
    let text = with_id(text, named, &*services.context.entropy)?;
    let event = event::parse_reporting_all(&text).map_err(|faults| {
        let faults = faults.into_iter();
        Problem::of_faults(
            faults
                .map(|fault| Fault::new(fault.member, fault.problem))
                .collect(),
        )
    })?;
    caller.reaching(event.project.clone())?;
    let published = services.publisher.publish_event(event, trace).await;
    let published = published.map_err(not_published)?;
    Ok(Accepted {
        id: published.id.to_string(),
        duplicate: published.is_known,
    })
}

fn not_published(faults: Vec<PublishError>) -> Problem {
    let mut told = Vec::with_capacity(faults.len());
    for fault in faults {
        match fault {
            PublishError::Known { source, .. } | PublishError::Webhooks { source, .. } => {
                return source.into();
            }
            PublishError::Queue { source, .. } => return source.into(),
            fault => {
                let fault = Fault::new(fault.member().unwrap_or_default(), chain(&fault));
                // A callback and a webhook of one profile fail alike.
                if !told.contains(&fault) {
                    told.push(fault);
                }
            }
        }
    }
    Problem::of_faults(told)
}

/// The event with an id: its own, the one that the header names, or a new one; null is none. The rest of the text stays as it is.
fn with_id(text: Bytes, named: Option<EventId>, entropy: &dyn Entropy) -> Result<Bytes, Problem> {
    let members = ringback_json::members(&text, LIMITS).map_err(|fault| malformed(&fault))?;
    let own = members.iter().find(|(name, _)| name == "id");
    let (null, own) = match own {
        Some((_, own)) if text[own.clone()] == *b"null" => (Some(own), None),
        own => (None, own.map(|(_, own)| own)),
    };
    if let Some(own) = own {
        let own = ringback_json::decode_string(&text[own.clone()]);
        if let Some(named) = named
            && own.is_ok_and(|own| own != named.as_str())
        {
            let problem = format!("is `{named}`, and the event has another `id`");
            return Err(Problem::of_member("Idempotency-Key", problem));
        }
        return Ok(text);
    }
    let id = named.unwrap_or_else(|| {
        let mut random = [0; 16];
        entropy.fill(&mut random);
        EventId::from_random(random)
    });
    let (place, member) = if let Some(null) = null {
        (null.clone(), format!("\"{id}\""))
    } else {
        let comma = if members.is_empty() { "" } else { "," };
        let begin = text.iter().position(|byte| *byte == b'{').unwrap_or(0) + 1;
        (begin..begin, format!("\"id\":\"{id}\"{comma}"))
    };
    let with_id = [&text[..place.start], member.as_bytes(), &text[place.end..]].concat();
    if with_id.len() > BODY_BYTES_MAX {
        return Err(too_long());
    }
    Ok(with_id.into())
}

fn too_long() -> Problem {
    let detail = format!(
        "an event has up to {BODY_BYTES_MAX} bytes, with the `id` that it is given where it has none"
    );
    Problem::new(Code::BodyTooLarge).detail(detail)
}

/// Plain, or a string in quotation marks as the draft of the header's standard has it.
fn idempotency_key(headers: &HeaderMap) -> Result<Option<EventId>, Problem> {
    let refused = |problem: String| Problem::of_member("Idempotency-Key", problem);
    let mut values = headers.get_all(IDEMPOTENCY_KEY).iter();
    let Some(value) = values.next() else {
        return Ok(None);
    };
    if values.next().is_some() {
        return Err(refused("is given several times; once is enough".to_owned()));
    }
    let text = value
        .to_str()
        .map_err(|_| refused("is not visible ASCII".to_owned()))?
        .trim();
    let inner = text
        .strip_prefix('"')
        .and_then(|text| text.strip_suffix('"'));
    let id = inner.unwrap_or(text).parse();
    id.map(Some)
        .map_err(|fault: ringback_domain::IdError| refused(fault.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Zeros;

    impl Entropy for Zeros {
        fn fill(&self, buffer: &mut [u8]) {
            buffer.fill(0);
        }
    }

    fn named(text: &'static str, id: Option<&str>) -> Result<String, Problem> {
        let id = id.map(|id| id.parse().unwrap());
        let text = with_id(Bytes::from_static(text.as_bytes()), id, &Zeros)?;
        Ok(String::from_utf8(text.to_vec()).unwrap())
    }

    #[test]
    fn an_id_is_put_in_and_nothing_else_changes() {
        let made = "evt_00000000000000000000000000000000";
        assert_eq!(named("{}", None).unwrap(), format!("{{\"id\":\"{made}\"}}"));
        assert_eq!(
            named(" { \"n\" : 1.50}", Some("e-1")).unwrap(),
            " {\"id\":\"e-1\", \"n\" : 1.50}"
        );
        assert_eq!(
            named("{\"n\":1, \"id\": null}", Some("e-1")).unwrap(),
            "{\"n\":1, \"id\": \"e-1\"}"
        );
        assert_eq!(
            named("{\"id\":\"a\"}", Some("a")).unwrap(),
            "{\"id\":\"a\"}"
        );
        assert!(named("{\"id\":\"a\"}", Some("b")).is_err());
        assert!(named("[]", None).is_err());
    }

    #[test]
    fn lines_keep_their_numbers() {
        let text = Bytes::from_static(b"\na\r\n \n b");
        let lines = lines(&text);
        assert_eq!(lines, [(2, "a".into()), (4, "b".into())]);
    }
}
