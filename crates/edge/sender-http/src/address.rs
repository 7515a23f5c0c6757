//! Which addresses may be connected to. Pure: the sender asks it for every address, on every attempt.
//!
//! Everything that is not an ordinary public address is refused, also what is marked globally reachable in the registries:
//! a destination has no business there. Sources: the special-purpose address registries of IANA (RFC 6890 and its
//! updates), the multicast registries, and the addresses that clouds give to their metadata services.

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    str::FromStr,
    sync::Arc,
};

const fn v4(a: u8, b: u8, c: u8, d: u8, prefix: u8) -> Ipv4Net {
    Ipv4Net::new_assert(Ipv4Addr::new(a, b, c, d), prefix)
}

const fn v6(first: u16, second: u16, third: u16, prefix: u8) -> Ipv6Net {
    Ipv6Net::new_assert(Ipv6Addr::new(first, second, third, 0, 0, 0, 0, 0), prefix)
}

const fn one_v6(bits: u128) -> Ipv6Net {
    Ipv6Net::new_assert(Ipv6Addr::from_bits(bits), 128)
}

const DENIED_V4: [(Ipv4Net, &str); 19] = [
    (v4(0, 0, 0, 0, 8), "this network"), // Linux connects 0.0.0.0 to loopback
    (v4(10, 0, 0, 0, 8), "private"),
    (v4(100, 64, 0, 0, 10), "carrier NAT"),
    (v4(127, 0, 0, 0, 8), "loopback"),
    (v4(169, 254, 0, 0, 16), "link local"),
    (v4(172, 16, 0, 0, 12), "private"),
    (v4(192, 0, 0, 0, 24), "protocol assignments"),
    (v4(192, 0, 2, 0, 24), "documentation"),
    (v4(192, 31, 196, 0, 24), "AS112"),
    (v4(192, 52, 193, 0, 24), "AMT"),
    (v4(192, 88, 99, 0, 24), "6to4 relay"),
    (v4(192, 168, 0, 0, 16), "private"),
    (v4(192, 175, 48, 0, 24), "AS112"),
    (v4(198, 18, 0, 0, 15), "benchmarking"),
    (v4(198, 51, 100, 0, 24), "documentation"),
    (v4(203, 0, 113, 0, 24), "documentation"),
    (v4(168, 63, 129, 16, 32), "cloud metadata"), // Azure's wire server, in the middle of public space
    (v4(224, 0, 0, 0, 4), "multicast"),
    (v4(240, 0, 0, 0, 4), "reserved"),
];

/// Only this much of IPv6 is handed out to anyone. What is outside covers loopback, mapped, compatible and translated
/// IPv4, NAT64, ISATAP, unique and link local, multicast, and every block not allocated yet.
const UNICAST_V6: Ipv6Net = v6(0x2000, 0, 0, 3);

const DENIED_V6: [(Ipv6Net, &str); 5] = [
    (v6(0x2001, 0, 0, 23), "protocol assignments"), // Teredo, benchmarking, ORCHID, AMT, AS112
    (v6(0x2001, 0xdb8, 0, 32), "documentation"),
    (SIX_TO_FOUR, "6to4"), // carries any IPv4 address
    (v6(0x2620, 0x4f, 0x8000, 48), "AS112"),
    (v6(0x3fff, 0, 0, 20), "documentation"),
];

/// Where clouds keep their credentials. Opening a network around them does not open them.
const METADATA: [IpNet; 8] = [
    IpNet::V4(v4(169, 254, 0, 0, 16)),
    IpNet::V4(v4(100, 100, 100, 200, 32)),
    IpNet::V4(v4(168, 63, 129, 16, 32)),
    IpNet::V4(v4(192, 0, 0, 192, 32)),
    IpNet::V6(v6(0xfd00, 0xec2, 0, 32)), // Amazon: `::254`, and `::23` for the identities of pods
    IpNet::V6(one_v6(0xfd20_00ce_0000_0000_0000_0000_0000_0254)), // Google
    IpNet::V6(one_v6(0xfd00_00c1_0000_0000_0000_0000_a9fe_a9fe)), // Oracle
    IpNet::V6(one_v6(0xfd00_0042_0000_0000_0000_0000_0000_0042)), // Scaleway
];

