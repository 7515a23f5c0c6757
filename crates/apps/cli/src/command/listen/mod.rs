//! `ringback listen`: a receiver on this machine, for trying what receivers are promised.

mod show;
mod verdict;

use crate::{
    args::ListenArgs,
    failure::{Exit, Failure, Outcome},
    session::Session,
};
use bytes::Bytes;
use http::{Request, Response, StatusCode, request::Parts};
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::{body::Incoming, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use ringback_delivery::port::Clock;
use ringback_signing::Secret;
use ringback_worker::SystemClock;
use show::ReceivedView;
use std::{convert::Infallible, net::Ipv4Addr, sync::Arc, time::Duration};
use tokio::{net::TcpListener, sync::mpsc};
use verdict::Verifier;

/// Bytes of a request's body that are taken; more than any event makes.
const BODY_BYTES_MAX: usize = 1024 * 1024;
/// Requests received and not yet shown.
const UNSHOWN_MAX: usize = 64;
/// How long a request's head may take.
const HEAD_TIME_LIMIT: Duration = Duration::from_secs(10);

pub(crate) async fn run(session: &Session, args: ListenArgs) -> Outcome {
    let verifier = verifier(session, &args)?;
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, args.port))
        .await
        .map_err(|failure| {
            Failure::failed(format!("could not listen on port {}", args.port))
                .because(failure)
                .hint("--port 0 takes a free one")
        })?;
    let address = listener
        .local_addr()
        .map_err(|failure| Failure::failed("could not listen").because(failure))?;
    session
        .terminal
        .say(&format!("listening on http://{address}/"));
    match &verifier {
        Some(verifier) => session.terminal.say(&format!("verifying {verifier}")),
        None => session
            .terminal
            .say("not verifying (hint: --profile and --secret-file)"),
    }
    let (received, mut to_show) = mpsc::channel::<Received>(UNSHOWN_MAX);
    let answers = Arc::new(Answers {
        statuses: args.status,
        delay: args.delay,
    });
    let accepting = accept(&listener, received, answers);
    tokio::pin!(accepting);
    let mut number = 0;
    loop {
        tokio::select! {
            () = &mut accepting => unreachable!("accepts until it is dropped"),
            ended = tokio::signal::ctrl_c() => {
                return ended.map_err(|failure| Failure::failed("could not wait for Ctrl-C").because(failure));
            }
            Some(received) = to_show.recv() => {
                number += 1;
                let now = SystemClock.now();
                let verdict = verifier.as_ref().map(|verifier| verifier.judge(&received.head, &received.body, now));
                let status = received.answer;
                show::show(session, &ReceivedView::of(number, now, received, verdict.as_ref(), status))?;
                if args.count.is_some_and(|count| number >= count) {
                    // The answer to the last request leaves before we do.
                    return Ok(());
                }
            }
        }
    }
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

/// A request, whole, with the answer it is given.
pub(crate) struct Received {
    head: Parts,
    body: Bytes,
    /// More bytes followed.
    cut: bool,
    answer: StatusCode,
}

/// What requests are answered with, in turn.
struct Answers {
    statuses: Vec<u16>,
    delay: Duration,
}

impl Answers {
    fn status(&self, index: usize) -> StatusCode {
        let status = self.statuses.get(index).or(self.statuses.last());
        status
            .and_then(|status| StatusCode::from_u16(*status).ok())
            .unwrap_or(StatusCode::OK)
    }
}

/// Accepts connections for ever. Each is a task; requests are numbered in the order their bodies are complete.
async fn accept(listener: &TcpListener, received: mpsc::Sender<Received>, answers: Arc<Answers>) {
    let tasks = tokio_util::task::TaskTracker::new();
    let count = Arc::new(std::sync::atomic::AtomicUsize::new(0));
    loop {
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(failure) => {
                // Out of descriptors, most likely: some will be free again.
                tracing::warn!(
                    error = &failure as &dyn std::error::Error,
                    "could not accept a connection"
                );
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        let (received, answers, count) = (received.clone(), answers.clone(), count.clone());
        tasks.spawn(async move {
            let service = service_fn(|request| answer(request, &received, &answers, &count));
            let serving = hyper::server::conn::http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(HEAD_TIME_LIMIT)
                .serve_connection(TokioIo::new(stream), service)
                .await;
            if let Err(failure) = serving {
                tracing::debug!(
                    error = &failure as &dyn std::error::Error,
                    "a connection ended early"
                );
            }
        });
    }
}

async fn answer(
    request: Request<Incoming>,
    received: &mpsc::Sender<Received>,
    answers: &Answers,
    count: &std::sync::atomic::AtomicUsize,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let (head, body) = request.into_parts();
    let (body, cut) = match Limited::new(body, BODY_BYTES_MAX).collect().await {
        Ok(body) => (body.to_bytes(), false),
        Err(failure) if failure.is::<LengthLimitError>() => (Bytes::new(), true),
        Err(_) => return Ok(response(StatusCode::BAD_REQUEST)),
    };
    let index = count.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    let status = if cut {
        StatusCode::PAYLOAD_TOO_LARGE
    } else {
        answers.status(index)
    };
    tokio::time::sleep(answers.delay).await;
    // Shown when answered. Nobody listening any more means that we are ending.
    let _ = received
        .send(Received {
            head,
            body,
            cut,
            answer: status,
        })
        .await;
    Ok(response(status))
}

fn response(status: StatusCode) -> Response<Full<Bytes>> {
    let text = status.canonical_reason().unwrap_or("");
    let mut response = Response::new(Full::new(Bytes::from(text)));
    *response.status_mut() = status;
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_come_in_turn_and_the_last_for_ever() {
        let answers = Answers {
            statuses: vec![500, 503, 200],
            delay: Duration::ZERO,
        };
        let given: Vec<_> = (0..5).map(|index| answers.status(index).as_u16()).collect();
        assert_eq!(given, [500, 503, 200, 200, 200]);
    }
}
