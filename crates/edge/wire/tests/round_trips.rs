//! What is written is read again, and what was written by any release is read for ever.

use bytes::Bytes;
use proptest::prelude::*;
use ringback_domain::{
    Acknowledgement, Attempt, AttemptOutcome, Breaker, BreakerRules, DeadLetter, DeadLetterReason,
    Deferral, Disposal, Excerpt, Generation, GroupHead, KeyOwner, Replayed, SecretDigest,
    UnreachableCause, limits,
    replay_plan::{EntryMark, PlanState, PlanWish, ReplayTarget},
};
use ringback_testkit::samples;
use ringback_wire::{api_key, breaker, delivery, event, export, group, record, replay_plan};
use std::path::Path;

fn golden(name: &str) -> Bytes {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/golden")
        .join(name);
    std::fs::read(&path)
        .unwrap_or_else(|error| panic!("{}: {error}", path.display()))
        .into()
}

#[test]
fn a_delivery_survives_with_its_body_history_and_trace() {
    for destination in [
        samples::webhook_destination(),
        samples::callback_destination(),
    ] {
        let mut sent = samples::retry_of(&samples::delivery_of(&samples::event(), destination));
        sent.accepted_at = Some(samples::moment(1));
        sent.deferral = Some(Deferral {
            since: samples::moment(3),
            turn_at: Some(samples::moment(4)),
            back_by: Some(samples::moment(5)),
            missed: true,
        });
        sent.body = Bytes::from_static(b"{\"a\":\"\\u00e9\"}\n\x00\xff");
        sent.history[0].excerpt = Excerpt::new(b"not text: \xff", true);
        let read = delivery::decode(&delivery::encode(&sent)).unwrap();
        assert_eq!(format!("{read:?}"), format!("{sent:?}"));
        assert_eq!(read.history, sent.history);
        assert_eq!(read.destination, sent.destination);
        assert_eq!(read.body, sent.body);
    }
}

#[test]
fn exported_dead_letters_survive_without_their_secrets() {
    let callback = samples::delivery_of(&samples::event(), samples::callback_destination());
    let mut binary = samples::delivery();
    binary.body = Bytes::from_static(b"\xff\n\x00");
    for (dead, secret) in [
        (samples::dead_letter(), false),
        (samples::event_dead_letter(), false),
        (samples::raw_dead_letter(), false),
        (samples::dead_letter_of(binary, samples::moment(5)), false),
        (samples::dead_letter_of(callback, samples::moment(5)), true),
    ] {
        let line = export::encode(&dead).unwrap();
        let text = String::from_utf8(line.clone()).unwrap();
        assert!(
            !text.contains('\n') && !text.contains("sealed:v1"),
            "{text}"
        );
        let read = export::decode(&line).unwrap();
        assert_eq!(read.secret_left_out, secret);
        if !secret {
            assert_eq!(format!("{:?}", read.dead_letter), format!("{dead:?}"));
        }
        assert_eq!(
            export::encode(&read.dead_letter).unwrap().len() + if secret { 23 } else { 0 },
            line.len()
        );
    }
}

#[test]
fn as_much_as_is_kept_of_any_bytes_fits_a_line_of_an_export() {
    for byte in [b'x', b'"', 1, 0xff] {
        let bytes = vec![byte; 2 * limits::RAW_BYTES_MAX];
        let (reason, at) = (DeadLetterReason::Poison, samples::moment(5));
        let dead = DeadLetter::of_raw(bytes.into(), reason, "why".into(), at);
        let line = export::encode(&dead).unwrap();
        assert!(line.len() <= export::LINE_BYTES_MAX, "{}", line.len());
    }
}