/// IPv6 whose packets end at an IPv4 address: translated (RFC 6052, and RFC 8215 for use at home).
const NAT64: [Ipv6Net; 2] = [v6(0x64, 0xff9b, 0, 96), v6(0x64, 0xff9b, 1, 48)];
/// Tunnelled (RFC 3056).
const SIX_TO_FOUR: Ipv6Net = v6(0x2002, 0, 0, 16);

/// Ports that speak something other than HTTP, though they are above 1023. Below, only 80 and 443 are for us.
const DENIED_PORTS: [u16; 9] = [2375, 3306, 5432, 5672, 6379, 9200, 11211, 15672, 27017];

/// Which addresses may be connected to.
#[derive(Debug, Clone, Default)]
pub struct AddressPolicy {
    allowed: Arc<[AllowedNetwork]>,
    denied: Arc<[DeniedNetwork]>,
}

/// A network the operator opens, perhaps for one port only: `10.0.0.0/8`, `127.0.0.1`, `127.0.0.1/32:8080`, `[fd00::/8]:443`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AllowedNetwork {
    network: IpNet,
    port: Option<u16>,
}

/// A network the operator closes, whatever else is open: `198.51.100.0/24`, `2001:db8::1`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DeniedNetwork(IpNet);

/// Not the text of a network to close.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a network such as `198.51.100.0/24` or `2001:db8::1`")]
pub struct DeniedNetworkError(String);

/// Not the text of a network.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a network such as `10.20.0.0/16`, `127.0.0.1/32:8080` or `[fd00::/8]:443`")]
pub struct AllowedNetworkError(String);

/// An address that may not be connected to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AddressFault {
    /// It is special.
    #[error("address {address} is not public: {why} (hint: see `http.allow_networks`)")]
    Special {
        /// Which.
        address: IpAddr,
        /// What it is for.
        why: &'static str,
    },
    /// The operator closed it.
    #[error("address {0} is closed by the operator (hint: see `http.deny_networks`)")]
    Denied(IpAddr),
    /// The port is for something else.
    #[error("port {0} is not for webhooks (hint: 80, 443, and most from 1024 up are)")]
    Port(u16),
}

impl AddressPolicy {
    /// Public addresses, and what the operator opens; never what the operator closes.
    pub fn new(allowed: Vec<AllowedNetwork>, denied: Vec<DeniedNetwork>) -> Self {
        Self {
            allowed: allowed.into(),
            denied: denied.into(),
        }
    }

    /// Judges an address that is about to be connected to.
    ///
    /// # Errors
    ///
    /// Why it must not be.
    pub fn check(&self, address: SocketAddr) -> Result<(), AddressFault> {
        let ip = address.ip();
        if self.denied.iter().any(|denied| denied.0.contains(&ip)) {
            return Err(AddressFault::Denied(ip));
        }
        if self.opens(address) {
            // Whoever opens a network of such addresses opens the way, and not all that lies behind it.
            return carried_v4(ip).map_or(Ok(()), |v4| {
                self.check(SocketAddr::new(v4.into(), address.port()))
            });
        }
        if let Some(why) = special(ip) {
            return Err(AddressFault::Special { address: ip, why });
        }
        check_port(address.port())
    }

    /// Judges a connection that stands, before anything is sent on it.
    ///
    /// # Errors
    ///
    /// Why nothing must be sent.
    pub fn check_connection(
        &self,
        remote: SocketAddr,
        local: SocketAddr,
    ) -> Result<(), AddressFault> {
        self.check(remote)?;
        // A machine that connects to one of its own addresses, public ones included, gets it at both ends.
        if remote.ip() == local.ip() && !self.opens(remote) {
            return Err(AddressFault::Special {
                address: remote.ip(),
                why: "this machine",
            });
        }
        Ok(())
    }

    /// Judges a port before the name is looked up. Some opened network may have use for an unusual one; whether the
    /// address is in it, [`AddressPolicy::check`] says later.
    ///
    /// # Errors
    ///
    /// No address may be connected to at this port.
    pub fn check_port(&self, port: u16) -> Result<(), AddressFault> {
        if port != 0
            && self
                .allowed
                .iter()
                .any(|allowed| allowed.port.is_none_or(|only| only == port))
        {
            return Ok(());
        }
        check_port(port)
    }

    /// Whether the operator opened anything: then names of internal machines make sense.
    pub fn is_opened(&self) -> bool {
        !self.allowed.is_empty()
    }

