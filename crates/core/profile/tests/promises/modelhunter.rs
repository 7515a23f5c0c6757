use crate::{
    assert_only, is_exact, members, minutes,
    support::{body, event_text, header, headers, profile, signature},
};
use ringback_profile::{
    BodyForm,
    DestinationKind::{Callback, Webhook},
};

const COMPLETED: &str = include_str!("../golden/modelhunter-task-completed.event.json");
const VECTOR: &str = include_str!("../golden/modelhunter-vector-2.event.json");
const VECTOR_2: &str = "sha256=f81c1416593be58ba81ebd47ad783a47008cac3a67156152cfb2260688ab6a83";
const AT: i64 = 1_767_225_600;

#[test]
fn mh_1_there_are_two_event_types() {
    let modelhunter = profile("modelhunter");
    let types: Vec<_> = modelhunter
        .event_types()
        .unwrap()
        .iter()
        .map(ToString::to_string)
        .collect();
    assert_eq!(types, ["task.completed", "task.failed"]);
    assert!(!modelhunter.knows(&"task.complete".parse().unwrap()));
}

#[test]
fn mh_6_a_configured_delivery_has_id_timestamp_and_signature() {
    let sent = headers(&profile("modelhunter"), Webhook, COMPLETED, 1, AT);
    assert_only(&sent, &["X-Webhook-ID", "X-Webhook-Timestamp"]);
    assert_eq!(header(&sent, "X-Webhook-ID"), Some("evt_abc123"));
    assert_eq!(
        header(&sent, "X-Webhook-Timestamp"),
        Some("1767225600"),
        "seconds, digits only"
    );
    let (name, value) = signature(&profile("modelhunter"), Webhook, COMPLETED, "secret", AT);
    assert_eq!(name, "X-Webhook-Signature");
    assert!(
        value
            .strip_prefix("sha256=")
            .is_some_and(|hex| hex.len() == 64)
    );
}

#[test]
fn mh_7_the_id_header_is_the_body_s_id_in_every_attempt() {
    let body: serde_json::Value =
        serde_json::from_str(&body(&profile("modelhunter"), Webhook, COMPLETED)).unwrap();
    for attempt in 1..=4 {
        let sent = headers(
            &profile("modelhunter"),
            Webhook,
            COMPLETED,
            attempt,
            AT + i64::from(attempt),
        );
        assert_eq!(header(&sent, "X-Webhook-ID"), body["id"].as_str());
    }
}

#[test]
fn mh_8_the_signature_covers_timestamp_stop_body() {
    let (_, value) = signature(&profile("modelhunter"), Webhook, VECTOR, "mh-secret-1", AT);
    assert_eq!(value, VECTOR_2);
    assert!(
        !profile("modelhunter")
            .signature(Webhook)
            .unwrap()
            .allows_several()
    );
}

