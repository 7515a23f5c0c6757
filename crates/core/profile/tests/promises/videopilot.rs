use crate::{
    HALF_A_MINUTE, assert_only, is_exact, members, minutes,
    support::{body, event, event_text, header, headers, profile, signature},
};
use ringback_profile::DestinationKind::{Callback, Webhook};

const VECTOR: &str = include_str!("../golden/videopilot-vector-3.event.json");
const VECTOR_3: &str = "sha256=bc05508150813d6355e8d48bacb0c12dbd392eb54cd15917423f62eb88377af6";

/// The members of `data` in a golden event's body.
fn data(event: &str) -> Vec<String> {
    let parsed: serde_json::Value =
        serde_json::from_str(&body(&profile("videopilot"), Webhook, event)).unwrap();
    members(&parsed["data"].to_string())
}

#[test]
fn vp_1_there_are_six_events() {
    let videopilot = profile("videopilot");
    let mut types: Vec<_> = videopilot
        .event_types()
        .unwrap()
        .iter()
        .map(ToString::to_string)
        .collect();
    types.sort_unstable();
    assert_eq!(
        types,
        [
            "render.completed",
            "render.failed",
            "render.started",
            "video.generation_failed",
            "video.media_ready",
            "video.script_ready"
        ]
    );
}

#[test]
fn what_is_false_stays_so_and_what_is_null_is_an_empty_object() {
    for (data, expected) in [("false", "false"), ("0", "0"), ("null", "{}")] {
        let event = event_text("render.started", r#""kind":"render""#, data);
        let body = body(&profile("videopilot"), Webhook, &event);
        assert!(body.contains(&format!(r#""data":{expected},"#)), "{body}");
    }
}

#[test]
fn vp_2_the_envelope_is_event_data_timestamp_with_milliseconds() {
    for (at, expected) in [
        ("2024-01-15T10:43:30Z", "2024-01-15T10:43:30.000Z"),
        ("2024-01-15T10:43:30.1Z", "2024-01-15T10:43:30.100Z"),
        (
            "2024-01-15T11:43:30.123999+01:00",
            "2024-01-15T10:43:30.123Z",
        ),
    ] {
        let event = event_text("render.started", r#""kind":"render""#, "{}")
            .replace("2026-06-01T10:01:30.250Z", at);
        let body = body(&profile("videopilot"), Webhook, &event);
        assert_eq!(
            body,
            format!(r#"{{"event":"render.started","data":{{}},"timestamp":"{expected}"}}"#)
        );
    }
}

#[test]
fn vp_3_script_ready_has_the_script_and_the_count_of_scenes() {
    let event = include_str!("../golden/videopilot-video-script-ready.event.json");
    assert_eq!(
        data(event),
        ["video_id", "title", "script", "status", "scene_count"]
    );
}

#[test]
fn vp_4_media_ready_has_the_counts_and_the_duration() {
    let event = include_str!("../golden/videopilot-video-media-ready.event.json");
    let counts = ["total_duration", "scenes_with_images", "scenes_with_audio"];
    assert_eq!(
        data(event),
        [&["video_id", "title", "status", "scene_count"][..], &counts].concat()
    );
}

#[test]
fn vp_5_generation_failed_has_the_error_and_the_step() {
    let event = include_str!("../golden/videopilot-video-generation-failed.event.json");
    assert_eq!(
        data(event),
        ["video_id", "title", "status", "error", "failed_step"]
    );
}

#[test]
fn vp_6_render_started_has_an_estimate() {
    let event = include_str!("../golden/videopilot-render-started.event.json");
    assert_eq!(
        data(event),
        [
            "render_job_id",
            "video_id",
            "status",
            "quality",
            "estimated_duration"
        ]
    );
}

#[test]
fn vp_7_render_completed_has_the_output_and_87_5_stays_87_5() {
    let event = include_str!("../golden/videopilot-render-completed.event.json");
    assert_eq!(
        data(event),
        [
            "render_job_id",
            "video_id",
            "status",
            "output_url",
            "duration",
            "file_size",
            "quality"
        ]
    );
    assert!(
        body(&profile("videopilot"), Webhook, event)
            .contains(r#""duration":87.5,"file_size":25690112,"#)
    );
}

#[test]
fn vp_8_render_failed_has_the_error() {
    let event = include_str!("../golden/videopilot-render-failed.event.json");
    assert_eq!(
        data(event),
        ["render_job_id", "video_id", "status", "error", "quality"]
    );
}

#[test]
fn vp_9_every_request_is_signed_over_the_body() {
    for kind in [Webhook, Callback] {
        let (name, value) = signature(&profile("videopilot"), kind, VECTOR, "vp-secret-1", 0);
        assert_eq!(name, "X-VideoPilot-Signature");
        assert_eq!(value, VECTOR_3);
        assert!(
            !profile("videopilot")
                .signature(kind)
                .unwrap()
                .allows_several()
        );
        assert_only(&headers(&profile("videopilot"), kind, VECTOR, 1, 0), &[]);
    }
    let mut event = event(VECTOR);
    event.callback = Some(ringback_domain::Callback {
        url: "https://example.com/cb".parse().unwrap(),
        secret: None,
    });
    let refused = profile("videopilot").render(Callback, &event).unwrap_err();
    assert_eq!(refused.member(), Some("callback.secret"));
    assert!(profile("videopilot").render(Webhook, &event).is_ok());
    assert!(profile("standard").render(Callback, &event).is_ok());
}

#[test]
fn vp_10_the_receiver_has_30_seconds_to_answer_200() {
    let videopilot = profile("videopilot");
    let rules = videopilot.rules(Webhook);
    assert_eq!(rules.time_limit, HALF_A_MINUTE);
    assert!((100..600).all(|status| rules.success.contains(status) == (status == 200)));
}

#[test]
fn vp_11_there_are_three_retries_with_growing_waits() {
    let videopilot = profile("videopilot");
    let rules = videopilot.rules(Webhook);
    assert_eq!(minutes(rules), [1.0, 5.0, 25.0]);
    assert!(is_exact(rules));
}

#[test]
fn vp_12_the_event_s_id_is_in_a_header_and_the_same_in_every_attempt() {
    for attempt in 1..=4 {
        let sent = headers(
            &profile("videopilot"),
            Webhook,
            VECTOR,
            attempt,
            i64::from(attempt),
        );
        assert_eq!(header(&sent, "Ringback-Event-Id"), Some("evt_v9"));
        assert_eq!(
            header(&sent, "Ringback-Attempt"),
            Some(attempt.to_string().as_str())
        );
    }
}
