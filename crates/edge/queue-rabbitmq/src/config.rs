//! Where the broker is and how we talk to it.

use lapin::uri::{AMQPScheme, AMQPUri};
use serde::Deserialize;
use std::{fmt, net::IpAddr, num::NonZeroU16, path::PathBuf, str::FromStr, time::Duration};

/// How we talk to RabbitMQ.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RabbitConfig {
    /// What every exchange and queue begins with, so that several installations share a virtual host. Default: `ringback`.
    pub prefix: Prefix,
    /// How often each side shows that it is alive; a silent peer is given up after twice this. Default: 10s.
    #[serde(with = "friendly")]
    pub heartbeat: Duration,
    /// For name lookup, TCP, TLS and the broker's greeting together. Default: 10s.
    #[serde(with = "friendly")]
    pub connect_timeout: Duration,
    /// The longest wait before connecting again. The first is a tenth of a second, and each is up to half shorter. Default: 10s.
    #[serde(with = "friendly")]
    pub reconnect_wait_max: Duration,
    /// How long a publish may take, reconnecting and publishing again included. Default: 30s.
    #[serde(with = "friendly")]
    pub confirm_timeout: Duration,
    /// Messages published and not yet confirmed; one more waits its turn, and so does one with which they would be more than
    /// 16 MiB. Default: 4096.
    ///
    /// A broker's disk takes some 100 ms at times to make its log safe, and until then nothing is confirmed.
    pub publish_window: NonZeroU16,
    /// How often a message is handed out before it is parked. Default: 20, which is also RabbitMQ 4's own default.
    ///
    /// RabbitMQ counts a message as handed out again when a worker is stopped or loses its connection, so keep it well above
    /// the restarts of one rollout. Changing it needs new queues: it is an argument that RabbitMQ keeps for ever.
    pub delivery_limit: NonZeroU16,
    /// A file of PEM certificates trusted beside the system's own. Default: none.
    pub ca_file: Option<PathBuf>,
    /// Whether exchanges and queues that are missing are made when connecting. Default: true.
    ///
    /// Without it, `ringback topology apply` is run once by someone who may.
    pub declare: bool,
}

impl Default for RabbitConfig {
    fn default() -> Self {
        Self {
            prefix: Prefix::default(),
            heartbeat: Duration::from_secs(10),
            connect_timeout: Duration::from_secs(10),
            reconnect_wait_max: Duration::from_secs(10),
            confirm_timeout: Duration::from_secs(30),
            publish_window: NonZeroU16::new(4096).expect("not zero"),
            delivery_limit: NonZeroU16::new(20).expect("not zero"),
            ca_file: None,
            declare: true,
        }
    }
}

mod friendly {
    pub(super) use jiff::fmt::serde::unsigned_duration::friendly::compact::required::deserialize;
}

/// What our exchanges and queues begin with.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Prefix(String);

impl Prefix {
    /// The text of it.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Default for Prefix {
    fn default() -> Self {
        Self("ringback".to_owned())
    }
}

/// A text that no queue may begin with.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "prefix `{0}` is not accepted: 1 to 64 letters, digits, `_`, `-` or `.`, not beginning with `amq.`"
)]
pub struct PrefixError(String);

impl FromStr for Prefix {
    type Err = PrefixError;
    fn from_str(text: &str) -> Result<Self, PrefixError> {
        let accepted = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.');
        if (1..=64).contains(&text.len()) && text.bytes().all(accepted) && !text.starts_with("amq.")
        {
            Ok(Self(text.to_owned()))
        } else {
            Err(PrefixError(text.chars().take(64).collect()))
        }
    }
}

impl TryFrom<String> for Prefix {
    type Error = PrefixError;
    fn try_from(text: String) -> Result<Self, PrefixError> {
        text.parse()
    }
}

/// One broker: a URL, or the URLs of several nodes of a cluster separated by commas, tried in turn.
///
/// `amqp://user:password@host:5672/vhost`, or `amqps://` for TLS. Never printed with its credentials.
#[derive(Clone, Deserialize)]
#[serde(try_from = "String")]
pub struct BrokerUrls(Vec<Node>);

/// One node of the broker.
#[derive(Clone)]
pub(crate) struct Node {
    pub(crate) uri: AMQPUri,
    /// Host and port, fit for everybody's eyes.
    pub(crate) address: String,
}

/// Whom every RabbitMQ knows when new, with the same password.
const DEFAULT_USER: &str = "guest";

/// What strangers could make use of when a node on another machine is reached as its URL says.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Exposure {
    /// The password is no secret.
    #[error(
        "`{address}` is on another machine and logged in to as `guest`, whose password everybody knows"
    )]
    Guest {
        /// Host and port.
        address: String,
    },
    /// Nothing is encrypted.
    #[error(
        "`{address}` is on another machine and spoken to in plain text: its password and every event can be read on the way"
    )]
    PlainText {
        /// Host and port.
        address: String,
    },
}

/// A text that is not the URL of a broker.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "broker URL number {number} {problem} (hint: `amqp://user:password@host:5672/vhost`, with special characters percent-encoded)"
)]
pub struct BrokerUrlError {
    number: usize,
    problem: String,
}

impl BrokerUrls {
    pub(crate) fn nodes(&self) -> &[Node] {
        &self.0
    }

    /// Host and port of each node.
    pub fn addresses(&self) -> String {
        let addresses: Vec<_> = self.0.iter().map(|node| node.address.as_str()).collect();
        addresses.join(", ")
    }

    /// The virtual host that everything of ours is in.
    pub fn vhost(&self) -> &str {
        &self.0[0].uri.vhost
    }

