//! Prints the description of the API: `cargo run -p ringback-api --example openapi > docs/openapi.json`.

use std::io::{self, Write};

fn main() -> io::Result<()> {
    io::stdout().write_all(ringback_api::openapi_document().as_bytes())
}
