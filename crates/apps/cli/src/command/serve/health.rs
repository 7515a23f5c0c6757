//! `/healthz` and `/readyz`, for what starts, stops and watches us.

use crate::failure::{Failure, Outcome};
use bytes::Bytes;
use http::{Method, Request, Response, StatusCode, header};
use http_body_util::Full;
use hyper::{body::Incoming, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use ringback_delivery::port::{Queue, Store};
use serde_json::json;
use std::{convert::Infallible, net::SocketAddr, sync::Arc, time::Duration};
use tokio::{net::TcpListener, time::timeout};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// How long queue and store may take to answer; watchers ask every few seconds.
const ANSWER_WITHIN: Duration = Duration::from_secs(2);
const HEAD_TIME_LIMIT: Duration = Duration::from_secs(5);

/// The listening end of health checks.
pub(crate) struct Health {
    stop: CancellationToken,
    tasks: TaskTracker,
}

struct Watched {
    queue: Arc<dyn Queue>,
    store: Arc<dyn Store>,
    stop: CancellationToken,
}

impl Health {
    pub(crate) async fn start(
        listen: SocketAddr,
        queue: Arc<dyn Queue>,
        store: Arc<dyn Store>,
    ) -> Outcome<Self> {
        let listener = TcpListener::bind(listen).await.map_err(|failure| {
            Failure::failed(format!("could not listen on {listen}"))
                .because(failure)
                .hint("see `api.listen`")
        })?;
        let address = listener.local_addr().unwrap_or(listen);
        tracing::info!(%address, "health checks are answered at /healthz and /readyz");
        let (stop, tasks) = (CancellationToken::new(), TaskTracker::new());
        let watched = Arc::new(Watched {
            queue,
            store,
            stop: stop.clone(),
        });
        let connections = tasks.clone();
        let accepting = stop.clone();
        tasks.spawn(async move {
            while let Some(accepted) = accepting.run_until_cancelled(listener.accept()).await {
                match accepted {
                    Ok((stream, _)) => {
                        connections.spawn(serve(TokioIo::new(stream), watched.clone()));
                    }
                    Err(failure) => {
                        tracing::warn!(
                            error = &failure as &dyn std::error::Error,
                            "could not accept a connection"
                        );
                        tokio::time::sleep(Duration::from_millis(100)).await;
                    }
                }
            }
        });
        Ok(Self { stop, tasks })
    }

    /// Accepts no more, and lets answers under way end.
    pub(crate) async fn stop(self) {
        self.stop.cancel();
        self.tasks.close();
        let _ = timeout(ANSWER_WITHIN, self.tasks.wait()).await;
    }
}

async fn serve(stream: TokioIo<tokio::net::TcpStream>, watched: Arc<Watched>) {
    let service = service_fn(|request| answer(request, &watched));
    let serving = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIME_LIMIT)
        .keep_alive(false)
        .serve_connection(stream, service);
    // A watcher that hangs up early is no event of ours.
    let _ = serving.await;
}

async fn answer(
    request: Request<Incoming>,
    watched: &Watched,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let answer = match (request.method(), request.uri().path()) {
        (&Method::GET | &Method::HEAD, "/healthz") => {
            json_response(StatusCode::OK, &json!({"status": "ok"}))
        }
        (&Method::GET | &Method::HEAD, "/readyz") => ready(watched).await,
        (_, "/healthz" | "/readyz") => json_response(
            StatusCode::METHOD_NOT_ALLOWED,
            &json!({"status": "method not allowed"}),
        ),
        _ => json_response(StatusCode::NOT_FOUND, &json!({"status": "not found"})),
    };
    Ok(answer)
}

/// Ready to take work: queue and store answer, and we are not on our way out.
async fn ready(watched: &Watched) -> Response<Full<Bytes>> {
    let stopping = watched.stop.is_cancelled();
    let (queue, store) = tokio::join!(
        timeout(ANSWER_WITHIN, watched.queue.ping()),
        timeout(ANSWER_WITHIN, watched.store.health())
    );
    let queue = matches!(queue, Ok(Ok(())));
    let store = matches!(store, Ok(Ok(_)));
    let status = if queue && store && !stopping {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    json_response(
        status,
        &json!({"ready": status == StatusCode::OK, "queue": queue, "store": store, "stopping": stopping}),
    )
}

fn json_response(status: StatusCode, body: &serde_json::Value) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(body.to_string())));
    *response.status_mut() = status;
    let json = http::HeaderValue::from_static("application/json");
    response.headers_mut().insert(header::CONTENT_TYPE, json);
    response
}
