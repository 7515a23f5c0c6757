//! What a release build must not have.

const FAULT_POINTS: &[&str] = &[
    "RINGBACK_FAULT_POINT",
    "RINGBACK_SABOTAGE",
    "request-sent",
    "settled-delivered",
    "retry-published",
    "settled-retrying",
    "settled-dead-lettered",
    "delivery-published",
    "deliveries-published",
    "event-marked",
    "replay-published",
];

#[test]
fn a_release_build_holds_no_fault_point() {
    let binary = std::fs::read(env!("CARGO_BIN_EXE_ringback")).unwrap();
    for name in FAULT_POINTS {
        let found = binary
            .windows(name.len())
            .any(|part| part == name.as_bytes());
        assert!(!found, "`{name}` is in the binary");
    }
}