#[test]
fn a_damaged_export_names_the_member() {
    let line = String::from_utf8(export::encode(&samples::dead_letter()).unwrap()).unwrap();
    for (from, to, expected) in [
        ("\"sha256\":\"", "\"sha256\":\"0", "`sha256`"),
        ("\"body\":\"", "\"body\":\"x", "`sha256`"),
        ("\"body\"", "\"bode\"", "`body`"),
        ("\"dead_letter\":", "\"dead\":", "`dead_letter`"),
        ("\"v\":1", "\"v\":\"1\"", "`v`"),
        ("{\"v\":1,", "{", "`v`"),
    ] {
        let damaged = line.replacen(from, to, 1);
        assert_ne!(damaged, line);
        let fault = export::decode(damaged.as_bytes()).unwrap_err().to_string();
        assert!(fault.contains(expected), "{fault}");
    }
    assert!(export::decode(&line.as_bytes()[..line.len() - 1]).is_err());
}

#[test]
fn an_exported_webhook_survives_with_all_that_makes_it_the_same() {
    let golden = record::decode_webhook(&golden("v1.webhook")).unwrap();
    for webhook in [samples::webhook(), golden] {
        let line = export::encode_webhook(&webhook);
        assert!(!line.contains(&b'\n'));
        assert_eq!(export::decode_webhook(&line).unwrap(), webhook);
    }
}

#[test]
fn a_damaged_line_of_a_webhook_names_the_member() {
    let line = export::encode_webhook(&samples::webhook());
    let line = String::from_utf8(line).unwrap();
    for (from, to, expected) in [
        ("\"sha256\":\"", "\"sha256\":\"0", "`sha256`"),
        ("\"url\":\"", "\"url\":\"x", "`sha256`"),
        ("\"webhook\":", "\"dead_letter\":", "`webhook`"),
        ("{\"v\":1,", "{", "`v`"),
        ("{\"v\":1,", "{\"v\":2,", "version 2"),
    ] {
        let damaged = line.replacen(from, to, 1);
        assert_ne!(damaged, line);
        let fault = export::decode_webhook(damaged.as_bytes()).unwrap_err();
        assert!(fault.to_string().contains(expected), "{fault}");
    }
    let cut = &line.as_bytes()[..line.len() - 1];
    assert!(export::decode_webhook(cut).is_err());
    let dead_letter = export::encode(&samples::dead_letter()).unwrap();
    let fault = export::decode_webhook(&dead_letter).unwrap_err();
    assert!(
        fault
            .to_string()
            .contains("`webhook` of the exported webhook"),
        "{fault}"
    );
}

#[test]
fn groups_survive() {
    for dead in [
        samples::dead_letter(),
        samples::event_dead_letter(),
        samples::raw_dead_letter(),
    ] {
        let head = GroupHead::of(&dead);
        assert_eq!(
            group::decode_head(&group::encode_head(&head)).unwrap(),
            head
        );
    }
    let known = Acknowledgement {
        at: samples::moment(5),
        by: "ada".into(),
        note: "\"known\" → Monday".into(),
        seen_until: samples::moment(4),
    };
    let record = group::encode_acknowledgement(&known);
    assert_eq!(group::decode_acknowledgement(&record).unwrap(), known);
}

#[test]
fn records_survive() {
    let webhook = samples::webhook();
    assert_eq!(
        record::decode_webhook(&record::encode_webhook(&webhook)).unwrap(),
        webhook
    );
    let project = samples::project();
    for owner in [KeyOwner::Operator, KeyOwner::Project(project)] {
        let key = samples::api_key_of(owner);
        assert_eq!(api_key::decode(&api_key::encode(&key)).unwrap(), key);
    }
    let rules = BreakerRules {
        failures: std::num::NonZeroU32::MIN,
        probe_first: std::time::Duration::from_secs(5),
        probe_max: std::time::Duration::from_mins(1),
    };
    let opened = Breaker::opened(
        samples::webhook_destination().id(),
        samples::moment(1),
        &rules,
    );
    let recovering = opened.recovering(samples::moment(2)).unwrap();
    for breaker in [opened, recovering] {
        assert_eq!(
            breaker::decode(&breaker::encode(&breaker)).unwrap(),
            breaker
        );
    }
    let lost = Attempt {
        outcome: AttemptOutcome::Unreachable(UnreachableCause::ConnectionLost),
        cut_off: Some(200),
        ..samples::attempt()
    };
    for attempt in [samples::attempt(), lost] {
        assert_eq!(
            record::decode_attempt(&record::encode_attempt(&attempt)).unwrap(),
            attempt
        );
    }
    for mut dead in [
        samples::dead_letter(),
        samples::event_dead_letter(),
        samples::raw_dead_letter(),
    ] {
        let at = samples::moment(5);
        for disposal in [
            Disposal::Open,
            Disposal::Replayed(Replayed {
                at,
                by: "ada".into(),
                generation: Generation::new(2),
            }),
            Disposal::Discarded {
                at,
                note: "known".into(),
            },
        ] {
            dead.disposal = disposal;
            let read =
                record::decode_dead_letter(&record::encode_dead_letter(&dead).unwrap()).unwrap();
            assert_eq!(format!("{read:?}"), format!("{dead:?}"));
            assert_eq!(
                record::decode_disposal(&record::encode_disposal(&dead.disposal)).unwrap(),
                dead.disposal
            );
        }
    }
}