    /// What should not be connected to unless somebody said so, told without asking any node.
    pub fn exposures(&self) -> Vec<Exposure> {
        self.0.iter().flat_map(exposures_of).collect()
    }
}

impl FromStr for BrokerUrls {
    type Err = BrokerUrlError;
    fn from_str(text: &str) -> Result<Self, BrokerUrlError> {
        let node = |(index, url)| {
            parse_node(url).map_err(|problem| BrokerUrlError {
                number: index + 1,
                problem,
            })
        };
        text.split(',')
            .map(str::trim)
            .enumerate()
            .map(node)
            .collect::<Result<_, _>>()
            .map(Self)
    }
}

impl TryFrom<String> for BrokerUrls {
    type Error = BrokerUrlError;
    fn try_from(text: String) -> Result<Self, BrokerUrlError> {
        text.parse()
    }
}

impl fmt::Debug for BrokerUrls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list()
            .entries(self.0.iter().map(|node| &node.address))
            .finish()
    }
}

fn exposures_of(node: &Node) -> impl Iterator<Item = Exposure> {
    let Node { uri, address } = node;
    let host = uri.authority.host.as_str();
    let is_loopback = |ip: IpAddr| ip.is_loopback();
    let is_near = host == "localhost" || host.parse().is_ok_and(is_loopback);
    let is_guest = !is_near && uri.authority.userinfo.username == DEFAULT_USER;
    let is_plain = !is_near && uri.scheme == AMQPScheme::AMQP;
    let address = || address.clone();
    [
        is_guest.then(|| Exposure::Guest { address: address() }),
        is_plain.then(|| Exposure::PlainText { address: address() }),
    ]
    .into_iter()
    .flatten()
}

fn parse_node(text: &str) -> Result<Node, String> {
    let url = url::Url::parse(text).map_err(|problem| format!("cannot be read: {problem}"))?;
    if !matches!(url.scheme(), "amqp" | "amqps") {
        return Err("begins with neither `amqp://` nor `amqps://`".to_owned());
    }
    let host = url
        .host_str()
        .filter(|host| !host.is_empty())
        .ok_or("has no host")?;
    let mut uri: AMQPUri = text
        .parse()
        .map_err(|problem| format!("cannot be read: {problem}"))?;
    // The library falls back on `localhost` where the host is an IPv6 address.
    host.trim_matches(['[', ']'])
        .clone_into(&mut uri.authority.host);
    // Strictly read, a final `/` names the virtual host without a name; nobody has one, and nobody means it.
    if uri.vhost.is_empty() {
        "/".clone_into(&mut uri.vhost);
    }
    let address = format!("{host}:{}", uri.authority.port);
    Ok(Node { uri, address })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Vec<(String, String)> {
        let urls: BrokerUrls = text.parse().unwrap();
        urls.0
            .into_iter()
            .map(|node| (node.address, node.uri.vhost))
            .collect()
    }

    #[test]
    fn several_nodes_are_read_and_what_is_left_out_is_filled_in() {
        let pair = |address: &str, vhost: &str| (address.to_owned(), vhost.to_owned());
        assert_eq!(
            parse("amqp://u:p@one, amqps://two/,amqp://three:5673/%2fjobs"),
            [
                pair("one:5672", "/"),
                pair("two:5671", "/"),
                pair("three:5673", "/jobs")
            ]
        );
        assert_eq!(parse("amqp://[::1]:5672/x"), [pair("[::1]:5672", "x")]);
        let urls: BrokerUrls = "amqp://[::1]/%2fjobs".parse().unwrap();
        assert_eq!(urls.0[0].uri.authority.host, "::1");
        assert_eq!(urls.vhost(), "/jobs");
    }

    #[test]
    fn off_this_machine_plain_text_and_guest_are_told_of_every_node() {
        let exposures = |text: &str| text.parse::<BrokerUrls>().unwrap().exposures();
        let at = |address: &str| address.to_owned();
        let guest = |address| Exposure::Guest {
            address: at(address),
        };
        let plain = |address| Exposure::PlainText {
            address: at(address),
        };
        assert_eq!(
            exposures("amqp://127.0.0.1,amqp://localhost,amqp://u:p@[::1],amqps://u:p@far"),
            []
        );
        assert_eq!(
            exposures(
                "amqps://u:p@far,amqp://one,amqp://u:p@127.0.0.1.example,amqps://%67uest:x@three"
            ),
            [
                guest("one:5672"),
                plain("one:5672"),
                plain("127.0.0.1.example:5672"),
                guest("three:5671"),
            ]
        );
    }

    #[test]
    fn credentials_are_never_shown() {
        let urls: BrokerUrls = "amqp://user:hunter2@broker:5672/".parse().unwrap();
        assert_eq!(format!("{urls:?}"), r#"["broker:5672"]"#);
        for wrong in [
            "http://user:hunter2@broker",
            "hunter2",
            "amqp://user:hunter2@",
            "",
            "amqp://user:hunter2@a:99999",
        ] {
            let refused = wrong.parse::<BrokerUrls>().unwrap_err().to_string();
            assert!(!refused.contains("hunter2"), "{refused}");
            assert!(refused.starts_with("broker URL number 1 "), "{refused}");
        }
        assert!(
            "amqp://ok,nonsense"
                .parse::<BrokerUrls>()
                .unwrap_err()
                .to_string()
                .contains("number 2")
        );
    }

    #[test]
    fn a_prefix_leaves_room_for_what_follows() {
        assert!("ringback.test-1_a".parse::<Prefix>().is_ok());
        for wrong in ["", "amq.x", "a b", "a/b", &"x".repeat(65)] {
            assert!(wrong.parse::<Prefix>().is_err(), "{wrong}");
        }
    }
}
