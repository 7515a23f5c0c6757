//! TLS, with an authority of our own.

use crate::{settings, store};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use ringback_delivery::port::{EventStore, StoreError};
use ringback_store_redis::RedisStoreSettings;
use ringback_testkit::servers::{RedisOptions, RedisServer};
use std::net::TcpListener;

struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap());
        Self(issuer.unwrap())
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_is_trusted_only_with_a_certificate_of_the_authority_named() {
    // As the program does, first of all.
    rustls::crypto::ring::default_provider()
        .install_default()
        .unwrap();
    let (ours, theirs) = (Authority::new(), Authority::new());
    let folder = tempfile::tempdir().unwrap();
    let (certificate, key) = (
        folder.path().join("server.crt"),
        folder.path().join("server.key"),
    );
    let server_key = KeyPair::generate().unwrap();
    let params = CertificateParams::new(["127.0.0.1".to_owned()]).unwrap();
    let signed = params.signed_by(&server_key, &ours.0).unwrap();
    std::fs::write(&certificate, signed.pem()).unwrap();
    std::fs::write(&key, server_key.serialize_pem()).unwrap();

    let port = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let (port_text, certificate, key) = (
        port.to_string(),
        certificate.to_str().unwrap(),
        key.to_str().unwrap(),
    );
    let args = [
        "--tls-port",
        &port_text,
        "--tls-cert-file",
        certificate,
        "--tls-key-file",
        key,
        "--tls-auth-clients",
        "no",
        "--tls-ca-cert-file",
        certificate,
    ];
    let _server = RedisServer::start(RedisOptions {
        args: args.map(String::from).to_vec(),
        ..RedisOptions::default()
    })
    .unwrap();

    let trusting = |authority: &Authority| {
        store(RedisStoreSettings {
            root_certificates: Some(authority.0.pem().into_bytes()),
            ..settings(&format!("rediss://127.0.0.1:{port}/"))
        })
    };
    trusting(&ours).health().await.unwrap();
    let refused = trusting(&theirs).health().await.unwrap_err();
    assert!(
        matches!(refused, StoreError::Unreachable { .. }),
        "{refused:?}"
    );
}
