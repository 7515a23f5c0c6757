//! How connections are made: to the destination behind the third gate, or to the proxy.

use crate::{
    address::AddressPolicy,
    client::Proxy,
    lookup::GuardedResolver,
    watch::{Step, Watch},
};
use http::{Uri, uri::Scheme};
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_rustls::{HttpsConnector, MaybeHttpsStream};
use hyper_util::{
    client::legacy::connect::{Connected, Connection, HttpConnector, HttpInfo, proxy::Tunnel},
    rt::TokioIo,
};
use std::{
    io,
    net::SocketAddr,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};
use tokio::net::TcpStream;
use tower::{BoxError, Service, ServiceExt};

type Tcp = HttpConnector<GuardedResolver>;

/// The way to whom TLS is spoken with, or nothing but HTTP.
#[derive(Clone)]
pub(crate) enum Way {
    /// To the destination.
    Direct { tcp: Tcp, policy: AddressPolicy },
    /// To the proxy.
    Proxied(Box<Proxied>),
}

/// The proxy sees requests in plain text, and of all others nothing but where they go.
#[derive(Clone)]
pub(crate) struct Proxied {
    proxy: Uri,
    plain: HttpsConnector<Tcp>,
    tunnel: Tunnel<HttpsConnector<Tcp>>,
}

impl Way {
    pub(crate) fn through(proxy: Proxy, connector: HttpsConnector<Tcp>) -> Self {
        let tunnel = Tunnel::new(proxy.uri.clone(), connector.clone());
        Self::Proxied(Box::new(Proxied {
            tunnel: match proxy.authorization {
                Some(authorization) => tunnel.with_auth(authorization),
                None => tunnel,
            },
            plain: connector,
            proxy: proxy.uri,
        }))
    }
}

type Opening<T> = Pin<Box<dyn Future<Output = Result<T, BoxError>> + Send>>;

impl Service<Uri> for Way {
    type Response = Opened;
    type Error = BoxError;
    type Future = Opening<Opened>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, destination: Uri) -> Self::Future {
        let way = self.clone();
        Box::pin(async move {
            match way {
                Self::Direct { tcp, policy } => {
                    let stream = tcp.oneshot(destination).await?;
                    let tcp = stream.inner();
                    // Before the first byte, of the TLS handshake too.
                    policy.check_connection(tcp.peer_addr()?, tcp.local_addr()?)?;
                    Ok(Opened {
                        stream: MaybeHttpsStream::Http(stream),
                        reads_requests: false,
                    })
                }
                Self::Proxied(proxied) if destination.scheme() == Some(&Scheme::HTTPS) => {
                    Ok(Opened {
                        stream: proxied.tunnel.oneshot(destination).await?,
                        reads_requests: false,
                    })
                }
                Self::Proxied(proxied) => Ok(Opened {
                    stream: proxied.plain.oneshot(proxied.proxy).await?,
                    reads_requests: true,
                }),
            }
        })
    }
}

/// A connection to whom TLS is spoken with, or nothing but HTTP.
pub(crate) struct Opened {
    stream: MaybeHttpsStream<TokioIo<TcpStream>>,
    /// The other side is a proxy and has to be told whole URLs.
    reads_requests: bool,
}

impl Opened {
    fn stream(self: Pin<&mut Self>) -> Pin<&mut MaybeHttpsStream<TokioIo<TcpStream>>> {
        Pin::new(&mut self.get_mut().stream)
    }
}

impl Connection for Opened {
    fn connected(&self) -> Connected {
        self.stream.connected().proxy(self.reads_requests)
    }
}

impl Read for Opened {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        self.stream().poll_read(context, buffer)
    }
}

impl Write for Opened {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.stream().poll_write(context, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stream().poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stream().poll_shutdown(context)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.stream().poll_write_vectored(context, slices)
    }
}

/// Watches connections being made, and gives up on those that take too long. The client has a copy for each request, most of
/// which need no connection.
#[derive(Clone)]
pub(crate) struct Guarded(Arc<Connector>);

struct Connector {
    connector: HttpsConnector<Way>,
    time_limit: Duration,
}

impl Guarded {
    pub(crate) fn new(connector: HttpsConnector<Way>, time_limit: Duration) -> Self {
        Self(Arc::new(Connector {
            connector,
            time_limit,
        }))
    }
}

impl Service<Uri> for Guarded {
    type Response = MaybeHttpsStream<Opened>;
    type Error = BoxError;
    type Future = Opening<MaybeHttpsStream<Opened>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, destination: Uri) -> Self::Future {
        if let Some(watch) = Watch::current() {
            watch.enter(Step::Connecting);
        }
        let connecting = self.0.connector.clone().oneshot(destination);
        let connecting = tokio::time::timeout(self.0.time_limit, connecting);
        Box::pin(async move {
            let connection = connecting.await??;
            if let Some(watch) = Watch::current() {
                watch
                    .connected_to(address_of(&connection).ok_or("a connection without addresses")?);
            }
            Ok(connection)
        })
    }
}

fn address_of(connection: &impl Connection) -> Option<SocketAddr> {
    let mut extensions = http::Extensions::new();
    connection.connected().get_extras(&mut extensions);
    extensions.get::<HttpInfo>().map(HttpInfo::remote_addr)
}
