//! The description of the API, as `OpenAPI` 3.1.

use crate::route;
use utoipa::{
    Modify, OpenApi,
    openapi::security::{ApiKey, ApiKeyValue, Http, HttpAuthScheme, SecurityScheme},
};

/// What is said of the API as a whole; the calls bring the rest.
#[derive(OpenApi)]
#[openapi(
    info(
        title = "Ringback",
        description = "Publishes job events, manages webhooks, and shows what became of every delivery.",
        license(name = "Apache-2.0 OR MIT")
    ),
    tags(
        (name = "events", description = "What happened to jobs"),
        (name = "webhooks", description = "Registered destinations of a project"),
        (name = "deliveries", description = "Events on their way to one destination each"),
        (name = "breakers", description = "Destinations that are spared because they kept failing"),
        (name = "dead letters", description = "Deliveries given up"),
        (name = "replays", description = "Plans to send many dead letters again"),
        (name = "stats", description = "How things stand"),
        (name = "profiles", description = "What platforms promise their receivers"),
        (name = "keys", description = "Keys to this API"),
        (name = "health", description = "For what starts, stops and watches the process")
    ),
    security(("bearer" = []), ("key" = [])),
    modifiers(&Keys)
)]
pub(crate) struct Description;

struct Keys;

impl Modify for Keys {
    fn modify(&self, description: &mut utoipa::openapi::OpenApi) {
        let components = description.components.get_or_insert_default();
        let bearer = SecurityScheme::Http(Http::new(HttpAuthScheme::Bearer));
        let header = SecurityScheme::ApiKey(ApiKey::Header(ApiKeyValue::new("X-API-Key")));
        components.add_security_scheme("bearer", bearer);
        components.add_security_scheme("key", header);
    }
}

/// The description, whole.
pub(crate) fn description() -> utoipa::openapi::OpenApi {
    route::calls().into_openapi()
}

/// The description as a document: what is served, and what is checked in.
///
/// # Panics
///
/// When the description cannot be written as JSON, which a test notices.
pub fn document() -> String {
    let mut text = description()
        .to_pretty_json()
        .expect("a description is JSON");
    text.push('\n');
    text
}
