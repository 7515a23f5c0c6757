//! What happens, as it happens: a line for each thing worth seeing.

use owo_colors::OwoColorize;
use ringback_delivery::port::{Observer, Occurrence};
use ringback_domain::{Delivery, DeliveryId, Destination, harmless_text};
use ringback_worker::config::show_duration;
use std::time::Duration;
use tokio::{
    sync::mpsc::{self, error::TrySendError},
    time::Instant,
};

/// Happenings not yet shown. The demonstration has a few dozen in all.
const UNSHOWN_MAX: usize = 1024;

/// Something that happened, with the words for it.
pub(super) struct Happening {
    at: Instant,
    words: String,
    pub(super) turn: Turn,
}

/// Whether it is one of the happenings the demonstration waits for.
pub(super) enum Turn {
    Delivered,
    DeadLettered(DeliveryId),
    Other,
}

/// Watches the worker.
pub(super) struct Watcher {
    happenings: mpsc::Sender<Happening>,
    /// How much longer a wait is in real life.
    stretch: f64,
}

/// Where the watcher's happenings come out.
pub(super) struct Timeline {
    began_at: Instant,
    happenings: mpsc::Receiver<Happening>,
}

pub(super) fn timeline(stretch: f64) -> (Watcher, Timeline) {
    let (sender, happenings) = mpsc::channel(UNSHOWN_MAX);
    let watcher = Watcher {
        happenings: sender,
        stretch,
    };
    (
        watcher,
        Timeline {
            began_at: Instant::now(),
            happenings,
        },
    )
}

impl Timeline {
    pub(super) async fn next(&mut self) -> Happening {
        self.happenings
            .recv()
            .await
            .expect("the watcher lives as long as the worker")
    }

    /// What has happened already, if anything.
    pub(super) fn at_hand(&mut self) -> Option<Happening> {
        self.happenings.try_recv().ok()
    }

    pub(super) fn line(&self, happening: &Happening) -> String {
        self.line_at(happening.at, &happening.words)
    }

    /// A line of our own, now.
    pub(super) fn line_now(&self, words: &str) -> String {
        self.line_at(Instant::now(), words)
    }

    fn line_at(&self, at: Instant, words: &str) -> String {
        let since = at.saturating_duration_since(self.began_at).as_secs_f64();
        format!("{} {words}", format_args!("{since:>6.2}s").dimmed())
    }
}

impl Observer for Watcher {
    fn saw(&self, occurrence: &Occurrence<'_>) {
        let Some((words, turn)) = self.words(occurrence) else {
            return;
        };
        let happening = Happening {
            at: Instant::now(),
            words,
            turn,
        };
        match self.happenings.try_send(happening) {
            Ok(()) | Err(TrySendError::Closed(_)) => {}
            Err(TrySendError::Full(_)) => tracing::warn!("more happened than can be shown"),
        }
    }
}

impl Watcher {
    fn words(&self, occurrence: &Occurrence<'_>) -> Option<(String, Turn)> {
        let words = match occurrence {
            Occurrence::EventDispatched { event, deliveries } => format!(
                "{:<22} {} {} of job {}, {}",
                event.project.as_str().bold(),
                "event".cyan(),
                event.event_type,
                harmless_text(event.job.id.as_str().as_bytes()),
                match deliveries {
                    1 => "1 destination".to_owned(),
                    many => format!("{many} destinations"),
                }
            ),
            Occurrence::AttemptMade { delivery, attempt } => {
                let took = format!("{:.0} ms", attempt.phases.total.as_secs_f64() * 1000.0);
                let outcome = match attempt.outcome.fault() {
                    None => attempt.outcome.to_string().green().to_string(),
                    Some(_) => attempt.outcome.to_string().yellow().to_string(),
                };
                format!(
                    "{:<22} attempt {} → {outcome} in {took}",
                    of(delivery),
                    attempt.number
                )
            }
            Occurrence::RetryPlanned { delivery, wait } => format!(
                "{:<22} {}",
                of(delivery),
                format_args!(
                    "waits {}, in real life {}",
                    show_duration(wait.at_least),
                    show_duration(round(wait.at_least.mul_f64(self.stretch)))
                )
                .dimmed()
            ),
            Occurrence::Delivered { delivery, .. } => {
                let words = format!("{:<22} {}", of(delivery), "delivered".green().bold());
                return Some((words, Turn::Delivered));
            }
            Occurrence::DeadLettered { dead_letter } => {
                let delivery = dead_letter.delivery()?;
                let words = format!(
                    "{:<22} {}: {}",
                    of(delivery),
                    "dead letter".red().bold(),
                    dead_letter.reason
                );
                return Some((words, Turn::DeadLettered(delivery.id.clone())));
            }
            Occurrence::Replayed { delivery } => {
                format!(
                    "{:<22} {} as round {}",
                    of(delivery),
                    "replay".magenta().bold(),
                    delivery.generation.round()
                )
            }
            _ => return None,
        };
        Some((words, Turn::Other))
    }
}

fn of(delivery: &Delivery) -> String {
    let kind = match delivery.destination {
        Destination::Webhook { .. } => "webhook",
        Destination::Callback { .. } => "callback",
    };
    format!("{} {kind}", delivery.event.project)
}

/// To the whole second: what stretching a millisecond brings is no news.
fn round(wait: Duration) -> Duration {
    Duration::from_secs((wait + Duration::from_millis(500)).as_secs())
}
