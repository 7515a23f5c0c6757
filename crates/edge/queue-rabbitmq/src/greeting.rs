//! What a broker says of itself before anybody has logged in.

use crate::{
    config::{BrokerUrls, Node, RabbitConfig},
    link::{Socket, open_socket, timed_out},
    queue::{ConnectError, tls_of},
};
use amq_protocol::frame::{AMQPFrame, parse_frame};
use async_compat::CompatExt;
use lapin::{
    protocol::{AMQPClass, connection::AMQPMethod},
    tcp::OwnedTLSConfig,
    types::AMQPValue,
};
use std::io;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    time::timeout,
};

/// Ours: the protocol's name and version 0-9-1.
const HEADER: &[u8] = b"AMQP\x00\x00\x09\x01";
/// Type, channel and size of a frame.
const FRAME_HEAD: usize = 7;
/// RabbitMQ's is half a kilobyte.
const GREETING_BYTES_MAX: u32 = 64 * 1024;

/// A broker's product and version, such as `RabbitMQ` and `4.0.5`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Greeting {
    /// The product.
    pub product: String,
    /// Its version.
    pub version: String,
}

/// A node, and what it said or why it said nothing.
pub type Greeted<'a> = (&'a str, Result<Greeting, lapin::Error>);

/// Asks each node, one after the other. Nothing is sent but the protocol's name.
///
/// # Errors
///
/// When the configured certificates cannot be read.
pub async fn greetings<'a>(
    urls: &'a BrokerUrls,
    config: &RabbitConfig,
) -> Result<Vec<Greeted<'a>>, ConnectError> {
    let tls = tls_of(config)?;
    let mut greeted = Vec::with_capacity(urls.nodes().len());
    for node in urls.nodes() {
        let said = timeout(config.connect_timeout, greet(node, &tls)).await;
        let said = said.unwrap_or_else(|_| Err(timed_out()));
        greeted.push((node.address.as_str(), said));
    }
    Ok(greeted)
}

async fn greet(node: &Node, tls: &OwnedTLSConfig) -> lapin::Result<Greeting> {
    // Closed when this ends, also in the middle of it.
    let socket = Socket::default();
    let mut stream = open_socket(&node.uri, socket.state(), tls).await?.compat();
    stream.write_all(HEADER).await?;
    stream.flush().await?;
    let mut frame = vec![0; FRAME_HEAD];
    stream.read_exact(&mut frame).await?;
    let size = u32::from_be_bytes([frame[3], frame[4], frame[5], frame[6]]);
    if size > GREETING_BYTES_MAX {
        return Err(not_amqp().into());
    }
    // And one byte at the end.
    frame.resize(FRAME_HEAD + size as usize + 1, 0);
    stream.read_exact(&mut frame[FRAME_HEAD..]).await?;
    read(&frame).ok_or_else(|| not_amqp().into())
}

fn read(frame: &[u8]) -> Option<Greeting> {
    let (_, frame) = parse_frame(frame).ok()?;
    let AMQPFrame::Method(0, AMQPClass::Connection(AMQPMethod::Start(start))) = frame else {
        return None;
    };
    let property = |name: &str| match start.server_properties.inner().get(name) {
        Some(AMQPValue::LongString(text)) => String::from_utf8(text.as_bytes().to_vec()).ok(),
        _ => None,
    };
    Some(Greeting {
        product: property("product")?,
        version: property("version")?,
    })
}

fn not_amqp() -> io::Error {
    io::Error::new(
        io::ErrorKind::InvalidData,
        "it does not greet as a broker of AMQP 0-9-1 does",
    )
}
