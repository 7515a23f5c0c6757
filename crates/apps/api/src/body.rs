//! Taking in the body of a call: of the right kind, not too long, and in time.

use crate::{
    Services,
    members::{Members, Parameters},
    problem::{Code, Problem},
};
use axum::extract::{FromRequest, Request};
use bytes::Bytes;
use http::{HeaderMap, header};
use http_body_util::BodyExt;
use ringback_domain::limits::BODY_BYTES_MAX;
use std::{sync::Arc, time::Duration};
use tokio::{sync::OwnedSemaphorePermit, time::timeout};

/// Bytes of a batch of events.
pub const BATCH_BYTES_MAX: usize = 4 * 1024 * 1024;

/// Batches in memory at once; more wait before their body is read.
pub(crate) const BATCHES_MAX: usize = 32;

/// Bytes of a body that is too long which are read all the same: most clients listen only once they have said everything.
const DISCARDED_BYTES_MAX: usize = 16 * 1024 * 1024;

/// A body of JSON, or none; no call that takes one takes parameters.
pub(crate) struct Json(pub(crate) Bytes);

/// No body, or one without members, and no parameters: what a call does not know it must not pass over.
pub(crate) struct Nothing;

/// A body of JSON texts, one a line; no parameters.
pub(crate) struct JsonLines {
    pub(crate) text: Bytes,
    /// Held as long as the text is.
    pub(crate) room: OwnedSemaphorePermit,
}

impl FromRequest<Arc<Services>> for Json {
    type Rejection = Problem;

    async fn from_request(request: Request, services: &Arc<Services>) -> Result<Self, Problem> {
        Parameters::read(request.uri().query()).end()?;
        let kind = check_kind(request.headers(), "application/json", |media_type| {
            media_type == "application/json" || media_type.ends_with("+json")
        });
        let time_limit = services.limits.body_time_limit;
        let body = read(request, BODY_BYTES_MAX, time_limit).await?;
        if !body.is_empty() {
            kind?;
        }
        Ok(Self(body))
    }
}

impl FromRequest<Arc<Services>> for JsonLines {
    type Rejection = Problem;

    async fn from_request(request: Request, services: &Arc<Services>) -> Result<Self, Problem> {
        Parameters::read(request.uri().query()).end()?;
        check_kind(request.headers(), "application/x-ndjson", |media_type| {
            matches!(
                media_type,
                "application/x-ndjson" | "application/ndjson" | "application/jsonl"
            )
        })?;
        let room = services.batches.clone().acquire_owned();
        let room = room.await.expect("the semaphore is never closed");
        let time_limit = services.limits.body_time_limit;
        let text = read(request, BATCH_BYTES_MAX, time_limit).await?;
        Ok(Self { text, room })
    }
}

impl FromRequest<Arc<Services>> for Nothing {
    type Rejection = Problem;

    async fn from_request(request: Request, services: &Arc<Services>) -> Result<Self, Problem> {
        let Json(body) = Json::from_request(request, services).await?;
        Members::read(&body)?.end()?;
        Ok(Self)
    }
}

/// Whether the body is what it should be, as plain UTF-8.
fn check_kind(
    headers: &HeaderMap,
    expected: &str,
    is_expected: impl FnOnce(&str) -> bool,
) -> Result<(), Problem> {
    let refused = |advice: String| Err(Problem::new(Code::UnsupportedMediaType).detail(advice));
    let value = headers.get(header::CONTENT_TYPE);
    let text = value.and_then(|value| value.to_str().ok());
    let text = text.unwrap_or_default().to_ascii_lowercase();
    let mut parts = text.split(';').map(str::trim);
    if !parts.next().is_some_and(is_expected) {
        return refused(format!("send `Content-Type: {expected}`"));
    }
    let charset = parts.find_map(|part| part.strip_prefix("charset="));
    if charset.is_some_and(|charset| !matches!(charset.trim_matches('"'), "utf-8" | "utf8")) {
        return refused("send UTF-8, which needs no `charset`".to_owned());
    }
    let mut encodings = headers.get_all(header::CONTENT_ENCODING).iter();
    if encodings.any(|encoding| !encoding.as_bytes().eq_ignore_ascii_case(b"identity")) {
        return refused("send it without `Content-Encoding`".to_owned());
    }
    Ok(())
}

async fn read(request: Request, bytes_max: usize, time_limit: Duration) -> Result<Bytes, Problem> {
    let too_large =
        || Problem::new(Code::BodyTooLarge).detail(format!("allowed: up to {bytes_max} bytes"));
    let headers = request.headers();
    let announced = headers.get(header::CONTENT_LENGTH);
    let announced = announced.and_then(|value| value.to_str().ok()?.parse::<usize>().ok());
    let may_be_told_now = headers.contains_key(header::EXPECT)
        || announced.is_some_and(|bytes| bytes > bytes_max + DISCARDED_BYTES_MAX);
    if may_be_told_now && announced.is_some_and(|bytes| bytes > bytes_max) {
        return Err(too_large());
    }
    let mut body = request.into_body();
    let collecting = async {
        let (mut kept, mut bytes) = (Vec::<u8>::new(), 0_usize);
        while let Some(frame) = body.frame().await {
            let Ok(data) = frame?.into_data() else {
                continue;
            };
            bytes += data.len();
            if bytes <= bytes_max {
                kept.extend_from_slice(&data);
            } else if bytes > bytes_max + DISCARDED_BYTES_MAX {
                break;
            }
        }
        Ok::<_, axum::Error>((kept, bytes))
    };
    match timeout(time_limit, collecting).await {
        Ok(Ok((kept, bytes))) if bytes <= bytes_max => Ok(kept.into()),
        Ok(Ok(_)) => Err(too_large()),
        Ok(Err(error)) => {
            Err(Problem::new(Code::MalformedBody).detail(format!("could not read it: {error}")))
        }
        Err(_) => Err(Problem::new(Code::BodyTimeout).detail(format!(
            "it must arrive within {}s",
            time_limit.as_secs_f64()
        ))),
    }
}
