//! What the rows have in common: an event on its way, a process that vanishes, another that goes on.

use crate::{
    desk::{Desk, event},
    installation::{DELIVERY_HEADER, EVENT_HEADER, Ground, Installation},
    process::Process,
};
use ringback_delivery::port::{Lane, QueueName};
use ringback_domain::DeliveryRecord;
use ringback_testkit::receiver::{Answer, Received, Receiver};
use std::{os::unix::process::ExitStatusExt, process::ExitStatus};
use tokio::process::Command;

pub(super) const DELIVERIES: QueueName = QueueName::Deliveries(Lane::Main);
/// The event of every scene.
pub(super) const EVENT: &str = "evt_1";

const KILLED: i32 = 9;
const STOPS_MAX: usize = 5;

/// Which message stands for the first attempt at a delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Begins {
    /// Its own.
    Queued,
    /// Its event's.
    Directly,
}

/// One event of one project, and its destinations.
pub(super) struct Scene {
    pub(super) installation: Installation,
    pub(super) project: &'static str,
    begins: Begins,
    receiver: Receiver,
    destinations: Vec<String>,
}

impl Scene {
    /// The event, with data of so many bytes, waits to be dispatched to so many destinations.
    pub(super) async fn with_event(
        ground: Ground,
        project: &'static str,
        destinations: usize,
        data_bytes: usize,
    ) -> Self {
        let scene = Self::with_destinations(ground, project, destinations).await;
        let event = event(project, EVENT, data_bytes);
        let publish = async |desk: &Desk| desk.publisher().publish(&event).await.unwrap();
        scene.look(publish).await;
        scene
    }

    /// A delivery whose event is published once somebody is there to attempt it: one that waited already may have been handed
    /// out before, and goes by messages of their own.
    async fn with_event_to_come(ground: Ground, project: &'static str) -> Self {
        let scene = Self::with_destinations(ground, project, 1).await;
        Self {
            begins: Begins::Directly,
            ..scene
        }
    }

    /// An event that a stranger published without a moment waits to be dispatched to so many destinations.
    pub(super) async fn with_undated_event(
        ground: Ground,
        project: &'static str,
        destinations: usize,
    ) -> Self {
        let scene = Self::with_destinations(ground, project, destinations).await;
        let text = format!(
            r#"{{"id":"{EVENT}","project":"{project}","type":"task.completed","job":{{"id":"task_1"}}}}"#
        );
        let event = ringback_wire::event::parse(&text.into()).unwrap();
        scene
            .look(async |desk| desk.publish_unchecked(&event).await)
            .await;
        scene
    }

    async fn with_destinations(ground: Ground, project: &'static str, destinations: usize) -> Self {
        let scene = Self {
            installation: Installation::new(ground),
            project,
            begins: Begins::Queued,
            receiver: Receiver::start().await,
            destinations: (1..=destinations).map(|nth| format!("/{nth}")).collect(),
        };
        let desk = scene.installation.desk().await;
        for path in &scene.destinations {
            desk.webhook(project, scene.receiver.url(path)).await;
        }
        desk.close().await;
        scene
    }

    /// The event has one destination, which answers like this; it waits to be delivered.
    pub(super) async fn with_delivery(
        ground: Ground,
        begins: Begins,
        project: &'static str,
        answers: impl IntoIterator<Item = Answer>,
    ) -> Self {
        let scene = match begins {
            Begins::Queued => Self::with_event(ground, project, 1, 16).await,
            Begins::Directly => Self::with_event_to_come(ground, project).await,
        };
        scene.receiver.script(&scene.destinations[0], answers);
        if begins == Begins::Directly {
            return scene;
        }
        let dispatcher = scene.installation.serve_as("dispatch").await;
        let desk = scene.installation.desk().await;
        desk.wait_for_waiting(DELIVERIES, 1).await;
        desk.close().await;
        dispatcher.stop().await;
        scene
    }