    /// Whether the operator opened this address.
    fn opens(&self, address: SocketAddr) -> bool {
        let ip = address.ip();
        let metadata = METADATA.iter().any(|network| network.contains(&ip));
        self.allowed.iter().any(|allowed| {
            let opened = allowed.network.contains(&ip)
                && allowed.port.is_none_or(|port| port == address.port());
            opened
                && (!metadata || allowed.network.prefix_len() == allowed.network.max_prefix_len())
        })
    }
}

/// The IPv4 address that an IPv6 address leads to.
fn carried_v4(ip: IpAddr) -> Option<Ipv4Addr> {
    let IpAddr::V6(ip) = ip else {
        return None;
    };
    let [.., a, b, c, d] = ip.octets();
    if NAT64.iter().any(|network| network.contains(&ip)) {
        return Some(Ipv4Addr::new(a, b, c, d));
    }
    let [_, _, a, b, c, d, ..] = ip.octets();
    if SIX_TO_FOUR.contains(&ip) {
        return Some(Ipv4Addr::new(a, b, c, d));
    }
    ip.to_ipv4_mapped()
}

/// What a special address is for; `None` for a public one.
fn special(ip: IpAddr) -> Option<&'static str> {
    match ip {
        IpAddr::V4(ip) => DENIED_V4
            .iter()
            .find(|(network, _)| network.contains(&ip))
            .map(|(_, why)| *why),
        IpAddr::V6(ip) if !UNICAST_V6.contains(&ip) => Some("not global unicast"),
        IpAddr::V6(ip) => DENIED_V6
            .iter()
            .find(|(network, _)| network.contains(&ip))
            .map(|(_, why)| *why),
    }
}

fn check_port(port: u16) -> Result<(), AddressFault> {
    let usual = matches!(port, 80 | 443) || (port >= 1024 && !DENIED_PORTS.contains(&port));
    if usual {
        Ok(())
    } else {
        Err(AddressFault::Port(port))
    }
}

impl AllowedNetwork {
    /// Whether all of it is this machine.
    pub fn is_loopback(&self) -> bool {
        match self.network {
            // All of 127.0.0.0/8, which nothing that is shorter begins in.
            IpNet::V4(network) => network.network().is_loopback() && network.prefix_len() >= 8,
            IpNet::V6(network) => network.network().is_loopback() && network.prefix_len() == 128,
        }
    }

    /// Whether it is one port of one address.
    pub fn is_one_port(&self) -> bool {
        self.port.is_some() && self.network.prefix_len() == self.network.max_prefix_len()
    }
}

impl From<IpNet> for AllowedNetwork {
    fn from(network: IpNet) -> Self {
        Self {
            network,
            port: None,
        }
    }
}

impl FromStr for AllowedNetwork {
    type Err = AllowedNetworkError;

    fn from_str(text: &str) -> Result<Self, AllowedNetworkError> {
        let with_port = || {
            let (head, port) = text.rsplit_once(':')?;
            let port = port.parse().ok().filter(|port| *port != 0)?;
            let bracketed = head
                .strip_prefix('[')
                .and_then(|head| head.strip_suffix(']'));
            // Without brackets the last group of an IPv6 address would be taken for a port.
            let network = match bracketed {
                Some(inner) => network(inner),
                None => network(head).filter(|network| matches!(network, IpNet::V4(_))),
            }?;
            Some(Self {
                network,
                port: Some(port),
            })
        };
        network(text)
            .map(Self::from)
            .or_else(with_port)
            .ok_or_else(|| AllowedNetworkError(text.chars().take(60).collect()))
    }
}

/// A network, or one address.
fn network(text: &str) -> Option<IpNet> {
    text.parse()
        .ok()
        .or_else(|| text.parse::<IpAddr>().ok().map(IpNet::from))
}

impl FromStr for DeniedNetwork {
    type Err = DeniedNetworkError;

    fn from_str(text: &str) -> Result<Self, DeniedNetworkError> {
        network(text)
            .map(Self)
            .ok_or_else(|| DeniedNetworkError(text.chars().take(60).collect()))
    }
}

impl fmt::Display for AllowedNetwork {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.network, self.port) {
            (network, None) => network.fmt(f),
            (IpNet::V4(network), Some(port)) => write!(f, "{network}:{port}"),
            (IpNet::V6(network), Some(port)) => write!(f, "[{network}]:{port}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn policy(allowed: &[&str]) -> AddressPolicy {
        AddressPolicy::new(
            allowed.iter().map(|text| text.parse().unwrap()).collect(),
            Vec::new(),
        )
    }

