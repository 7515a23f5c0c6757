//! From the store's URL to what the client connects to.

use crate::settings::SettingsError;
use redis::{ConnectionInfo, IntoConnectionInfo, io::tcp::TcpSettings};
use std::time::Duration;

/// How the servers stand together.
pub(crate) enum Topology {
    Single(Box<ConnectionInfo>),
    Sentinel {
        sentinels: Vec<ConnectionInfo>,
        master: String,
        db: i64,
    },
    Cluster(Vec<ConnectionInfo>),
}

/// A URL taken apart.
pub(crate) struct Address {
    pub(crate) topology: Topology,
    /// Hosts and ports, fit for errors.
    pub(crate) shown: String,
}

enum Kind {
    Single,
    Sentinel,
    Cluster,
}

impl Address {
    pub(crate) fn try_new(url: &str) -> Result<Self, SettingsError> {
        let (scheme, rest) = url.split_once("://").ok_or(SettingsError::Scheme)?;
        let (scheme, kind) = match scheme {
            "redis" | "rediss" => (scheme, Kind::Single),
            "redis+sentinel" => ("redis", Kind::Sentinel),
            "rediss+sentinel" => ("rediss", Kind::Sentinel),
            "redis+cluster" => ("redis", Kind::Cluster),
            "rediss+cluster" => ("rediss", Kind::Cluster),
            _ => return Err(SettingsError::Scheme),
        };
        if rest.contains(['?', '#']) {
            return Err(SettingsError::Url("takes neither `?` nor `#`"));
        }
        let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
        let (credentials, hosts) = match authority.rsplit_once('@') {
            Some((credentials, hosts)) => (format!("{credentials}@"), hosts),
            None => (String::new(), authority),
        };
        let node = |host: &str, path: &str| {
            format!("{scheme}://{credentials}{host}/{path}")
                .as_str()
                .into_connection_info()
                .map(|info| info.set_tcp_settings(tcp_settings()))
                .map_err(|_| SettingsError::Url("cannot be read: host, port or database number"))
        };
        let nodes = || {
            hosts
                .split(',')
                .map(|host| node(host, ""))
                .collect::<Result<Vec<_>, _>>()
        };
        let topology = match kind {
            Kind::Single => Topology::Single(Box::new(node(hosts, path)?)),
            Kind::Cluster if !path.is_empty() => {
                return Err(SettingsError::Url(
                    "names a database, which a cluster has not",
                ));
            }
            Kind::Cluster => Topology::Cluster(nodes()?),
            Kind::Sentinel => {
                let (master, db) = path.split_once('/').unwrap_or((path, "0"));
                if master.is_empty() {
                    return Err(SettingsError::Url(
                        "names no master after the sentinels' hosts",
                    ));
                }
                Topology::Sentinel {
                    sentinels: nodes()?,
                    master: master.to_owned(),
                    db: db
                        .parse()
                        .map_err(|_| SettingsError::Url("ends with no database number"))?,
                }
            }
        };
        Ok(Self {
            topology,
            shown: hosts.to_owned(),
        })
    }
}

impl Topology {
    pub(crate) fn nodes(&self) -> &[ConnectionInfo] {
        match self {
            Self::Single(node) => std::slice::from_ref(node),
            Self::Sentinel { sentinels, .. } => sentinels,
            Self::Cluster(nodes) => nodes,
        }
    }
}

pub(crate) fn tcp_settings() -> TcpSettings {
    TcpSettings::default()
        .set_nodelay(true)
        .set_user_timeout(Duration::from_secs(10))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_address_is_read() {
        let one = Address::try_new("redis://u:p%40ss@cache.example:7000/2").unwrap();
        assert_eq!(one.shown, "cache.example:7000");
        let Topology::Single(info) = one.topology else {
            panic!("one server")
        };
        assert_eq!(info.redis_settings().password(), Some("p@ss"));
        assert_eq!(info.redis_settings().db(), 2);

        let cluster = Address::try_new("rediss+cluster://:p@a:1,b:2").unwrap();
        assert_eq!(cluster.shown, "a:1,b:2");
        assert_eq!(cluster.topology.nodes().len(), 2);

        let sentinel = Address::try_new("redis+sentinel://a,b:26380/mymaster/3").unwrap();
        let Topology::Sentinel { master, db, .. } = sentinel.topology else {
            panic!("sentinels")
        };
        assert_eq!((master.as_str(), db), ("mymaster", 3));
    }

    #[test]
    fn what_is_no_address_is_refused_without_showing_the_password() {
        for url in [
            "http://:hunter2@h/",
            "hunter2",
            "redis://:hunter2@host:port",
            "redis://:hunter2@host/notadb",
            "redis+cluster://:hunter2@h/1",
            "redis+sentinel://:hunter2@h",
            "redis+sentinel://:hunter2@h/m/x",
            "redis://:hunter2@h?protocol=resp3",
        ] {
            let Err(error) = Address::try_new(url) else {
                panic!("accepted {url}")
            };
            assert!(!format!("{error} {error:?}").contains("hunter2"), "{error}");
        }
    }
}
