//! `ringback listen`: a receiver on this machine, for trying what receivers are promised.

mod show;

use crate::{
    args::ListenArgs,
    failure::{Exit, Failure, Outcome},
    forward::Forwarder,
    receiver::{Answers, Receiver},
    session::Session,
    verifier::Verifier,
};
use ringback_delivery::port::Clock;
use ringback_signing::Secret;
use ringback_worker::SystemClock;
use show::ReceivedView;
use std::net::SocketAddr;

pub(crate) async fn run(session: &Session, args: ListenArgs) -> Outcome {
    let verifier = verifier(session, &args)?;
    let answers = match &args.forward_to {
        Some(url) => {
            let forwarder = Forwarder::try_new(url, args.forward_anywhere)?;
            Answers::forwarded(forwarder, args.delay)
        }
        None => Answers::in_turn(args.status, args.delay),
    };
    let address = SocketAddr::new(args.address, args.port);
    let mut listening = Receiver::bind(address, answers).await.map_err(|failure| {
        Failure::failed(format!("could not listen on {address}"))
            .because(failure)
            .hint("--port 0 takes a free one")
    })?;
    session
        .terminal
        .say(&format!("listening on http://{}/", listening.address()));
    match &verifier {
        Some(verifier) => session.terminal.say(&format!("verifying {verifier}")),
        None => session
            .terminal
            .say("not verifying (hint: --profile and --secret-file)"),
    }
    if let Some(url) = &args.forward_to {
        session.terminal.say(&format!(
            "handing requests on to {url}, and its answers back"
        ));
    }
    let mut number = 0;
    while args.count.is_none_or(|count| number < count) {
        tokio::select! {
            ended = tokio::signal::ctrl_c() => {
                ended.map_err(|failure| Failure::failed("could not wait for Ctrl-C").because(failure))?;
                break;
            }
            received = listening.next() => {
                number += 1;
                let now = SystemClock.now();
                let verdict = verifier.as_ref().map(|verifier| verifier.judge(&received, now));
                show::show(session, &ReceivedView::of(number, now, &received, verdict.as_ref()))?;
            }
        }
    }
    listening.close().await;
    Ok(())
}

fn verifier(session: &Session, args: &ListenArgs) -> Outcome<Option<Verifier>> {
    let Some(name) = &args.profile else {
        return Ok(None);
    };
    let config = session.config()?;
    let profile = config.profiles.get(name).ok_or_else(|| {
        Failure::not_found(format!("there is no profile `{name}`"))
            .hint("`ringback profiles list` shows all")
    })?;
    let mut texts = args.secret.clone();
    if let Some(file) = &args.secret_file {
        let read = std::fs::read_to_string(file);
        let text = read.map_err(|failure| {
            Failure::usage(format!("could not read `{}`", file.display())).because(failure)
        })?;
        texts.extend(
            text.lines()
                .map(str::trim)
                .filter(|line| !line.is_empty())
                .map(str::to_owned),
        );
    }
    let secrets: Result<Vec<_>, _> = texts.into_iter().map(Secret::try_new).collect();
    let secrets = secrets.map_err(|refused| Failure::of(Exit::Usage, &refused))?;
    Verifier::try_new(profile, args.callback, secrets).map(Some)
}
