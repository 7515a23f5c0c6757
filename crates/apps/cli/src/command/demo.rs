use crate::{args::DemoArgs, failure::Outcome, session::Session};
pub(crate) async fn run(_session: &Session, _args: DemoArgs) -> Outcome {
    Ok(())
}
