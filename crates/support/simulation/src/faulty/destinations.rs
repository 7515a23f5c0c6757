//! The destinations: what they answer, and what they see.

use crate::{
    dice::{Dice, Fault},
    plan::Plan,
    witness::{Arrived, Reaction, Witness},
};
use futures_util::{FutureExt, future::BoxFuture};
use ringback_delivery::port::{Exchange, Request, SendFailure, Sender};
use ringback_domain::{
    Answer, AttemptNumber, DeliveryId, DeliveryRules, Phases, UnreachableCause, parse_retry_after,
};
use ringback_testkit::simulation::TokioClock;
use std::{sync::Arc, time::Duration};
use url::Url;

/// All destinations, willing and not.
pub(crate) struct Destinations {
    plan: Plan,
    dice: Arc<Dice>,
    clock: TokioClock,
    witness: Arc<Witness>,
    /// The rules of a destination, by its host.
    rules: Box<dyn Fn(&str) -> DeliveryRules + Send + Sync>,
}

impl Destinations {
    pub(crate) fn new(
        plan: &Plan,
        dice: Arc<Dice>,
        clock: TokioClock,
        witness: Arc<Witness>,
        rules: impl Fn(&str) -> DeliveryRules + Send + Sync + 'static,
    ) -> Self {
        Self {
            plan: plan.clone(),
            dice,
            clock,
            witness,
            rules: Box::new(rules),
        }
    }

    /// What this request gets, and after how long.
    fn answer(
        &self,
        about: &str,
        host: &str,
        time_limit: Duration,
    ) -> (Duration, Result<Answer, SendFailure>) {
        let purpose = "answer time";
        let soon = self.dice.millis(1..200, purpose, about);
        let late = time_limit.saturating_sub(Duration::from_millis(20));
        let usual = self.plan.one_in(Fault::Unwilling);
        // Some destinations are always unwilling.
        let is_down = usual != 0 && self.dice.below(6, "down", host) == 0;
        let one_in = if is_down { 1 } else { usual };
        let lost = |cause| Err(SendFailure::Unreachable(cause));
        let Some(size) = self.dice.strikes_one_in(one_in, Fault::Unwilling, about) else {
            let is_slow = self.dice.below(8, "slow answer", about) == 0;
            return (if is_slow { late } else { soon }, Ok(Answer::bare(200)));
        };
        match size % 16 {
            0..6 => (soon, Ok(Answer::bare(503))),
            6 => (late, Ok(Answer::bare(500))),
            7 | 8 => {
                let retry_after = Some((size >> 8) % 60 + 1).map(|seconds| seconds.to_string());
                let answer = Answer {
                    retry_after,
                    ..Answer::bare(429)
                };
                (soon, Ok(answer))
            }
            9..12 => (time_limit, lost(UnreachableCause::TimeLimit)),
            12 | 13 => (soon, lost(UnreachableCause::ConnectionLost)),
            14 => (soon, Ok(Answer::bare(404))),
            _ => (soon, Ok(Answer::bare(410))),
        }
    }
}

impl Sender for Destinations {
    fn send(&self, request: Request) -> BoxFuture<'_, Exchange> {
        let header = |name: &str| {
            let found = request.headers.iter().find(|(header, _)| header == name);
            found.map(|(_, value)| value.as_str()).unwrap_or_default()
        };
        let id: DeliveryId = header("Ringback-Delivery-Id")
            .parse()
            .expect("the profile sends it");
        let attempt = header("Ringback-Attempt")
            .parse()
            .ok()
            .and_then(AttemptNumber::try_new)
            .expect("the profile sends it");
        let host = request.url.host_str().unwrap_or_default();
        let label = self.witness.label(&id);
        let about = format!("{label} {attempt}");
        let (lasts, result) = self.answer(&about, host, request.time_limit);
        let rules = (self.rules)(host);
        let (is_acceptance, asked) = match &result {
            Ok(answer) => (
                rules.success.contains(answer.status),
                answer.retry_after.as_deref(),
            ),
            Err(_) => (false, None),
        };
        let asked = asked
            .filter(|_| rules.retry.honours_retry_after())
            .and_then(|asked| parse_retry_after(asked, moment_of(&self.clock)));
        let planned = rules.retry.delay_after(attempt).unwrap_or_default();
        let reaction = Reaction {
            lasts,
            is_acceptance,
            rest: planned.max(asked.unwrap_or_default()),
        };
        self.witness.note(|| {
            let told = match &result {
                Ok(answer) => answer.status.to_string(),
                Err(failure) => format!("{failure:?}"),
            };
            format!("{host} gets {label} {attempt}, answers {told} after {lasts:?}")
        });
        let arrived = Arrived {
            delivery: &id,
            event: header("Ringback-Event-Id"),
            attempt,
            url: &request.url,
            body: &request.body,
        };
        self.witness.request_arrived(&arrived, &reaction);
        let exchange = Exchange {
            phases: Phases {
                total: lasts,
                ..Phases::default()
            },
            address: None,
            result,
            cut_off: None,
        };
        tokio::time::sleep(lasts).map(|()| exchange).boxed()
    }

    fn check_url(&self, _url: &Url) -> Result<(), String> {
        Ok(())
    }
}

fn moment_of(clock: &TokioClock) -> ringback_domain::Timestamp {
    ringback_delivery::port::Clock::now(clock)
}
