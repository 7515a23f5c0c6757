//! The description of the API, for programs and for people.

use crate::installation::{Ground, Installation};
use ringback_api::{Limits, openapi_document};
use std::path::Path;

#[test]
fn the_description_that_is_checked_in_is_the_one_that_is_served() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../docs/openapi.json");
    let checked_in = std::fs::read_to_string(file).unwrap();
    assert!(
        checked_in == openapi_document(),
        "write it anew: cargo run -p ringback-api --example openapi > docs/openapi.json"
    );
}

#[tokio::test]
async fn the_reference_loads_nothing_from_outside() {
    let installation = Installation::start_with(Ground::Embedded, Limits::default(), []).await;
    let served = installation.get("/openapi.json", "").await;
    assert_eq!(served.body, openapi_document());
    let page = installation.get("/docs", "").await;
    assert_eq!(page.status, 200);
    let policy = page.header("content-security-policy");
    assert!(policy.starts_with("default-src 'none'"), "{policy}");
    assert_eq!(page.header("x-content-type-options"), "nosniff");
    let html = String::from_utf8(page.body.to_vec()).unwrap();
    for outside in ["://", "src=", "<script", "url(", "@import"] {
        assert!(!html.contains(outside), "{outside}");
    }
    for link in html.split("href=\"").skip(1) {
        let link = link.split('"').next().unwrap();
        match link.strip_prefix('#') {
            Some(anchor) => assert!(html.contains(&format!("id=\"{anchor}\"")), "{link}"),
            None => assert_eq!(installation.get(link, "").await.status, 200, "{link}"),
        }
    }
    let description: serde_json::Value = serde_json::from_slice(&served.body).unwrap();
    assert_eq!(description["openapi"], "3.1.0");
    for path in description["paths"].as_object().unwrap().keys() {
        assert!(html.contains(path.as_str()), "{path}");
    }
    installation.stop().await;
}
