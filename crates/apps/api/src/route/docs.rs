//! `/openapi.json` and `/docs`: the description of the API, for programs and for people. Nothing is loaded from outside.

use crate::{openapi, problem::Code, reference};
use axum::{Router, routing::get};
use http::header;
use std::sync::LazyLock;

/// The page needs its own style sheet and nothing else; nobody may frame it.
const POLICY: &str = "default-src 'none'; style-src 'self'; base-uri 'none'; form-action 'none'; \
                      frame-ancestors 'none'";
const STYLE: &str = include_str!("../reference/style.css");

static DOCUMENT: LazyLock<String> = LazyLock::new(openapi::document);
static PAGE: LazyLock<String> = LazyLock::new(|| {
    let description = serde_json::from_str(&DOCUMENT).expect("a description is JSON");
    reference::page(&description, &Code::ALL)
});

pub(crate) fn pages<S: Clone + Send + Sync + 'static>() -> Router<S> {
    Router::new()
        .route("/openapi.json", get(async || json(DOCUMENT.as_str())))
        .route("/docs", get(async || page(PAGE.as_str())))
        .route("/docs/style.css", get(async || style(STYLE)))
}

type Page = ([(header::HeaderName, &'static str); 2], &'static str);

fn json(text: &'static str) -> Page {
    with_media_type("application/json", text)
}

fn style(text: &'static str) -> Page {
    with_media_type("text/css; charset=utf-8", text)
}

fn with_media_type(media_type: &'static str, text: &'static str) -> Page {
    let headers = [
        (header::CONTENT_TYPE, media_type),
        (header::CACHE_CONTROL, "no-cache"),
    ];
    (headers, text)
}

fn page(text: &'static str) -> ([(header::HeaderName, &'static str); 4], &'static str) {
    let headers = [
        (header::CONTENT_TYPE, "text/html; charset=utf-8"),
        (header::CACHE_CONTROL, "no-cache"),
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::REFERRER_POLICY, "no-referrer"),
    ];
    (headers, text)
}
