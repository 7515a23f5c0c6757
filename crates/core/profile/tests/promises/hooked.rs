use crate::{
    assert_only, is_exact, members, minutes,
    support::{body, event_text, headers, profile},
};
use ringback_profile::DestinationKind::{Callback, Webhook};
use std::time::Duration;

const COMPLETED: &str = include_str!("../golden/hooked-completed.event.json");
const FAILED: &str = include_str!("../golden/hooked-failed.event.json");

#[test]
fn hk_2_there_are_two_events() {
    let hooked = profile("hooked");
    let types: Vec<_> = hooked
        .event_types()
        .unwrap()
        .iter()
        .map(ToString::to_string)
        .collect();
    assert_eq!(types, ["project.completed", "project.failed"]);
}

#[test]
fn hk_3_a_completed_project_has_its_video_and_both_times() {
    let body = body(&profile("hooked"), Callback, COMPLETED);
    assert_eq!(
        members(&body),
        [
            "event",
            "projectId",
            "status",
            "video",
            "createdAt",
            "completedAt"
        ]
    );
    let parsed: serde_json::Value = serde_json::from_str(&body).unwrap();
    let video = members(&parsed["video"].to_string());
    assert_eq!(
        video,
        [
            "id",
            "url",
            "duration",
            "thumbnail",
            "aspectRatio",
            "resolution"
        ]
    );
    assert_eq!(parsed["status"], "completed");
}

#[test]
fn hk_4_a_failed_project_has_no_video_and_no_completion() {
    let body = body(&profile("hooked"), Callback, FAILED);
    assert_eq!(
        members(&body),
        ["event", "projectId", "status", "message", "createdAt"]
    );
}

#[test]
fn hk_5_video_and_message_never_stand_together() {
    let job = r#""output":{"id":"v"},"error":"late","created_at":"2026-06-01T10:00:00Z","completed_at":"2026-06-01T10:00:01Z""#;
    for (event_type, there, absent) in [
        ("project.completed", "video", "message"),
        ("project.failed", "message", "video"),
    ] {
        let names = members(&body(
            &profile("hooked"),
            Webhook,
            &event_text(event_type, job, "{}"),
        ));
        assert!(names.iter().any(|name| name == there), "{event_type}");
        assert!(!names.iter().any(|name| name == absent), "{event_type}");
    }
}

#[test]
fn hk_6_duration_is_a_number_of_seconds_as_it_was_given() {
    for duration in ["45", "45.5", "0"] {
        let job = format!(r#""output":{{"duration":{duration}}}"#);
        let body = body(
            &profile("hooked"),
            Callback,
            &event_text("project.completed", &job, "{}"),
        );
        assert!(
            body.contains(&format!(r#""video":{{"duration":{duration}}}"#)),
            "{body}"
        );
    }
}

#[test]
fn hk_7_times_have_seconds_and_z() {
    let job =
        r#""created_at":"2026-06-01T10:00:00.5+00:00","completed_at":"2026-06-01T10:01:29.999Z""#;
    let body = body(
        &profile("hooked"),
        Callback,
        &event_text("project.completed", job, "{}"),
    );
    assert!(
        body.ends_with(
            r#""createdAt":"2026-06-01T10:00:00Z","completedAt":"2026-06-01T10:01:29Z"}"#
        ),
        "{body}"
    );
}

#[test]
fn hk_8_a_payload_is_of_use_for_seven_days() {
    assert_eq!(
        profile("hooked").payload_age_max(),
        Some(Duration::from_hours(7 * 24))
    );
}

#[test]
fn hk_9_anything_but_200_is_retried_after_1_5_and_15_minutes() {
    for kind in [Webhook, Callback] {
        let hooked = profile("hooked");
        let rules = hooked.rules(kind);
        for status in 100..600 {
            assert_eq!(rules.success.contains(status), status == 200, "{status}");
            assert!(!rules.refused_for_good.contains(status), "{status}");
        }
        assert!(!rules.gone_disables);
        assert_eq!(minutes(rules), [1.0, 5.0, 15.0]);
        assert!(is_exact(rules));
    }
}

#[test]
fn hk_10_there_is_no_signature_and_no_header_at_all() {
    for kind in [Webhook, Callback] {
        assert!(profile("hooked").signature(kind).is_none());
        let sent = headers(&profile("hooked"), kind, COMPLETED, 1, 0);
        assert_only(&sent, &[]);
        assert_eq!(sent, []);
    }
}