#[test]
fn a_callbacks_secret_is_not_in_its_record() {
    let delivery = samples::delivery_of(&samples::event(), samples::callback_destination());
    let head = record::encode_record_head(&delivery);
    assert!(!String::from_utf8(head).unwrap().contains("sealed:v1"));
}

#[test]
fn a_newer_version_is_refused_with_a_hint() {
    let message = delivery::encode(&samples::delivery());
    let newer = String::from_utf8(message.to_vec())
        .unwrap()
        .replacen("\"v\":1", "\"v\":2", 1);
    let refused = delivery::decode(&newer.into()).unwrap_err().to_string();
    assert!(refused.contains("finish the upgrade"), "{refused}");
}

#[test]
fn a_replay_plan_survives_whole_and_in_parts() {
    let mut plan = samples::replay_plan_of(&samples::project(), 1_500);
    plan.terms.target = ReplayTarget::Webhook("whk_1".parse().unwrap());
    plan.terms.pacing.rate = None;
    plan.status = plan
        .status
        .wished(PlanWish::Start, samples::moment(201), "bob")
        .unwrap();
    let stopped = PlanState::StoppedItself { failed: 6, of: 10 };
    plan.status = plan.status.moved(stopped, samples::moment(202), "wrk_1");
    plan.progress.signs.extend([true, false, true]);
    plan.progress.chunks_begun = 2;
    plan.progress.chunks_open = vec![1, 0];
    plan.progress.began_at = Some(samples::moment(201));
    for (count, mark) in EntryMark::ALL.into_iter().enumerate() {
        plan.progress
            .counts
            .set(mark, u32::try_from(count).unwrap());
    }
    let read = replay_plan::decode(&replay_plan::encode(&plan)).unwrap();
    assert_eq!(read, plan);
    let terms = replay_plan::encode_terms(&plan.terms);
    assert_eq!(replay_plan::decode_terms(&terms).unwrap(), plan.terms);
    let status = replay_plan::encode_status(&plan.status);
    assert_eq!(replay_plan::decode_status(&status).unwrap(), plan.status);
    let progress = replay_plan::encode_progress(&plan.progress);
    assert_eq!(
        replay_plan::decode_progress(&progress).unwrap(),
        plan.progress
    );
}

#[test]
fn the_entries_and_marks_of_a_plan_survive() {
    let letters = [
        samples::dead_letter(),
        samples::raw_dead_letter(),
        samples::dead_letter(),
    ];
    let entries = letters.each_ref().map(samples::plan_entry_of);
    let written = replay_plan::encode_entries(&entries);
    assert_eq!(replay_plan::decode_entries(&written).unwrap(), entries);
    let marks = EntryMark::ALL;
    let written = replay_plan::encode_marks(&marks);
    assert_eq!(
        replay_plan::decode_marks(&written, marks.len()).unwrap(),
        marks
    );
    assert_eq!(
        replay_plan::decode_marks("", 2).unwrap(),
        [EntryMark::Waiting; 2]
    );
    for (text, entries) in [("ss", 3), ("sss", 2), ("s?", 2)] {
        assert!(replay_plan::decode_marks(text, entries).is_err(), "{text}");
    }
    for text in [
        "",
        "2 whk_1",
        "1\ndlt_1 dlv_1 0 0",
        "1 whk_1\ndlt_1 dlv_1 0",
        "1\n",
    ] {
        assert!(
            replay_plan::decode_entries(text.as_bytes()).is_err(),
            "{text}"
        );
    }
}

