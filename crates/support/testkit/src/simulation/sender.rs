//! A sender that answers as told and remembers what it was asked to send.

use futures_util::{FutureExt, future::BoxFuture};
use ringback_delivery::port::{Exchange, Request, SendFailure, Sender};
use ringback_domain::{Answer, Phases, UnreachableCause};
use std::{collections::VecDeque, sync::Mutex, time::Duration};
use url::Url;

/// What comes back: after how long, and what.
pub type Script = (Duration, Result<Answer, SendFailure>);

/// A sender that answers as told, one script a request, and 200 when the scripts are used up.
#[derive(Debug, Default)]
pub struct ScriptedSender {
    scripts: Mutex<VecDeque<Script>>,
    /// Beginnings of URLs, the newest rule first.
    rules: Mutex<Vec<(String, u16)>>,
    requests: Mutex<Vec<Request>>,
}

/// At once, with this status.
pub fn answers(status: u16) -> Script {
    (Duration::ZERO, Ok(Answer::bare(status)))
}

/// At once, with 200.
pub fn accepts() -> Script {
    answers(200)
}

/// After this long, without an answer.
pub fn unreachable(after: Duration, cause: UnreachableCause) -> Script {
    (after, Err(SendFailure::Unreachable(cause)))
}

impl ScriptedSender {
    /// A sender with these scripts.
    pub fn new(scripts: impl IntoIterator<Item = Script>) -> Self {
        Self {
            scripts: Mutex::new(scripts.into_iter().collect()),
            rules: Mutex::default(),
            requests: Mutex::default(),
        }
    }

    /// From now on every URL that begins like this answers with the status, once the scripts are used up.
    pub fn answer_from(&self, url: &str, status: u16) {
        let mut rules = self
            .rules
            .lock()
            .expect("nothing panics while it holds the lock");
        rules.insert(0, (url.to_owned(), status));
    }

    /// What it was asked to send so far.
    pub fn with_requests<T>(&self, read: impl FnOnce(&[Request]) -> T) -> T {
        read(
            &self
                .requests
                .lock()
                .expect("nothing panics while it holds the lock"),
        )
    }
}

impl Sender for ScriptedSender {
    fn send(&self, request: Request) -> BoxFuture<'_, Exchange> {
        let rule = self
            .rules
            .lock()
            .expect("nothing panics while it holds the lock")
            .iter()
            .find(|(url, _)| request.url.as_str().starts_with(url))
            .map(|(_, status)| answers(*status));
        self.requests
            .lock()
            .expect("nothing panics while it holds the lock")
            .push(request);
        let script = self
            .scripts
            .lock()
            .expect("nothing panics while it holds the lock")
            .pop_front();
        let (wait, result) = script.or(rule).unwrap_or_else(accepts);
        let exchange = Exchange {
            phases: Phases {
                total: wait,
                ..Phases::default()
            },
            address: None,
            result,
            cut_off: None,
        };
        tokio::time::sleep(wait).map(|()| exchange).boxed()
    }

    fn check_url(&self, _url: &Url) -> Result<(), String> {
        Ok(())
    }
}
