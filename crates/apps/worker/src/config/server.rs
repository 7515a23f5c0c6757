//! Addresses of brokers and stores: URLs that may hold a password, and what of them may be shown.

use secrecy::{ExposeSecret, SecretString};
use std::{fmt, net::IpAddr};

/// The URL of one server, or of the nodes its driver finds the rest by.
#[derive(Clone)]
pub struct ServerUrl {
    url: SecretString,
    address: String,
}

impl ServerUrl {
    /// The whole URL, password included: for the driver only.
    pub fn secret(&self) -> &SecretString {
        &self.url
    }

    /// Whether what is sent there is encrypted.
    pub fn is_encrypted(&self) -> bool {
        let url = self.url.expose_secret();
        ["amqps://", "rediss"]
            .iter()
            .any(|scheme| url.starts_with(scheme))
    }

    /// Whether it is this machine.
    pub fn is_loopback(&self) -> bool {
        let is_local =
            |host: &str| {
                let name = host.rsplit_once(':').map_or(host, |(name, port)| {
                    if port.ends_with(']') { host } else { name }
                });
                let address = name.trim_start_matches('[').trim_end_matches(']');
                name == "localhost"
                    || address
                        .parse::<std::net::IpAddr>()
                        .is_ok_and(|address| address.is_loopback())
            };
        self.address.split(',').all(is_local)
    }

    /// Hosts and ports; safe to show.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// The hosts, with their ports, that are not this machine for sure and are spoken to without TLS; safe to show.
    pub(super) fn plain_text_to(&self) -> impl Iterator<Item = &str> {
        let url = self.url.expose_secret();
        let is_encrypted = url.starts_with("rediss");
        let hosts = self.address.split(',');
        hosts.filter(move |host| !is_encrypted && !is_loopback(host))
    }
}

impl fmt::Display for ServerUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.address)
    }
}

impl fmt::Debug for ServerUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ServerUrl({})", self.address)
    }
}

impl PartialEq for ServerUrl {
    fn eq(&self, other: &Self) -> bool {
        self.url.expose_secret() == other.url.expose_secret()
    }
}

/// The parts of a URL as far as they are looked at. Drivers read the rest by rules of their own.
struct Parts<'a> {
    scheme: &'a str,
    userinfo: Option<&'a str>,
    hosts: Vec<&'a str>,
    rest: &'a str,
}

impl<'a> Parts<'a> {
    fn of(url: &'a str) -> Result<Self, String> {
        let (scheme, after) = url
            .split_once("://")
            .ok_or("a URL begins with a scheme and `://`")?;
        let authority_bytes = after.find(['/', '?', '#']).unwrap_or(after.len());
        let (authority, rest) = after.split_at(authority_bytes);
        let (userinfo, hosts) = match authority.rsplit_once('@') {
            Some((userinfo, hosts)) => (Some(userinfo), hosts),
            None => (None, authority),
        };
        let hosts: Vec<&str> = hosts.split(',').map(str::trim).collect();
        for host in &hosts {
            check_host(host)?;
        }
        Ok(Self {
            scheme,
            userinfo,
            hosts,
            rest,
        })
    }

    fn to_url(&self, hosts: &str) -> ServerUrl {
        let userinfo = self
            .userinfo
            .map_or(String::new(), |info| format!("{info}@"));
        let url = format!("{}://{userinfo}{hosts}{}", self.scheme, self.rest);
        ServerUrl {
            url: url.into(),
            address: hosts.to_owned(),
        }
    }
}

fn is_loopback(host: &str) -> bool {
    let name = match host.rsplit_once(':') {
        Some((name, port)) if !port.ends_with(']') => name,
        _ => host,
    };
    let ip = name.trim_matches(['[', ']']).parse::<IpAddr>();
    name == "localhost" || ip.is_ok_and(|ip| ip.is_loopback())
}

fn check_host(host: &str) -> Result<(), String> {
    let (name, port) = match host.rsplit_once(':') {
        Some((name, port)) if !port.ends_with(']') => (name, Some(port)),
        _ => (host, None),
    };
    if name.is_empty() || name.contains(|c: char| c.is_whitespace() || c.is_control()) {
        return Err("a host is missing".to_owned());
    }
    match port.map(str::parse::<u16>) {
        Some(Err(_) | Ok(0)) => Err("a port is not one; allowed: 1 to 65535".to_owned()),
        _ => Ok(()),
    }
}

/// The nodes of a broker: one URL each, whether they were written as URLs or as hosts of one URL, separated by commas.
pub(super) fn broker(text: &str) -> Result<Vec<ServerUrl>, String> {
    let mut urls = Vec::new();
    for url in split_urls(text, &["amqp://", "amqps://"]) {
        let parts = Parts::of(url)?;
        if !matches!(parts.scheme, "amqp" | "amqps") {
            return Err(
                "the scheme is not one for a broker; allowed: `embedded`, amqp:// and amqps://"
                    .to_owned(),
            );
        }
        urls.extend(parts.hosts.iter().map(|host| parts.to_url(host)));
    }
    Ok(urls)
}

