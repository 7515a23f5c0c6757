//! A network that fails on command, between a client and a server that do not know.

use crate::port::free_port;
use std::{io, net::SocketAddr};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::watch,
    task::{JoinHandle, JoinSet},
};

/// What the network does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Nothing is wrong.
    None,
    /// Connections stay open and carry nothing; what was sent arrives when the fault ends.
    Hold,
    /// Connections end, new ones end at once.
    Cut,
    /// New connections are accepted and carry nothing until the fault ends; those already open go on.
    SilentNew,
}

/// A proxy on a loopback port. Ends, with all its connections, when dropped.
pub struct FaultProxy {
    port: u16,
    fault: watch::Sender<Fault>,
    accepting: JoinHandle<()>,
}

impl FaultProxy {
    /// Starts one in front of a server on a loopback port.
    pub async fn start(server_port: u16) -> io::Result<Self> {
        let server = SocketAddr::from(([127, 0, 0, 1], server_port));
        let port = free_port();
        let listener = TcpListener::bind(("127.0.0.1", port)).await?;
        let (fault, watched) = watch::channel(Fault::None);
        Ok(Self {
            port,
            fault,
            accepting: tokio::spawn(accept(listener, server, watched)),
        })
    }

    /// Where clients connect instead.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The server's URL, by way of this proxy.
    pub fn url(&self, server_url: &str, server_port: u16) -> String {
        server_url.replace(&format!(":{server_port}"), &format!(":{}", self.port))
    }

    /// Begins a fault, or ends it with [`Fault::None`].
    pub fn set(&self, fault: Fault) {
        self.fault.send_replace(fault);
    }
}

impl Drop for FaultProxy {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn accept(listener: TcpListener, server: SocketAddr, fault: watch::Receiver<Fault>) {
    // Ends its tasks when this one is aborted.
    let mut connections = JoinSet::new();
    while let Ok((client, _)) = listener.accept().await {
        connections.spawn(connect(client, server, fault.clone()));
        while connections.try_join_next().is_some() {}
    }
}

/// Ends when either side does, or by a cut. Either end closes both connections.
async fn connect(client: TcpStream, server: SocketAddr, mut fault: watch::Receiver<Fault>) {
    let mut cut = fault.clone();
    let carry = async {
        fault
            .wait_for(|fault| *fault != Fault::SilentNew && *fault != Fault::Hold)
            .await
            .map_err(io::Error::other)?;
        let server = TcpStream::connect(server).await?;
        let (from_client, to_client) = client.into_split();
        let (from_server, to_server) = server.into_split();
        tokio::try_join!(
            forward(from_client, to_server, fault.clone()),
            forward(from_server, to_client, fault.clone()),
        )
    };
    tokio::select! {
        biased;
        _ = cut.wait_for(|fault| *fault == Fault::Cut) => {}
        _ = carry => {}
    }
}

async fn forward(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    mut fault: watch::Receiver<Fault>,
) -> io::Result<()> {
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let count = from.read(&mut buffer).await?;
        fault
            .wait_for(|fault| *fault != Fault::Hold)
            .await
            .map_err(io::Error::other)?;
        if count == 0 {
            return to.shutdown().await;
        }
        to.write_all(&buffer[..count]).await?;
    }
}