    fn at(ip: &str, port: u16) -> SocketAddr {
        SocketAddr::new(ip.parse().unwrap(), port)
    }

    #[test]
    fn a_network_tells_how_much_it_opens() {
        let told = |text: &str| {
            let network: AllowedNetwork = text.parse().unwrap();
            (network.is_loopback(), network.is_one_port())
        };
        for (text, expected) in [
            ("127.0.0.1/32", (true, false)),
            ("127.0.0.0/8", (true, false)),
            ("127.0.0.1:9000", (true, true)),
            ("[::1/128]:9000", (true, true)),
            ("::1/64", (false, false)),
            ("127.0.0.0/7", (false, false)),
            ("10.20.0.0/16", (false, false)),
            ("10.20.0.0/16:443", (false, false)),
            ("10.20.0.7/32:443", (false, true)),
            ("0.0.0.0/0", (false, false)),
        ] {
            assert_eq!(told(text), expected, "{text}");
        }
    }

    #[test]
    fn both_ends_of_every_special_network_are_refused() {
        let networks = DENIED_V4
            .iter()
            .map(|(network, _)| IpNet::V4(*network))
            .chain(DENIED_V6.iter().map(|(network, _)| IpNet::V6(*network)))
            .chain(METADATA);
        for network in networks {
            for ip in [network.network(), network.broadcast()] {
                assert!(
                    policy(&[]).check(SocketAddr::new(ip, 443)).is_err(),
                    "{ip} of {network}"
                );
            }
        }
    }

    /// Of the list under this name in the chart's values, one network on each line.
    fn closed_by_the_chart(name: &str) -> Vec<String> {
        let values = deploy("values.yaml");
        let (_, list) = values.split_once(&format!("  {name}:\n")).unwrap();
        let networks = list.lines().map_while(|line| line.strip_prefix("    - "));
        networks.map(str::to_owned).collect()
    }

    fn deploy(name: &str) -> String {
        let chart = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../deploy/helm/ringback");
        std::fs::read_to_string(format!("{chart}/{name}")).unwrap()
    }

    #[test]
    fn the_network_policy_of_the_chart_closes_the_same_networks() {
        let v4 = DENIED_V4.map(|(network, _)| network.to_string());
        let v6 = DENIED_V6.map(|(network, _)| network.to_string());
        assert_eq!(closed_by_the_chart("closed4"), v4);
        assert_eq!(closed_by_the_chart("closed6"), v6);
        let policy = deploy("templates/networkpolicy.yaml");
        assert!(policy.contains(&format!("cidr: \"{UNICAST_V6}\", except: ")));
    }

    #[test]
    fn the_neighbours_of_special_networks_are_public() {
        for ip in [
            "1.0.0.0",
            "9.255.255.255",
            "11.0.0.0",
            "100.63.255.255",
            "100.128.0.0",
            "126.255.255.255",
            "128.0.0.0",
            "169.253.255.255",
            "169.255.0.0",
            "172.15.255.255",
            "172.32.0.0",
            "192.0.1.0",
            "192.0.3.0",
            "192.167.255.255",
            "192.169.0.0",
            "198.17.255.255",
            "198.20.0.0",
            "223.255.255.255",
            "168.63.129.15",
            "168.63.129.17",
            "2000::",
            "2001:200::",
            "2001:db7:ffff::",
            "2001:db9::",
            "2003::",
            "2606:4700:4700::1111",
            "3ffe::",
            "3fff:1000::",
        ] {
            assert_eq!(policy(&[]).check(at(ip, 443)), Ok(()), "{ip}");
        }
    }

    #[test]
    fn ipv6_that_carries_or_hides_another_address_is_refused() {
        for ip in [
            "::",
            "::1",
            "::7f00:1",
            "::ffff:127.0.0.1",
            "::ffff:93.184.216.34",
            "::ffff:0:127.0.0.1",
            "::5efe:7f00:1",
            "64:ff9b::7f00:1",
            "64:ff9b:1::1",
            "100::1",
            "100:0:0:1::1",
            "5f00::1",
            "fc00::1",
            "fd00:ec2::254",
            "fe80::1",
            "fec0::1",
            "ff02::1",
            "4000::1",
            "2002:7f00:1::",
            "2001:0:4136:e378:8000:63bf:3fff:fdd2",
            "2001:2::1",
            "2001:10::1",
        ] {
            assert!(policy(&[]).check(at(ip, 443)).is_err(), "{ip}");
        }
    }