#[test]
fn mh_8_the_body_is_a_fixed_point_and_what_cannot_be_one_is_refused() {
    let modelhunter = profile("modelhunter");
    for kind in [Webhook, Callback] {
        assert_eq!(modelhunter.body_form(kind), BodyForm::EcmascriptFixedPoint);
        for (metadata, member) in [
            (
                r#"{"ids":[1,9007199254740993]}"#,
                "data.task.metadata.ids[1]",
            ),
            (r#"{"offset":-0}"#, "data.task.metadata.offset"),
            (r#"{"far":1e400}"#, "data.task.metadata.far"),
        ] {
            let data = format!(r#"{{"metadata":{metadata}}}"#);
            let event =
                crate::support::event(&event_text("task.completed", r#""kind":"video""#, &data));
            let refused = modelhunter.render(kind, &event).unwrap_err();
            assert_eq!(refused.member(), Some(member), "{refused}");
        }
    }
}

#[test]
fn mh_9_the_body_has_the_members_of_the_page() {
    let body = body(&profile("modelhunter"), Webhook, COMPLETED);
    assert_eq!(members(&body), ["id", "type", "created_at", "data"]);
    let parsed: serde_json::Value = serde_json::from_str(&body).unwrap();
    assert_eq!(
        members(&parsed["data"]["task"].to_string()),
        [
            "id",
            "type",
            "status",
            "provider",
            "model",
            "result",
            "created_at",
            "completed_at",
            "metadata"
        ]
    );
}

#[test]
fn mh_10_result_items_keep_integers_as_integers() {
    let body = body(&profile("modelhunter"), Webhook, COMPLETED);
    assert!(
        body.contains(r#""duration":4,"format":"mp4","size_bytes":12582912}]"#),
        "{body}"
    );
}

#[test]
fn mh_11_the_status_of_task_completed_is_succeeded() {
    for (event_type, status) in [("task.completed", "succeeded"), ("task.failed", "failed")] {
        for reported in ["completed", "anything"] {
            let job = format!(r#""kind":"video","status":"{reported}""#);
            let body = body(
                &profile("modelhunter"),
                Webhook,
                &event_text(event_type, &job, "{}"),
            );
            assert!(body.contains(&format!(r#""status":"{status}""#)), "{body}");
        }
    }
}

#[test]
fn mh_12_metadata_keeps_its_structure_and_order() {
    let metadata = r#"{"z":{"y":[{"x":1,"a":null}],"b":{}},"a":0.5,"__proto__":{"q":[]},"":""}"#;
    let data = format!(r#"{{"metadata":{metadata},"provider":"p"}}"#);
    let body = body(
        &profile("modelhunter"),
        Webhook,
        &event_text("task.completed", r#""kind":"video""#, &data),
    );
    assert!(
        body.ends_with(&format!(r#""metadata":{metadata}}}}}}}"#)),
        "{body}"
    );
}

#[test]
fn mh_13_times_have_seconds_and_the_event_s_is_its_own() {
    let job = r#""created_at":"2026-06-01T10:00:00.5Z","completed_at":"2026-06-01T10:01:29.999Z""#;
    let body = body(
        &profile("modelhunter"),
        Webhook,
        &event_text("task.completed", job, "{}"),
    );
    assert!(
        body.contains(r#""type":"task.completed","created_at":"2026-06-01T10:01:30Z""#),
        "{body}"
    );
    assert!(
        body.contains(
            r#""created_at":"2026-06-01T10:00:00Z","completed_at":"2026-06-01T10:01:29Z""#
        ),
        "{body}"
    );
}

#[test]
fn mh_14_a_per_job_delivery_is_unsigned_and_names_event_and_job() {
    let modelhunter = profile("modelhunter");
    assert!(modelhunter.signature(Callback).is_none());
    let sent = headers(&modelhunter, Callback, COMPLETED, 1, AT);
    assert_only(
        &sent,
        &[
            "X-Webhook-ID",
            "X-Webhook-Timestamp",
            "X-Webhook-Event",
            "X-Job-ID",
        ],
    );
    assert_eq!(header(&sent, "X-Webhook-ID"), Some("evt_abc123"));
    assert_eq!(header(&sent, "X-Webhook-Event"), Some("task.completed"));
    assert_eq!(header(&sent, "X-Job-ID"), Some("task_abc123"));
}

#[test]
fn mh_15_any_non_2xx_is_retried_after_1_5_and_30_minutes() {
    let modelhunter = profile("modelhunter");
    let rules = modelhunter.rules(Webhook);
    assert!(
        [200, 201, 204, 299]
            .into_iter()
            .all(|status| rules.success.contains(status))
    );
    assert!(
        [199, 300, 400, 410, 500]
            .into_iter()
            .all(|status| !rules.success.contains(status))
    );
    assert!(
        (100..600).all(|status| !rules.refused_for_good.contains(status)) && !rules.gone_disables
    );
    assert_eq!(minutes(rules), [1.0, 5.0, 30.0], "four requests in all");
    assert!(is_exact(rules));
}

#[test]
fn mh_17_every_attempt_has_a_fresh_timestamp_and_signature() {
    let modelhunter = profile("modelhunter");
    let half_an_hour_later = AT + 30 * 60;
    let sent = headers(&modelhunter, Webhook, COMPLETED, 4, half_an_hour_later);
    assert_eq!(header(&sent, "X-Webhook-Timestamp"), Some("1767227400"));
    let first = signature(&modelhunter, Webhook, COMPLETED, "secret", AT);
    let last = signature(
        &modelhunter,
        Webhook,
        COMPLETED,
        "secret",
        half_an_hour_later,
    );
    assert_ne!(first, last);
}

#[test]
fn mh_18_a_per_job_delivery_is_tried_once() {
    assert_eq!(minutes(profile("modelhunter").rules(Callback)), [0.0; 0]);
}
