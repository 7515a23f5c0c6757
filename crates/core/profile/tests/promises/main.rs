//! What the four platforms promise their receivers, as far as bodies, headers, signatures and rules keep it.
//!
//! Each test bears the number of its promise: HI for Hinto, MH for ModelHunter, HK for Hooked, VP for VideoPilot.
#![expect(clippy::unwrap_used, reason = "a test may")]

mod hinto;
mod hooked;
mod modelhunter;
#[path = "../support/mod.rs"]
mod support;
mod videopilot;

use ringback_domain::DeliveryRules;
use std::time::Duration;
use support::header;

/// Headers of all platforms; a delivery carries those of its own and no other.
const PLATFORM_HEADERS: [&str; 8] = [
    "X-Hinto-Signature",
    "X-VideoPilot-Signature",
    "X-Webhook-ID",
    "X-Webhook-Timestamp",
    "X-Webhook-Signature",
    "X-Webhook-Event",
    "X-Job-ID",
    "Content-Type",
];

/// Asserts that of the platforms' headers exactly these are there.
fn assert_only(headers: &[(String, String)], expected: &[&str]) {
    for name in PLATFORM_HEADERS {
        assert_eq!(
            header(headers, name).is_some(),
            expected.contains(&name),
            "{name}"
        );
    }
    for (name, _) in headers {
        let is_neutral = name.starts_with("Ringback-");
        assert!(
            is_neutral || PLATFORM_HEADERS.contains(&name.as_str()),
            "{name} is nobody's header"
        );
    }
}

fn members(body: &str) -> Vec<String> {
    let body: serde_json::Value = serde_json::from_str(body).unwrap();
    body.as_object().unwrap().keys().cloned().collect()
}

fn minutes(rules: &DeliveryRules) -> Vec<f64> {
    let delays = rules.retry.delays().iter();
    delays.map(|delay| delay.as_secs_f64() / 60.0).collect()
}

fn is_exact(rules: &DeliveryRules) -> bool {
    rules.retry.jitter() == 0.0 && !rules.retry.honours_retry_after()
}

const HALF_A_MINUTE: Duration = Duration::from_secs(30);