    #[test]
    fn what_the_operator_opens_is_open_for_its_port_only() {
        let policy = policy(&["10.0.0.0/8", "127.0.0.1/32:8080", "[fd00::/8]:443"]);
        assert_eq!(policy.check(at("10.1.2.3", 6379)), Ok(()));
        assert_eq!(policy.check(at("127.0.0.1", 8080)), Ok(()));
        assert_eq!(policy.check(at("fd00::1", 443)), Ok(()));
        assert!(policy.check(at("127.0.0.1", 8081)).is_err());
        assert!(policy.check(at("127.0.0.2", 8080)).is_err());
        assert!(policy.check(at("fd00::1", 444)).is_err());
        assert_eq!(
            policy.check(at("93.184.216.34", 6379)),
            Err(AddressFault::Port(6379)),
            "not on public addresses"
        );
    }

    #[test]
    fn metadata_services_open_only_by_their_exact_address() {
        let wide = policy(&["0.0.0.0/0", "::/0"]);
        for ip in [
            "169.254.169.254",
            "169.254.170.2",
            "100.100.100.200",
            "168.63.129.16",
            "192.0.0.192",
            "fd00:ec2::254",
            "fd00:ec2::23",
            "fd20:ce::254",
            "fd00:c1::a9fe:a9fe",
            "fd00:42::42",
        ] {
            assert!(wide.check(at(ip, 80)).is_err(), "{ip}");
            assert_eq!(policy(&[ip]).check(at(ip, 80)), Ok(()), "{ip}");
        }
        let unique_local = policy(&["fd00::/8"]);
        for ip in ["fd20:ce::254", "fd00:ec2::23", "fd00:ec2::254"] {
            assert!(unique_local.check(at(ip, 80)).is_err(), "{ip}");
        }
        assert!(
            policy(&["169.254.0.0/16"])
                .check(at("169.254.1.1", 80))
                .is_err()
        );
        assert_eq!(wide.check(at("10.0.0.1", 80)), Ok(()));
    }

    const CARRIERS: [(&str, &str); 4] = [
        ("::ffff:169.254.169.254", "::ffff:10.0.0.1"),
        ("64:ff9b::169.254.169.254", "64:ff9b::10.0.0.1"),
        ("64:ff9b:1::169.254.169.254", "64:ff9b:1::10.0.0.1"),
        ("2002:a9fe:a9fe::1", "2002:a00:1::1"),
    ];

    #[test]
    fn ipv6_that_leads_to_ipv4_is_open_where_both_are() {
        let ways = ["::ffff:0:0/96", "64:ff9b::/32", "2002::/16"];
        let with = |more: &[&str]| policy(&[&ways, more].concat());
        for (metadata, private) in CARRIERS {
            let wide = policy(&["0.0.0.0/0", "::/0"]);
            assert!(wide.check(at(metadata, 80)).is_err(), "{metadata}");
            assert!(with(&[]).check(at(metadata, 80)).is_err(), "{metadata}");
            let exact = with(&["169.254.169.254"]);
            assert_eq!(exact.check(at(metadata, 80)), Ok(()), "{metadata}");
            assert!(with(&[]).check(at(private, 80)).is_err(), "{private}");
            assert_eq!(with(&["10.0.0.0/8"]).check(at(private, 80)), Ok(()));
        }
        assert_eq!(with(&[]).check(at("64:ff9b::93.184.216.34", 443)), Ok(()));
        assert_eq!(
            with(&[]).check(at("64:ff9b::93.184.216.34", 6379)),
            Err(AddressFault::Port(6379)),
            "as for the public address"
        );
        // The way itself has to be open.
        for (_, private) in CARRIERS {
            assert!(policy(&["10.0.0.0/8"]).check(at(private, 80)).is_err());
        }
    }