#[test]
fn version_1_is_read_for_ever() {
    let read = delivery::decode(&golden("v1.delivery")).unwrap();
    assert_eq!(read.id.as_str(), "dlv_6f1c2a3b4c5d6e7f8091a2b3c4d5e6f7");
    assert_eq!(
        (
            read.generation.get(),
            read.attempt.get(),
            read.history.len()
        ),
        (1, 2, 2)
    );
    assert_eq!(read.body, "{\"id\":\"evt_golden\",\"n\":1.50}");
    let dead = record::decode_dead_letter(&golden("v1.dead_letter")).unwrap();
    assert_eq!(dead.cause.summary, "refused 503");
    assert_eq!(dead.delivery().unwrap().history.len(), 2);
    let webhook = record::decode_webhook(&golden("v1.webhook")).unwrap();
    assert_eq!(
        (
            webhook.revision,
            webhook.secrets.len(),
            webhook.headers.len()
        ),
        (3, 2, 1)
    );
    let exported = export::decode(&golden("v1.export")).unwrap().dead_letter;
    assert_eq!(exported.id, dead.id);
    let exported = export::decode_webhook(&golden("v1.export_webhook")).unwrap();
    assert_eq!(exported, webhook);
    let head = group::decode_head(&golden("v1.group")).unwrap();
    assert_eq!(head.cause.summary, "refused 503");
    assert_eq!(head.destination.unwrap().as_str(), "whk_golden");
    let known = group::decode_acknowledgement(&golden("v1.acknowledgement")).unwrap();
    assert_eq!((&*known.by, &*known.note), ("ada", "until Monday"));
    let key = api_key::decode(&golden("v1.api_key")).unwrap();
    assert_eq!(key.digest, SecretDigest::of(b"secret"));
    assert_eq!((key.revision, key.scopes.len()), (3, 2));
    let plan = replay_plan::decode(&golden("v1.replay_plan")).unwrap();
    assert_eq!(
        plan.status.state,
        PlanState::StoppedItself { failed: 6, of: 10 }
    );
    assert_eq!(plan.progress.counts.total(), plan.terms.preview.entries);
    let chunk = replay_plan::decode_entries(&golden("v1.replay_plan_chunk")).unwrap();
    assert_eq!((chunk.len(), chunk[0].delivery.is_some()), (2, true));
    assert_eq!(
        event::parse(&golden("v1.event")).unwrap().id.as_str(),
        "evt_golden"
    );
}

proptest! {
    #[test]
    fn no_bytes_make_a_reader_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let bytes = Bytes::from(bytes);
        let _ = delivery::decode(&bytes);
        let _ = record::decode_dead_letter(&bytes);
        let _ = record::decode_webhook(&bytes);
        let _ = record::decode_attempt(&bytes);
        let _ = group::decode_head(&bytes);
        let _ = export::decode(&bytes);
        let _ = export::decode_webhook(&bytes);
        let _ = group::decode_acknowledgement(&bytes);
        let _ = api_key::decode(&bytes);
        let _ = event::read(&bytes, None);
        let _ = replay_plan::decode(&bytes);
        let _ = replay_plan::decode_entries(&bytes);
    }

    #[test]
    fn no_damage_makes_a_reader_panic(at in 0usize..600, byte: u8) {
        let mut message = delivery::encode(&samples::retry_of(&samples::delivery())).to_vec();
        let at = at % message.len();
        message[at] = byte;
        let _ = delivery::decode(&message.into());
    }
}
