//! The same few addresses in a hundred spellings, and what else people paste into a URL field.

use crate::receiver::{OK, Receiver, config, policy, post, sender_with};
use ringback_delivery::port::{SendFailure, Sender};
use ringback_sender_http::{HttpSender, UrlFault};
use url::{Host, Url};

/// Refused by the default policy, whatever a parser makes of them.
const DENIED: &[&str] = &[
    "http://127.0.0.1/",
    "http://127.1/",
    "http://2130706433/",
    "http://0x7f000001/",
    "http://0x7f.1/",
    "http://017700000001/",
    "http://0177.0x0.0.01/",
    "http://0177.0.0.1/",
    "http://127.0.0.1./",
    "http://127.255.255.254/",
    "http://0/",
    "http://0.0.0.0/",
    "http://0.1.2.3/",
    "http://①②⑦.⓪.⓪.①/",
    "http://127。0。0。1/",
    "http://127.0.0.\u{ad}1/",
    "http://%31%32%37%2e0%2e0%2e1/",
    "http://169.254.169.254/latest/meta-data/",
    "http://2852039166/",
    "http://0xa9.0xfe.0xa9.0xfe/",
    "http://169.254.43518/",
    "http://10.0.0.1/",
    "http://172.31.255.255/",
    "http://192.168.0.1/",
    "http://100.64.0.1/",
    "http://100.100.100.200/",
    "http://192.0.0.192/",
    "http://198.18.0.1/",
    "http://224.0.0.1/",
    "http://240.0.0.1/",
    "http://255.255.255.255/",
    "http://168.63.129.16/",
    "http://localhost/",
    "http://LOCALHOST./",
    "http://foo.localhost/",
    "http://ⓛⓞⓒⓐⓛⓗⓞⓢⓣ/",
    "http://loc\u{ad}alhost/",
    "http://metadata.google.internal/",
    "http://rabbitmq/",
    "http://redis/",
    "http://kubernetes.default.svc/",
    "http://kubernetes.default.svc.cluster.local/",
    "http://printer.local/",
    "http://nas.home.arpa/",
    "http://x.onion/",
    "http://[::1]/",
    "http://[::]/",
    "http://[::ffff:127.0.0.1]/",
    "http://[::ffff:a9fe:a9fe]/",
    "http://[::127.0.0.1]/",
    "http://[::ffff:0:127.0.0.1]/",
    "http://[::5efe:7f00:1]/",
    "http://[64:ff9b::7f00:1]/",
    "http://[64:ff9b::a9fe:a9fe]/",
    "http://[64:ff9b:1::1]/",
    "http://[2002:7f00:1::]/",
    "http://[2001:0:4136:e378:8000:63bf:3fff:fdd2]/",
    "http://[fc00::1]/",
    "http://[fd00:ec2::254]/",
    "http://[fe80::1]/",
    "http://[fe80::1%25lo]/",
    "http://[fec0::1]/",
    "http://[ff02::1]/",
    "http://[2001:db8::1]/",
    "http://[3fff::1]/",
    "http://[100::1]/",
    "http://[5f00::1]/",
    "http://[4000::1]/",
    "http://[127.0.0.1]/",
    "http://::1/",
    "http://256.256.256.256/",
    "http://1.2.3.08/",
    "http://foo.0x/",
    "http://example.com@127.0.0.1/",
    "http://1.1.1.1 &@127.0.0.1# @3.3.3.3/",
    "https://user:pass@example.com/",
    "https://127.0.0.1@example.com/",
    "http:\\\\127.0.0.1\\",
    "http:/127.0.0.1/",
    "http:127.0.0.1",
    "http:///127.0.0.1/",
    "http:/example.com/",
    "http:example.com",
    "http:///example.com/",
    "http://127.0.0.1\\@example.com/",
    "http://example.com\\@127.0.0.1/",
    "http://127.0.0.1#@example.com/",
    "http://127.0.\n0.1/",
    "http://example.com/\r\nHost: x",
    "http://example.com%0d%0aHost:127.0.0.1/",
    "http://127.0.0.1%00.example.com/",
    " http://example.com/",
    "http://example.com/ ",
    "http://example.com/\u{7f}",
    "http://example.com:0/",
    "http://example.com:65536/",
    "http://example.com:6379/",
    "http://example.com:22/",
    "http://example.com:5672/",
    "file:///etc/passwd",
    "gopher://127.0.0.1:6379/_x",
    "ftp://example.com/",
    "dict://127.0.0.1:11211/stat",
    "ldap://127.0.0.1/",
    "data:text/plain,x",
    "javascript:alert(1)",
    "ws://example.com/",
    "unix:/var/run/docker.sock",
    "//example.com/hook",
    "example.com/hook",
    "",
    "https://a..b.com/",
    "https://.example.com/",
    "https://example.com../",
    "https://{}.com/",
    "https://a'b.com/",
    "https://a!$&()*+,;=~b.com/",
];

