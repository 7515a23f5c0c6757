//! TLS with a certificate authority of the test's own.

use crate::receiver::{
    OK, Receiver, assert_unreachable, config, post, read_request, sender_with, status, through,
};
use ringback_domain::UnreachableCause;
use ringback_sender_http::{Handshake, HandshakeFailure, HttpConfig, HttpSender, HttpSenderError};
use rustls::{
    ServerConfig,
    pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer},
};
use std::{sync::Arc, time::Duration};
use tokio::{
    io::{AsyncWriteExt, copy_bidirectional},
    net::TcpStream,
    sync::mpsc,
};
use tokio_rustls::TlsAcceptor;

struct Authority(rcgen::CertifiedIssuer<'static, rcgen::KeyPair>);

impl Authority {
    fn new() -> Self {
        let mut params = rcgen::CertificateParams::default();
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let key = rcgen::KeyPair::generate().unwrap();
        Self(rcgen::CertifiedIssuer::self_signed(params, key).unwrap())
    }

    fn pem(&self) -> Vec<u8> {
        self.0.pem().into_bytes()
    }

    /// A receiver with a certificate for this name.
    async fn receiver(&self, name: &str) -> Receiver {
        self.receiver_until(name, 4096).await
    }

    /// A receiver with a certificate for this name that ends with the year before this one.
    async fn receiver_until(&self, name: &str, year: i32) -> Receiver {
        let key = rcgen::KeyPair::generate().unwrap();
        let mut params = rcgen::CertificateParams::new([name.to_owned()]).unwrap();
        params.not_after = rcgen::date_time_ymd(year, 1, 1);
        let certificate = params.signed_by(&key, &self.0).unwrap();
        let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let config =
            ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
                .with_safe_default_protocol_versions()
                .unwrap()
                .with_no_client_auth()
                .with_single_cert(vec![certificate.der().clone()], key)
                .unwrap();
        let acceptor = TlsAcceptor::from(Arc::new(config));
        Receiver::start(move |stream| {
            let acceptor = acceptor.clone();
            async move {
                let mut stream = acceptor.accept(stream).await?;
                while read_request(&mut stream).await?.is_some() {
                    stream.write_all(OK).await?;
                }
                Ok(())
            }
        })
        .await
    }
}

fn sender(authority: Option<&Authority>) -> HttpSender {
    let config = HttpConfig {
        authorities_pem: authority.map(Authority::pem),
        connect_timeout: Duration::from_secs(2),
        ..config(&["127.0.0.1/32"])
    };
    sender_with(&config, &[&["127.0.0.1"]])
}

#[tokio::test]
async fn a_certificate_of_a_configured_authority_is_trusted() {
    let authority = Authority::new();
    let receiver = authority.receiver("hooks.example.com").await;
    let url = format!("https://hooks.example.com:{}/", receiver.port);
    let exchange = post(&sender(Some(&authority)), &url).await;
    assert_eq!(status(&exchange), 200);
    let phases = exchange.phases;
    assert!(
        phases.dns.is_some() && phases.connect.is_some(),
        "{phases:?}"
    );
    let handshake = phases.tls.expect("the handshake is timed by itself");
    assert!(
        handshake > Duration::ZERO && handshake <= phases.first_byte.unwrap(),
        "{phases:?}"
    );
}

#[tokio::test]
async fn a_certificate_that_is_not_trusted_or_for_another_name_is_a_tls_failure() {
    let (authority, other) = (Authority::new(), Authority::new());
    let receiver = authority.receiver("hooks.example.com").await;
    let url = format!("https://hooks.example.com:{}/", receiver.port);
    assert_unreachable(&post(&sender(None), &url).await, UnreachableCause::Tls);
    assert_unreachable(
        &post(&sender(Some(&other)), &url).await,
        UnreachableCause::Tls,
    );
    let elsewhere = format!("https://other.example.com:{}/", receiver.port);
    assert_unreachable(
        &post(&sender(Some(&authority)), &elsewhere).await,
        UnreachableCause::Tls,
    );
    let literal = format!("https://127.0.0.1:{}/", receiver.port);
    assert_unreachable(
        &post(&sender(Some(&authority)), &literal).await,
        UnreachableCause::Tls,
    );
}

#[tokio::test]
async fn a_receiver_without_tls_or_without_an_end_to_its_handshake_is_a_tls_failure() {
    let plain =
        Receiver::start(
            |mut stream| async move { stream.write_all(b"HTTP/1.1 400 Bad\r\n\r\n").await },
        )
        .await;
    let silent = Receiver::start(|stream| async move {
        let _open = stream;
        std::future::pending().await
    })
    .await;
    for receiver in [plain, silent] {
        let exchange = post(
            &sender(None),
            &format!("https://hooks.example.com:{}/", receiver.port),
        )
        .await;
        assert_unreachable(&exchange, UnreachableCause::Tls);
        assert!(exchange.phases.connect.is_some() && exchange.phases.first_byte.is_none());
    }
}

/// A proxy that leads everybody to this port, and tells what it was asked for.
async fn tunnel_to(port: u16) -> (Receiver, mpsc::Receiver<String>) {
    let (tell, told) = mpsc::channel(8);
    let proxy = Receiver::start(move |mut stream| {
        let tell = tell.clone();
        async move {
            let Some(asked) = read_request(&mut stream).await? else {
                return Ok(());
            };
            tell.send(asked).await.unwrap();
            let mut there = TcpStream::connect(("127.0.0.1", port)).await?;
            stream
                .write_all(b"HTTP/1.1 200 Connection established\r\n\r\n")
                .await?;
            copy_bidirectional(&mut stream, &mut there).await?;
            Ok(())
        }
    })
    .await;
    (proxy, told)
}

#[tokio::test]
async fn a_proxy_is_told_nothing_but_where_a_secured_request_goes() {
    let authority = Authority::new();
    let receiver = authority.receiver("hooks.example.com").await;
    let (proxy, mut told) = tunnel_to(receiver.port).await;
    let config = HttpConfig {
        authorities_pem: Some(authority.pem()),
        ..through(&proxy)
    };
    let sender = sender_with(&config, &[&["127.0.0.1"]]);
    let url = "https://hooks.example.com/x?token=t0p";
    for _ in 0..2 {
        assert_eq!(status(&post(&sender, url).await), 200);
    }
    let asked = told.try_recv().unwrap();
    assert!(
        asked.starts_with("CONNECT hooks.example.com:443 HTTP/1.1\r\n"),
        "{asked}"
    );
    // `user:pw`
    assert!(asked.contains("dXNlcjpwdw=="), "{asked}");
    assert!(!asked.contains("t0p"), "{asked}");
    assert!(told.try_recv().is_err(), "one tunnel serves both requests");
}

#[tokio::test]
async fn a_proxy_that_is_none_is_named_at_the_start() {
    for url in ["socks5://proxy.internal:1080", "ftp://proxy.internal"] {
        let config = HttpConfig {
            proxy: Some(url.parse().unwrap()),
            ..HttpConfig::default()
        };
        assert!(
            matches!(HttpSender::try_new(&config), Err(HttpSenderError::Proxy)),
            "{url}"
        );
    }
}

#[test]
fn an_authority_that_cannot_be_read_is_named_at_the_start() {
    let config = HttpConfig {
        authorities_pem: Some(
            b"-----BEGIN CERTIFICATE-----\n!\n-----END CERTIFICATE-----\n".to_vec(),
        ),
        ..HttpConfig::default()
    };
    assert!(matches!(
        HttpSender::try_new(&config),
        Err(HttpSenderError::Authorities(_))
    ));
}

/// A handshake with this name at the receiver's port.
async fn look(
    sender: &HttpSender,
    receiver: &Receiver,
    name: &str,
) -> Result<Handshake, HandshakeFailure> {
    let url = format!("https://{name}:{}/", receiver.port);
    sender.look_at_handshake(&url.parse().unwrap()).await
}

#[tokio::test]
async fn a_handshake_that_is_looked_at_shows_version_days_and_what_is_held_against_it() {
    let (authority, other) = (Authority::new(), Authority::new());
    let trusting = sender(Some(&authority));
    let (name, elsewhere) = ("hooks.example.com", "other.example.com");
    let receiver = authority.receiver_until(name, 2050).await;
    let seen = look(&trusting, &receiver, name).await.unwrap();
    assert_eq!((seen.version, seen.fault), ("TLS 1.3", None));
    assert_eq!(seen.not_after.unwrap().to_string(), "2050-01-01T00:00:00Z");

    let fault = async |sender: &HttpSender, receiver: &Receiver, name: &str| {
        let seen = look(sender, receiver, name).await.unwrap();
        assert!(seen.not_after.is_some());
        seen.fault.unwrap_or_default()
    };
    let expired = authority.receiver_until(name, 2020).await;
    assert_eq!(
        fault(&trusting, &expired, name).await,
        "the certificate has expired"
    );
    assert_eq!(
        fault(&trusting, &receiver, elsewhere).await,
        "the certificate is for another name"
    );
    assert_eq!(
        fault(&sender(Some(&other)), &receiver, name).await,
        "the certificate's issuer is not trusted: it is self-signed, or its intermediate certificate was not sent"
    );
}

#[tokio::test]
async fn a_handshake_is_looked_at_only_where_deliveries_may_go() {
    let receiver = Receiver::answering(OK).await;
    let closed = sender_with(&config(&[]), &[&["127.0.0.1"]]);
    let url = |scheme: &str| format!("{scheme}://hooks.example.com:{}/", receiver.port);
    let look = async |scheme: &str| {
        closed
            .look_at_handshake(&url(scheme).parse().unwrap())
            .await
    };
    assert_eq!(look("https").await, Err(HandshakeFailure::NoConnection));
    assert_eq!(look("http").await, Err(HandshakeFailure::NotTls));
    assert_eq!(receiver.connections(), 0);
}
