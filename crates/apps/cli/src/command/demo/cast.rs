//! Who plays in the demonstration: platforms, what happens to their jobs, and how their customers' receivers behave.

use http::StatusCode;
use ringback_profile::DestinationKind;

/// One receiver of one platform's customer.
pub(super) struct Part {
    /// The platform, whose profile and project have the same name.
    pub(super) profile: &'static str,
    pub(super) kind: DestinationKind,
    pub(super) behaviour: Behaviour,
}

/// How a receiver answers.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Behaviour {
    /// Accepts, with this status.
    Accepts(u16),
    /// Fails twice, then accepts.
    FailsTwice,
    /// Fails until somebody repairs it.
    IsBroken,
}

pub(super) const PARTS: [Part; 7] = [
    Part::new(
        "standard",
        DestinationKind::Webhook,
        Behaviour::Accepts(200),
    ),
    Part::new("hinto", DestinationKind::Webhook, Behaviour::Accepts(200)),
    Part::new("hinto", DestinationKind::Callback, Behaviour::Accepts(200)),
    Part::new(
        "modelhunter",
        DestinationKind::Webhook,
        Behaviour::FailsTwice,
    ),
    Part::new("hooked", DestinationKind::Webhook, Behaviour::IsBroken),
    Part::new(
        "videopilot",
        DestinationKind::Webhook,
        Behaviour::Accepts(200),
    ),
    Part::new("github", DestinationKind::Webhook, Behaviour::Accepts(202)),
];

/// What a receiver that is down says.
pub(super) const BROKEN: StatusCode = StatusCode::SERVICE_UNAVAILABLE;

impl Part {
    const fn new(profile: &'static str, kind: DestinationKind, behaviour: Behaviour) -> Self {
        Self {
            profile,
            kind,
            behaviour,
        }
    }

    /// Requests until the destination accepts or is given up, without the replay.
    pub(super) fn requests(&self, retries: usize) -> usize {
        match self.behaviour {
            Behaviour::Accepts(_) => 1,
            Behaviour::FailsTwice => 3,
            Behaviour::IsBroken => 1 + retries,
        }
    }
}

impl Behaviour {
    pub(super) fn describe(self) -> &'static str {
        match self {
            Self::Accepts(_) => "accepts",
            Self::FailsTwice => "fails twice, then accepts",
            Self::IsBroken => "fails until repaired",
        }
    }
}

/// What happened at each platform, as its application would publish it. A callback is put in where one plays.
pub(super) const EVENTS: [(&str, &str); 6] = [
    (
        "standard",
        r#"{"id":"evt_standard","project":"standard","type":"task.completed","occurred_at":"2026-06-01T10:01:30.250Z",
            "job":{"id":"task_1","kind":"import","status":"completed","output":{"rows":1204},"error":null},"data":{"attempts":1}}"#,
    ),
    (
        "hinto",
        r#"{"id":"evt_hinto","project":"hinto","type":"job.completed","occurred_at":"2026-06-01T10:01:30Z",
            "job":{"id":"5f0c2c1e-6d7b-4b7a-9a51-2f1d0c9b8a77","kind":"generate","status":"completed","output":{"ref":"é/1"},"error":null,
            "created_at":"2026-06-01T10:00:00Z","completed_at":"2026-06-01T10:01:30Z"}}"#,
    ),
    (
        "modelhunter",
        r#"{"id":"evt_modelhunter","project":"modelhunter","type":"task.completed","occurred_at":"2026-06-01T10:00:45Z",
            "job":{"id":"task_abc123","kind":"video","status":"completed","error":null,
            "output":[{"url":"https://cdn.example/task_abc123.mp4","duration":4,"format":"mp4","size_bytes":12582912}],
            "created_at":"2026-06-01T10:00:00Z","completed_at":"2026-06-01T10:00:45Z"},
            "data":{"provider":"vidu","model":"viduq2-pro-fast","metadata":{"user_id":"u_123","plan":1.50}}}"#,
    ),
    (
        "hooked",
        r#"{"id":"evt_hooked","project":"hooked","type":"project.completed","occurred_at":"2026-06-01T10:33:00Z",
            "job":{"id":"proj_abc123","kind":"class","status":"completed","error":null,
            "output":{"id":"video_xyz789","url":"https://cdn.example/xyz789.mp4","duration":45,
            "thumbnail":"https://cdn.example/xyz789.jpg","aspectRatio":"9:16","resolution":"1080x1920"},
            "created_at":"2026-06-01T10:30:00Z","completed_at":"2026-06-01T10:33:00Z"}}"#,
    ),
    (
        "videopilot",
        r#"{"id":"evt_videopilot","project":"videopilot","type":"render.completed","occurred_at":"2026-06-01T10:43:30.000Z",
            "job":{"id":"render_789xyz","status":"completed"},
            "data":{"render_job_id":"render_789xyz","video_id":"video_123abc","status":"completed",
            "output_url":"https://cdn.example/video_123abc_high.mp4","duration":87.5,"file_size":25690112,"quality":"high"}}"#,
    ),
    (
        "github",
        r#"{"id":"evt_github","project":"github","type":"check_run.completed","occurred_at":"2026-06-01T11:00:00Z",
            "job":{"id":"run_42","kind":"check_run","status":"completed","output":null,"error":null},
            "data":{"action":"completed","conclusion":"success"}}"#,
    ),
];

/// The event with a callback, as JSON text.
pub(super) fn with_callback(event: &str, url: &str, secret: &str) -> String {
    let end = event.rfind('}').expect("an event is a JSON object");
    format!(
        r#"{},"callback":{{"url":"{url}","secret":"{secret}"}}}}"#,
        &event[..end]
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use ringback_profile::Profile;

    #[test]
    fn every_platform_can_make_a_body_of_its_event() {
        for (profile, text) in EVENTS {
            let event = ringback_wire::event::parse(&text.into()).unwrap();
            let profile = Profile::builtin(profile).unwrap();
            for kind in [DestinationKind::Webhook, DestinationKind::Callback] {
                profile.render(kind, &event).unwrap();
            }
        }
    }

    #[test]
    fn every_platform_plays() {
        for name in ringback_profile::builtin_names() {
            assert!(PARTS.iter().any(|part| part.profile == name), "{name}");
            assert!(EVENTS.iter().any(|(profile, _)| *profile == name), "{name}");
        }
    }

    #[test]
    fn a_callback_can_be_put_in() {
        let text = with_callback(EVENTS[1].1, "http://127.0.0.1:1/x", "s");
        assert!(
            ringback_wire::event::parse(&text.into())
                .unwrap()
                .callback
                .is_some()
        );
    }
}