    /// Runs a process that makes attempts until it vanishes at the fault point.
    pub(super) async fn vanishes_at_an_attempt(&self, point: &str) {
        let roles = match self.begins {
            Begins::Queued => return self.vanishes("deliver", point).await,
            Begins::Directly => ["serve", "--roles", "dispatch,deliver"],
        };
        let mut process = Process::start(self.command_until(&roles, point, 1));
        process.says(": ready ").await;
        let event = event(self.project, EVENT, 16);
        let publish = async |desk: &Desk| {
            // It may vanish before it says yes.
            let _ = desk.publisher().publish(&event).await;
        };
        self.look(publish).await;
        was_killed(process).await;
    }

    /// The message that stands for the first attempt.
    pub(super) fn first_message(&self) -> QueueName {
        match self.begins {
            Begins::Queued => DELIVERIES,
            Begins::Directly => QueueName::Events,
        }
    }

    /// Runs a process with this role until it vanishes at the fault point.
    pub(super) async fn vanishes(&self, role: &str, point: &str) {
        self.runs_until(&["serve", "--roles", role], point, 1).await;
    }

    /// Runs a command until it vanishes at the fault point, the nth time it comes there.
    pub(super) async fn runs_until(&self, arguments: &[&str], point: &str, nth: usize) {
        was_killed(Process::start(self.command_until(arguments, point, nth))).await;
    }

    fn command_until(&self, arguments: &[&str], point: &str, nth: usize) -> Command {
        let mut command = self.installation.command(arguments);
        command
            .env("RINGBACK_FAULT_POINT", point)
            .env("RINGBACK_FAULT_POINT_AT", nth.to_string());
        command
    }

    /// Runs a command to its end.
    pub(super) async fn runs(&self, arguments: &[&str]) -> (ExitStatus, String) {
        Process::start(self.installation.command(arguments))
            .end()
            .await
    }

    /// A healthy process goes on until there is nothing left to do, every delivery is in this state, and every message
    /// acknowledged.
    pub(super) async fn goes_on(&self, state: &str) {
        let mut left = u64::MAX;
        // What a process has in its hands and has not begun when it is told to stop is for the next one.
        for _ in 0..STOPS_MAX {
            let healthy = self.installation.serve().await;
            let desk = self.installation.desk().await;
            desk.wait_for_deliveries(self.project, state, self.destinations.len())
                .await;
            desk.wait_for_empty_queues().await;
            desk.close().await;
            healthy.stop().await;
            left = self.look(async |desk| desk.all_waiting().await).await;
            if left == 0 {
                return;
            }
        }
        panic!("{left} messages were taken and never acknowledged")
    }

    /// A look from outside while nobody serves.
    pub(super) async fn look<T>(&self, look: impl AsyncFnOnce(&Desk) -> T) -> T {
        let desk = self.installation.desk().await;
        let seen = look(&desk).await;
        desk.close().await;
        seen
    }

    /// The record of the only delivery.
    pub(super) async fn delivery(&self) -> DeliveryRecord {
        let mut all = self
            .look(async |desk| desk.deliveries(self.project).await)
            .await;
        assert_eq!(all.len(), 1);
        all.remove(0)
    }

    /// What each destination got so far; all of it with the same id and the same bytes.
    pub(super) fn requests(&self) -> Vec<Vec<Received>> {
        let requests = self.destinations.iter().map(|path| {
            let requests = self.receiver.received(path);
            for request in &requests {
                assert_eq!(request.header(EVENT_HEADER), Some(EVENT));
                assert_eq!(
                    request.header(DELIVERY_HEADER),
                    requests[0].header(DELIVERY_HEADER)
                );
                assert_eq!(request.body, requests[0].body);
            }
            requests
        });
        requests.collect()
    }

    /// How many requests the only destination got so far.
    pub(super) fn request_count(&self) -> usize {
        self.requests()[0].len()
    }
}

async fn was_killed(process: Process) {
    let (status, said) = process.end().await;
    assert_eq!(status.signal(), Some(KILLED), "{status}: {said}");
}

/// The attempts of a delivery in short: which, and what came of it.
pub(super) fn history(delivery: &DeliveryRecord) -> Vec<String> {
    let attempts = delivery.attempts.iter();
    attempts
        .map(|attempt| format!("{} {}", attempt.number, attempt.outcome))
        .collect()
}
