//! What a body costs, profile by profile; bytes are the event's.

use divan::{Bencher, counter::BytesCount};
use ringback_domain::{Event, Job};
use ringback_profile::{DestinationKind, Profile};

const PROFILES: [(&str, &str); 6] = [
    (
        "standard",
        include_str!("../tests/golden/standard-task-completed.event.json"),
    ),
    (
        "hinto",
        include_str!("../tests/golden/hinto-vector-1.event.json"),
    ),
    (
        "modelhunter",
        include_str!("../tests/golden/modelhunter-task-completed.event.json"),
    ),
    (
        "hooked",
        include_str!("../tests/golden/hooked-completed.event.json"),
    ),
    (
        "videopilot",
        include_str!("../tests/golden/videopilot-render-completed.event.json"),
    ),
    (
        "github",
        include_str!("../tests/golden/github-task-completed.event.json"),
    ),
];

fn main() {
    divan::main();
}

/// The event that this text is, as far as rendering looks at it.
fn event(name: &str, text: &'static str) -> Event {
    let event_type = match name {
        "hinto" => "job.completed",
        "hooked" => "project.completed",
        "videopilot" => "render.completed",
        _ => "task.completed",
    };
    Event {
        id: "evt_1".parse().expect("an id"),
        project: "acme".parse().expect("a name"),
        event_type: event_type.parse().expect("a type"),
        occurred_at: Some(ringback_domain::Timestamp::UNIX_EPOCH),
        accepted_at: None,
        job: Job {
            id: "job_1".parse().expect("an id"),
            kind: None,
            status: None,
        },
        callback: None,
        document: text.into(),
    }
}

#[divan::bench(args = PROFILES.map(|(name, _)| name))]
fn rendered(bencher: Bencher<'_, '_>, name: &str) {
    let (_, text) = PROFILES
        .into_iter()
        .find(|(it, _)| *it == name)
        .expect("it is one of them");
    let (profile, event) = (
        Profile::builtin(name).expect("it is built in"),
        event(name, text),
    );
    bencher.counter(BytesCount::of_str(text)).bench(|| {
        let rendered = profile.render(DestinationKind::Webhook, &event);
        rendered.expect("golden events render")
    });
}

#[divan::bench(args = PROFILES.map(|(name, _)| name))]
fn read_and_compiled(bencher: Bencher<'_, '_>, name: &str) {
    bencher.bench(|| Profile::builtin(name));
}
