//! TLS, with an authority of our own.

use crate::{home::Home, outages::blocking, soon, take};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use ringback_delivery::port::{Queue, QueueError};
use ringback_queue_rabbitmq::{ConnectError, RabbitQueue, Scope};
use ringback_testkit::{
    samples,
    servers::{RabbitOptions, RabbitServer},
};
use std::{fs, net::TcpListener};

fn authority() -> CertifiedIssuer<'static, KeyPair> {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broker_is_trusted_only_with_a_certificate_of_the_authority_named() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, content: String| {
        let path = folder.path().join(name);
        fs::write(&path, content).unwrap();
        path
    };
    let (ours, theirs) = (authority(), authority());
    let key = KeyPair::generate().unwrap();
    let certificate = CertificateParams::new(["127.0.0.1".to_owned()])
        .unwrap()
        .signed_by(&key, &ours)
        .unwrap();
    let our_ca = write("ours.pem", ours.pem());
    let their_ca = write("theirs.pem", theirs.pem());
    let certificate = write("server.pem", certificate.pem());
    let key = write("server.key", key.serialize_pem());

    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    drop(listener);
    let conf = format!(
        "listeners.ssl.default = 127.0.0.1:{port}\n\
         ssl_options.cacertfile = {}\nssl_options.certfile = {}\nssl_options.keyfile = {}\n",
        our_ca.display(),
        certificate.display(),
        key.display()
    );
    let _server = blocking(move || RabbitServer::start(&RabbitOptions { conf }).unwrap()).await;
    let mut home = Home::at(format!("amqps://guest:guest@127.0.0.1:{port}"));

    for ca_file in [None, Some(their_ca)] {
        home.config.ca_file = ca_file;
        let refused = soon(RabbitQueue::connect(
            home.urls(),
            home.config.clone(),
            Scope::Whole,
        ))
        .await;
        assert!(matches!(
            refused,
            Err(ConnectError::Queue(QueueError::Unreachable { .. }))
        ));
    }

    home.config.ca_file = Some(our_ca);
    let queue = soon(home.connect()).await;
    let event = samples::event();
    queue.publish_event(&event, None).await.unwrap();
    let mut events = queue.consume_events(1).await.unwrap();
    assert_eq!(take(&mut events).await.content.unwrap().id, event.id);
    soon(queue.close()).await;

    home.config.ca_file = Some(folder.path().join("absent.pem"));
    let refused = RabbitQueue::connect(home.urls(), home.config.clone(), Scope::Whole).await;
    assert!(matches!(refused, Err(ConnectError::CaFile { .. })));
}
