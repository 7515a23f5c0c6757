//! The outgoing POST.

use bytes::Bytes;
use futures_util::future::BoxFuture;
use ringback_domain::{
    Answer, AttemptNumber, DeliveryId, Generation, NotSentReason, Phases, TraceContext,
    UnreachableCause,
};
use std::{fmt, net::SocketAddr, time::Duration};
use url::Url;

/// Makes one HTTP request and reports what happened. Does not judge, record or retry.
pub trait Sender: Send + Sync {
    /// One POST: no redirect followed, no hidden repeat, no more than `time_limit` in all.
    ///
    /// Cancel safe in the sense that nothing is left behind; whether the request arrived is then unknown.
    /// What of the request is no longer needed once it is on its way should not stay in the future: a thousand of them may wait.
    fn send(&self, request: Request) -> BoxFuture<'_, Exchange>;

    /// Whether the URL may be a destination at all, by the policy known without a look-up.
    ///
    /// # Errors
    ///
    /// What is wrong with it, for the one who typed it.
    fn check_url(&self, url: &Url) -> Result<(), String>;
}

/// What to send. `Content-Type`, `Content-Length`, `Host` and `User-Agent` are the sender's business.
pub struct Request {
    /// Where; already parsed, never a raw text.
    pub url: Url,
    /// Names in the spelling of the profile, each once.
    pub headers: Vec<(String, String)>,
    /// The bytes that were signed.
    pub body: Bytes,
    /// From connecting to the end of the answer's body.
    pub time_limit: Duration,
    /// Which attempt it is, for whoever traces it.
    pub tracing: Tracing,
}

/// Which attempt a request is, and the trace it belongs to.
#[derive(Debug, Clone)]
pub struct Tracing {
    /// The delivery.
    pub delivery: DeliveryId,
    /// The round of attempts.
    pub generation: Generation,
    /// The attempt.
    pub attempt: AttemptNumber,
    /// The trace of its event, when there is one.
    pub trace: Option<TraceContext>,
    /// Whether the profile lets the receiver know of the trace.
    pub is_told: bool,
}

/// Names of headers without their values, of the URL only the host, no body: keys and people's data stand there.
impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let headers: Vec<_> = self.headers.iter().map(|(name, _)| name).collect();
        f.debug_struct("Request")
            .field("host", &self.url.host_str())
            .field("headers", &headers)
            .field("body_bytes", &self.body.len())
            .field("time_limit", &self.time_limit)
            .field("delivery", &self.tracing.delivery)
            .finish()
    }
}

/// What happened.
#[derive(Debug, Clone)]
pub struct Exchange {
    /// How long each part took.
    pub phases: Phases,
    /// The address connected to.
    pub address: Option<SocketAddr>,
    /// The answer, or why there is none.
    pub result: Result<Answer, SendFailure>,
    /// The status of an answer of which the rest did not come.
    pub cut_off: Option<u16>,
}

/// Why there is no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SendFailure {
    /// Sent or tried to, without a whole answer.
    Unreachable(UnreachableCause),
    /// Not sent, by our own policy.
    NotSent(NotSentReason),
    /// Not tried: we had no room for it. No attempt, and nothing that is known of the destination.
    NoRoom,
}
