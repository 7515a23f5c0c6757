//! A TLS handshake to look at: which version, until when the certificate holds, and what would be held against it.
//!
//! Nothing is sent on the connection. So the handshake may go on where a delivery's would end, to find out all there is.

use crate::HttpSender;
use ringback_domain::Timestamp;
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, OtherError, RootCertStore,
    SignatureScheme,
    client::{
        WebPkiServerVerifier,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    },
    crypto::{WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature},
    pki_types::{CertificateDer, ServerName, UnixTime},
};
use std::{
    net::{IpAddr, SocketAddr},
    sync::{Arc, Mutex, PoisonError},
};
use tokio::{net::TcpStream, time::timeout};
use tokio_rustls::TlsConnector;
use url::{Host, Url};

/// What a handshake showed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Handshake {
    /// `TLS 1.3` or `TLS 1.2`.
    pub version: &'static str,
    /// Until when the certificate holds, where it could be read.
    pub not_after: Option<Timestamp>,
    /// Why a delivery's handshake would fail, in words for people.
    pub fault: Option<String>,
}

/// Why there was no handshake.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum HandshakeFailure {
    /// The URL is not `https`.
    #[error("the URL is not `https`")]
    NotTls,
    /// The proxy makes the handshake.
    #[error("a proxy stands between, and makes the handshake")]
    Proxied,
    /// There is no address that may be connected to, or nobody listens.
    #[error("no connection")]
    NoConnection,
    /// The other side does not speak TLS as we do.
    #[error("{0}")]
    Refused(String),
}

impl HttpSender {
    /// Makes a handshake with the URL's host, under the policy that deliveries are under, and ends it.
    ///
    /// # Errors
    ///
    /// [`HandshakeFailure`]. A certificate that is not trusted is no error but [`Handshake::fault`].
    pub async fn look_at_handshake(&self, url: &Url) -> Result<Handshake, HandshakeFailure> {
        if url.scheme() != "https" {
            return Err(HandshakeFailure::NotTls);
        }
        let authorities = self.authorities.as_ref().ok_or(HandshakeFailure::Proxied)?;
        self.urls
            .check(url)
            .map_err(|_| HandshakeFailure::NoConnection)?;
        let made = timeout(self.connect_timeout, self.handshake(url, authorities)).await;
        made.unwrap_or_else(|_| {
            let limit = self.connect_timeout;
            Err(HandshakeFailure::Refused(format!(
                "no handshake within {limit:?}"
            )))
        })
    }

    async fn handshake(
        &self,
        url: &Url,
        authorities: &RootCertStore,
    ) -> Result<Handshake, HandshakeFailure> {
        let refused = |error: &dyn std::error::Error| HandshakeFailure::Refused(error.to_string());
        let (stream, name) = self
            .connect(url)
            .await
            .ok_or(HandshakeFailure::NoConnection)?;
        let witness = Arc::new(Witness::try_new(authorities).map_err(|error| refused(&error))?);
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| refused(&error))?
            .dangerous()
            .with_custom_certificate_verifier(Arc::clone(&witness) as _)
            .with_no_client_auth();
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        let connected = TlsConnector::from(Arc::new(config))
            .connect(name, stream)
            .await;
        let connected = connected.map_err(|error| refused(&error))?;
        let version = match connected.get_ref().1.protocol_version() {
            Some(rustls::ProtocolVersion::TLSv1_3) => "TLS 1.3",
            _ => "TLS 1.2",
        };
        let seen = witness.seen.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(Handshake {
            version,
            not_after: seen.not_after,
            fault: seen.fault.clone(),
        })
    }

    /// A connection that all three gates let pass.
    async fn connect(&self, url: &Url) -> Option<(TcpStream, ServerName<'static>)> {
        let policy = &self.urls.addresses;
        let port = url.port_or_known_default()?;
        let addresses: Vec<IpAddr> = match url.host()? {
            Host::Ipv4(ip) => vec![ip.into()],
            Host::Ipv6(ip) => vec![ip.into()],
            Host::Domain(name) => self.lookup.addresses(name).await.ok()?,
        };
        let addresses = addresses.into_iter().map(|ip| SocketAddr::new(ip, port));
        let addresses: Vec<_> = addresses.collect();
        if addresses
            .iter()
            .any(|address| policy.check(*address).is_err())
        {
            return None;
        }
        let stream = TcpStream::connect(addresses.as_slice()).await.ok()?;
        let (remote, local) = (stream.peer_addr().ok()?, stream.local_addr().ok()?);
        policy.check_connection(remote, local).ok()?;
        let host = url.host_str()?.trim_matches(['[', ']']).to_owned();
        Some((stream, ServerName::try_from(host).ok()?))
    }
}

/// Verifies as a delivery would, remembers what came of it, and lets the handshake go on.
#[derive(Debug)]
struct Witness {
    verifier: Arc<WebPkiServerVerifier>,
    algorithms: WebPkiSupportedAlgorithms,
    seen: Mutex<Seen>,
}

#[derive(Debug, Default)]
struct Seen {
    not_after: Option<Timestamp>,
    fault: Option<String>,
}

impl Witness {
    fn try_new(authorities: &RootCertStore) -> Result<Self, rustls::Error> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let algorithms = provider.signature_verification_algorithms;
        let roots = Arc::new(authorities.clone());
        let verifier = WebPkiServerVerifier::builder_with_provider(roots, provider)
            .build()
            .map_err(|error| rustls::Error::Other(OtherError(Arc::new(error))))?;
        Ok(Self {
            verifier,
            algorithms,
            seen: Mutex::default(),
        })
    }
}

impl ServerCertVerifier for Witness {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let verdict =
            self.verifier
                .verify_server_cert(certificate, intermediates, name, ocsp_response, now);
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.not_after = not_after(certificate);
        seen.fault = verdict
            .err()
            .map(|error| words(&error, intermediates.len()));
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signature, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signature, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

fn not_after(certificate: &CertificateDer<'_>) -> Option<Timestamp> {
    let (_, parsed) = x509_parser::parse_x509_certificate(certificate).ok()?;
    Timestamp::from_second(parsed.validity().not_after.timestamp()).ok()
}

fn words(error: &rustls::Error, intermediates: usize) -> String {
    let rustls::Error::InvalidCertificate(fault) = error else {
        return error.to_string();
    };
    match fault {
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
            "the certificate has expired".to_owned()
        }
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            "the certificate is not valid yet".to_owned()
        }
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            "the certificate is for another name".to_owned()
        }
        CertificateError::UnknownIssuer | CertificateError::BadSignature if intermediates == 0 => {
            "the certificate's issuer is not trusted: it is self-signed, or its intermediate certificate was not sent"
                .to_owned()
        }
        CertificateError::UnknownIssuer | CertificateError::BadSignature => "the certificate's issuer is not trusted".to_owned(),
        _ => error.to_string(),
    }
}