/// The URL of a store. Several hosts stay together: Sentinel and Cluster clients find the rest by them.
pub(super) fn store(text: &str) -> Result<ServerUrl, String> {
    const SEVERAL: [&str; 4] = [
        "redis+sentinel",
        "rediss+sentinel",
        "redis+cluster",
        "rediss+cluster",
    ];
    let parts = Parts::of(text.trim())?;
    let one = matches!(parts.scheme, "redis" | "rediss");
    if !one && !SEVERAL.contains(&parts.scheme) {
        return Err(
            "the scheme is not one for a store; allowed: `embedded`, redis://, rediss://, redis+sentinel:// and \
             redis+cluster://"
                .to_owned(),
        );
    }
    if one && parts.hosts.len() > 1 {
        return Err("several hosts need redis+sentinel:// or redis+cluster://".to_owned());
    }
    Ok(parts.to_url(&parts.hosts.join(",")))
}

/// Splits at commas that are followed by another URL.
fn split_urls<'a>(text: &'a str, schemes: &[&str]) -> Vec<&'a str> {
    let mut urls = Vec::new();
    let mut rest = text.trim();
    while let Some(comma) = rest.match_indices(',').find_map(|(at, _)| {
        let after = rest[at + 1..].trim_start();
        schemes
            .iter()
            .any(|scheme| after.starts_with(scheme))
            .then_some(at)
    }) {
        urls.push(rest[..comma].trim());
        rest = rest[comma + 1..].trim_start();
    }
    urls.push(rest);
    urls
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nodes(text: &str) -> Vec<String> {
        let urls = broker(text).unwrap();
        urls.iter()
            .map(|url| url.secret().expose_secret().to_owned())
            .collect()
    }

    #[test]
    fn nodes_of_a_broker_are_urls_or_hosts_of_one_url() {
        assert_eq!(nodes("amqp://h"), ["amqp://h"]);
        assert_eq!(
            nodes("amqps://u:p@a:5671,b:5671/v?heartbeat=5"),
            [
                "amqps://u:p@a:5671/v?heartbeat=5",
                "amqps://u:p@b:5671/v?heartbeat=5"
            ]
        );
        assert_eq!(
            nodes("amqp://u:p@a/v, amqp://u:p@b/v"),
            ["amqp://u:p@a/v", "amqp://u:p@b/v"]
        );
        assert_eq!(nodes("amqp://[::1]:5672/%2f"), ["amqp://[::1]:5672/%2f"]);
    }

    #[test]
    fn other_machines_spoken_to_in_plain_text_are_found() {
        let found = |text: &str| {
            let url = store(text).unwrap();
            url.plain_text_to().collect::<Vec<_>>().join(" ")
        };
        for text in [
            "redis://localhost",
            "redis://u:p@127.0.0.1:6379/0",
            "redis://[::1]:6379",
            "redis://[::1]",
            "rediss://far",
            "rediss+cluster://a,b",
        ] {
            assert_eq!(found(text), "", "{text}");
        }
        assert_eq!(found("redis://u:p@far:1/0"), "far:1");
        assert_eq!(found("redis+sentinel://127.0.0.1:1,b:2/m"), "b:2");
        assert_eq!(found("redis://127.0.0.1.example"), "127.0.0.1.example");
    }

    #[test]
    fn what_is_shown_of_a_server_holds_no_password() {
        let url = store("redis+sentinel://:hunter2@a:26379,b/primary").unwrap();
        assert_eq!(url.to_string(), "a:26379,b");
        assert_eq!(format!("{url:?}"), "ServerUrl(a:26379,b)");
        let broker = broker("amqp://u:hunter2@a/v").unwrap();
        assert!(!format!("{broker:?}").contains("hunter2"));
    }

    #[test]
    fn plain_text_off_this_machine_can_be_told() {
        for (text, encrypted, loopback) in [
            ("redis://localhost", false, true),
            ("redis://u:p@127.0.0.1:6379/0", false, true),
            ("redis://[::1]:6379", false, true),
            ("redis://store:6379", false, false),
            ("rediss://store", true, false),
            ("rediss+sentinel://a,b/primary", true, false),
            ("redis+cluster://127.0.0.1,store", false, false),
        ] {
            let url = store(text).unwrap();
            assert_eq!(
                (url.is_encrypted(), url.is_loopback()),
                (encrypted, loopback),
                "{text}"
            );
        }
    }

    #[test]
    fn what_is_no_server_is_refused_without_repeating_it() {
        for text in [
            "",
            "rabbit:5672",
            "http://hunter2@a",
            "amqp://",
            "amqp://u:hunter2@",
            "amqp://a:0",
            "amqp://a:hunter2",
            "amqp://a,,b",
            "amqp://a b",
        ] {
            let problem = broker(text).unwrap_err();
            assert!(!problem.contains("hunter2"), "{problem}");
        }
        for text in ["", "redis://a,b", "amqp://a", "redis://:1"] {
            assert!(store(text).is_err(), "{text}");
        }
    }
}
