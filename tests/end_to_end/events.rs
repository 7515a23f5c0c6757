//! Events of every profile, no two alike, with data that careless programs would change on the way.

use serde_json::{Value, json};

/// A project for each profile: those built in, and three of our own for libraries that check signatures their own way.
pub(crate) const PROJECTS: &str = r#"
[projects]
hinto = { profile = "hinto" }
modelhunter = { profile = "modelhunter" }
hooked = { profile = "hooked" }
videopilot = { profile = "videopilot" }
standard = { profile = "standard" }
github = { profile = "github" }
stripe = { profile = "stripe" }
slack = { profile = "slack" }
shopify = { profile = "shopify" }

[profiles.stripe]
body = "del(.project)"
success = ["2xx"]
time_limit = "10s"
retry = { delays = ["5s"] }
signature = { header = "Stripe-Signature", signed = "{timestamp}.{body}", value = "t={timestamp},v1={signature}", digest = "hex", secret = "utf8" }

[profiles.slack]
body = "del(.project)"
success = ["2xx"]
time_limit = "10s"
retry = { delays = ["5s"] }
headers = { X-Slack-Request-Timestamp = "{timestamp}" }
signature = { header = "X-Slack-Signature", signed = "v0:{timestamp}:{body}", value = "v0={signature}", digest = "hex", secret = "utf8" }

[profiles.shopify]
body = "del(.project)"
success = ["2xx"]
time_limit = "10s"
retry = { delays = ["5s"] }
headers = { X-Shopify-Topic = "{event.type}", X-Shopify-Shop-Domain = "shop.example.com", X-Shopify-API-Version = "2025-10", X-Shopify-Webhook-Id = "{event.id}" }
signature = { header = "X-Shopify-Hmac-SHA256", signed = "{body}", value = "{signature}", digest = "base64", secret = "utf8" }
"#;

/// The names of [`PROJECTS`].
pub(crate) const NAMES: [&str; 9] = [
    "hinto",
    "modelhunter",
    "hooked",
    "videopilot",
    "standard",
    "github",
    "stripe",
    "slack",
    "shopify",
];

/// JSON as a customer may well write it: keys that ECMAScript reorders, numbers it prints otherwise, escapes it resolves.
/// None of it is lost on the way.
const AWKWARD: [&str; 6] = [
    r#"{"z":1,"10":"ten","9":"nine","a":{"é":"caf\u00e9 \ud83d\ude00"}}"#,
    r#"{"half":0.50,"hundred":1e2,"tiny":1E-7,"zero":0.0,"big":100000000000000000000}"#,
    r#"{"path":"a\/b","line":"\u2028","control":"\u001F","quote":"\"\\"}"#,
    r#"{"empty":{},"list":[[],null,true,[1, 2,3 ]],"" : ""}"#,
    r#"{"url":"https://cdn.example.com/v.mp4?a=1&b=%20","size_bytes":12582912,"duration":87.5}"#,
    r#"{"text":"<script>&amp;</script> 日本語 \t tab"}"#,
];

/// The text of an event. `callback` is where its job wants to be told, with the secret.
pub(crate) fn event(
    project: &str,
    number: usize,
    callback: Option<(String, Option<&str>)>,
) -> String {
    let is_failure = number % 3 == 2;
    let event_type = event_type(project, number, is_failure);
    let output = match project {
        "modelhunter" => {
            json!([{ "url": format!("https://cdn.example.com/{number}.mp4"), "duration": 4, "format": "mp4", "size_bytes": 12_582_912 }])
        }
        _ => {
            json!({ "id": format!("video_{number}"), "url": "https://cdn.example.com/v.mp4", "duration": 45 })
        }
    };
    let job = json!({
        "id": format!("job_{project}_{number}"),
        "kind": "video",
        "status": if is_failure { "failed" } else { "completed" },
        "output": if is_failure { Value::Null } else { output },
        "error": if is_failure { json!("Image generation failed for scene 3") } else { Value::Null },
        "created_at": "2026-06-01T10:00:00Z",
        "completed_at": "2026-06-01T10:01:30Z",
    });
    let awkward = AWKWARD[number % AWKWARD.len()];
    let callback = callback.map_or(String::new(), |(url, secret)| {
        let callback = secret.map_or_else(
            || json!({ "url": url }),
            |secret| json!({ "url": url, "secret": secret }),
        );
        format!(r#","callback":{callback}"#)
    });
    // By hand, so that nothing tidies the data up.
    format!(
        r#"{{"id":"evt_{project}_{number}","project":"{project}","type":"{event_type}","occurred_at":"2026-06-01T10:01:30.250Z","job":{job},"data":{{"video_id":"video_{number}","provider":"vidu","model":"viduq2","metadata":{awkward},"number":{number}}}{callback}}}"#
    )
}

fn event_type(project: &str, number: usize, is_failure: bool) -> &'static str {
    const VIDEOPILOT: [&str; 6] = [
        "video.script_ready",
        "render.started",
        "video.generation_failed",
        "video.media_ready",
        "render.completed",
        "render.failed",
    ];
    match (project, is_failure) {
        ("hinto", false) => "job.completed",
        ("hinto", true) => "job.failed",
        ("hooked", false) => "project.completed",
        ("hooked", true) => "project.failed",
        ("videopilot", _) => VIDEOPILOT[number % VIDEOPILOT.len()],
        (_, false) => "task.completed",
        (_, true) => "task.failed",
    }
}