    #[test]
    fn the_unit_of_systemd_has_no_way_to_metadata_services_either() {
        let unit = concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/../../../deploy/systemd/ringback@.service"
        );
        let unit = std::fs::read_to_string(unit).unwrap();
        let denied = unit
            .lines()
            .find_map(|line| line.strip_prefix("IPAddressDeny="));
        let denied: Vec<_> = denied.unwrap().split(' ').collect();
        // Of Amazon's network not all: a name server is in it, too.
        for address in ["link-local", "fd00:ec2::254", "fd00:ec2::23"] {
            assert!(denied.contains(&address), "{address}");
        }
        let single = METADATA
            .iter()
            .filter(|network| network.prefix_len() == network.max_prefix_len());
        for address in single.map(|network| network.addr().to_string()) {
            // Azure's is its name server.
            assert_eq!(
                denied.contains(&&*address),
                address != "168.63.129.16",
                "{address}"
            );
        }
    }

    #[test]
    fn what_the_operator_closes_stays_closed() {
        let closed = vec![
            "93.184.216.0/24".parse().unwrap(),
            "10.1.0.0/16".parse().unwrap(),
        ];
        let opened = ["10.0.0.0/8", "64:ff9b::/96"].map(|text| text.parse().unwrap());
        let policy = AddressPolicy::new(opened.into(), closed);
        for ip in ["93.184.216.34", "64:ff9b::93.184.216.34", "10.1.0.1"] {
            let denied = policy.check(at(ip, 443));
            assert!(matches!(denied, Err(AddressFault::Denied(_))), "{ip}");
        }
        assert_eq!(policy.check(at("10.2.0.1", 443)), Ok(()));
        for text in ["", "localhost", "10.0.0.0/33", "10.0.0.0/8:80"] {
            assert!(text.parse::<DeniedNetwork>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_connection_to_the_machine_itself_is_refused_unless_it_is_opened() {
        let (own, other) = (at("93.184.216.34", 443), at("93.184.216.35", 50_000));
        let local = SocketAddr::new(own.ip(), 50_000);
        assert_eq!(policy(&[]).check_connection(own, other), Ok(()));
        assert!(policy(&[]).check_connection(own, local).is_err());
        assert_eq!(
            policy(&["93.184.216.34"]).check_connection(own, local),
            Ok(())
        );
        assert!(
            policy(&[])
                .check_connection(at("10.0.0.1", 443), other)
                .is_err()
        );
    }

    #[test]
    fn ports_of_other_services_are_refused() {
        for port in [
            0, 1, 22, 25, 110, 143, 445, 465, 587, 993, 1023, 2375, 3306, 5432, 5672, 6379, 9200,
            11211, 15672, 27017,
        ] {
            assert_eq!(
                policy(&[]).check(at("93.184.216.34", port)),
                Err(AddressFault::Port(port))
            );
        }
        for port in [80, 443, 1024, 8080, 8443, 65535] {
            assert_eq!(policy(&[]).check(at("93.184.216.34", port)), Ok(()));
        }
        assert_eq!(policy(&["127.0.0.1/32:6379"]).check_port(6379), Ok(()));
        assert!(policy(&["127.0.0.1/32:6380"]).check_port(6379).is_err());
    }

    #[test]
    fn allowed_networks_are_read_and_shown_alike() {
        for text in [
            "10.0.0.0/8",
            "127.0.0.1/32:8080",
            "fd00::/8",
            "[fd00::/8]:443",
        ] {
            assert_eq!(text.parse::<AllowedNetwork>().unwrap().to_string(), text);
        }
        assert_eq!(
            "127.0.0.1".parse::<AllowedNetwork>().unwrap().to_string(),
            "127.0.0.1/32"
        );
        assert_eq!(
            "::1".parse::<AllowedNetwork>().unwrap().to_string(),
            "::1/128"
        );
        for text in [
            "",
            "10.0.0.0/33",
            "localhost",
            "10.0.0.0/8:0",
            "10.0.0.0/8:65536",
            "fd00::/8:443",
        ] {
            assert!(text.parse::<AllowedNetwork>().is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn whatever_the_standard_library_knows_to_be_special_is_refused(bits: u32, low: u128) {
            let ip = Ipv4Addr::from(bits);
            if ip.is_private() || ip.is_loopback() || ip.is_link_local() || ip.is_multicast() || ip.is_broadcast()
                || ip.is_documentation() || ip.is_unspecified()
            {
                prop_assert!(policy(&[]).check(SocketAddr::new(ip.into(), 443)).is_err());
            }
            for ip in [ip.to_ipv6_mapped(), ip.to_ipv6_compatible()] {
                prop_assert!(policy(&[]).check(SocketAddr::new(ip.into(), 443)).is_err());
            }
            let outside = Ipv6Addr::from(low);
            if outside.segments()[0] >> 13 != 1 {
                prop_assert!(policy(&[]).check(SocketAddr::new(outside.into(), 443)).is_err());
            }
        }
    }
}