/// Ordinary, though some look odd.
const ALLOWED: &[&str] = &[
    "http://100.63.255.255/",
    "http://172.32.0.0/",
    "http://11.0.0.0/",
    "https://[2606:4700:4700::1111]/",
    "https://example.com/?url=http://169.254.169.254/",
    "https://127.0.0.1.example.com/",
    "https://bücher.example.com/",
    "https://sub_domain.example.com/",
    "https://example.com./hook",
    "https://example.com:8443/",
    "HTTPS://EXAMPLE.COM/",
    "https://localhost.example.com/",
    "https://mylocalhost.com/",
    "https://example.com/a%20b#part",
];

#[test]
fn every_hostile_url_is_refused_at_the_door() {
    let policy = policy(&[]);
    for text in DENIED {
        assert!(policy.parse(text).is_err(), "{text:?} was accepted");
    }
    let label = format!("https://{}.com/", "a".repeat(64));
    let host = format!("https://{}com/", "abcdefghi.".repeat(30));
    let long = format!("https://example.com/{}", "a".repeat(2048));
    for text in [label, host, long] {
        assert!(policy.parse(&text).is_err(), "{text:?} was accepted");
    }
}

#[test]
fn no_ordinary_url_is_refused() {
    let (policy, sender) = (policy(&[]), HttpSender::try_new(&config(&[])).unwrap());
    for text in ALLOWED {
        let url = policy
            .parse(text)
            .unwrap_or_else(|fault| panic!("{text}: {fault}"));
        assert_eq!(sender.check_url(&url), Ok(()), "{text}");
    }
}

/// Whether sending there, should every gate fail, stays on this machine: then the test may try.
fn stays_here(url: &Url) -> bool {
    match url.host() {
        Some(Host::Ipv4(ip)) => ip.is_loopback() || ip.is_unspecified(),
        Some(Host::Ipv6(ip)) => {
            ip.is_loopback()
                || ip.is_unspecified()
                || ip.to_ipv4_mapped().is_some_and(|ip| ip.is_loopback())
        }
        Some(Host::Domain(_)) => true, // the test's resolver finds every name on this machine
        None => false,
    }
}

#[tokio::test]
async fn no_hostile_url_reaches_a_socket_even_when_the_door_was_left_open() {
    let trap = Receiver::answering(OK).await;
    let closed = sender_with(&config(&[]), &[&["127.0.0.1"]]);
    let mut tried = 0;
    for text in DENIED {
        let Ok(mut url) = Url::parse(text) else {
            continue;
        };
        if !stays_here(&url) || url.set_port(Some(trap.port)).is_err() {
            continue;
        }
        let exchange = post(&closed, url.as_str()).await;
        assert!(
            matches!(exchange.result, Err(SendFailure::NotSent(_))),
            "{text:?} as {url}: {exchange:?}"
        );
        tried += 1;
    }
    assert!(tried >= 40, "{tried}");
    assert_eq!(trap.connections(), 0);

    // The trap works: the same spellings reach it once the operator opens loopback.
    let open = sender_with(&config(&["127.0.0.0/8"]), &[&["127.0.0.1"]]);
    let spellings = [
        "127.1",
        "2130706433",
        "0x7f000001",
        "①②⑦.⓪.⓪.①",
        "%31%32%37%2e0%2e0%2e1",
        "localhost",
        "rabbitmq",
    ];
    for (index, host) in spellings.iter().enumerate() {
        let exchange = post(&open, &format!("http://{host}:{}/{index}", trap.port)).await;
        assert!(exchange.result.is_ok(), "{host}: {exchange:?}");
    }
    assert!(trap.connections() > 0);
}

#[test]
fn each_refusal_says_what_to_do_and_quotes_no_more_than_the_host() {
    let policy = policy(&[]);
    for (text, said) in [
        (
            "http://10.0.0.1/t0ken",
            "address 10.0.0.1 is not public: private (hint: see `http.allow_networks`)",
        ),
        (
            "http://redis/t0ken",
            "host `redis` is not a public name (hint: see `http.allow_networks`)",
        ),
        (
            "https://example.com:25/t0ken",
            "port 25 is not for webhooks (hint: 80, 443, and most from 1024 up are)",
        ),
        (
            "ftp://example.com/t0ken",
            "scheme `ftp` is not allowed; use `https` or `http`",
        ),
        (
            "https://u:t0ken@example.com/",
            "the URL contains a user name or password (hint: put a token into the path or the query)",
        ),
        (
            "https://example.com/t0 ken",
            "the URL contains a blank, a control character or a backslash",
        ),
        ("t0ken", "the URL is not of the form `https://host/path`"),
    ] {
        assert_eq!(policy.parse(text).unwrap_err().to_string(), said);
    }
}

#[test]
fn https_can_be_demanded() {
    let mut policy = policy(&[]);
    policy.https_only = true;
    assert!(matches!(
        policy.parse("http://example.com/"),
        Err(UrlFault::Scheme(..))
    ));
    assert!(policy.parse("https://example.com/").is_ok());
}
