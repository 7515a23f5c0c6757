//! The worker as a process, so that tests can kill it: `worker CONFIG`, until its standard input closes.

use anyhow::Context;
use ringback_worker::{
    Backend, Opener, Role, Service, config::Config, context, observe::LogObserver,
};
use std::{path::PathBuf, sync::Arc};
use tokio::io::AsyncReadExt;

/// Written once it takes messages.
const READY: &str = "ready";

#[tokio::main]
#[expect(clippy::print_stdout, reason = "the test waits for it")]
async fn main() -> anyhow::Result<()> {
    let path = std::env::args_os().nth(1).map(PathBuf::from);
    let config = Config::load(path.as_deref(), [])?;
    let backend = Backend::open(&config, Opener::Service).await?;
    let context = context(&config, &backend, Arc::new(LogObserver))?;
    let settings = config.service_settings([Role::Dispatch, Role::Deliver]);
    let service = Service::start(context, &settings).await?;
    println!("{READY}");
    tokio::io::stdin()
        .read_to_end(&mut Vec::new())
        .await
        .context("could not wait for the end")?;
    service.stop().await;
    backend.close().await;
    Ok(())
}
