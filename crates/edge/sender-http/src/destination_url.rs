//! Which URLs may be destinations at all, before anything is looked up.
//!
//! Checking a URL when it is registered is a courtesy to the one who typed it; what protects the network is the check of
//! every address on every attempt. Both read the *parsed* URL: parsers disagree about hostile texts, so the text is never
//! looked at again.

use crate::address::{AddressFault, AddressPolicy};
use ringback_domain::limits::URL_BYTES_MAX;
use std::net::SocketAddr;
use url::{Host, Url};

/// Suffixes of names that are no public names. RFC 6761, RFC 6762, RFC 7686, RFC 8375, and what clusters use.
const SPECIAL_SUFFIXES: [&str; 7] = [
    "localhost",
    "local",
    "internal",
    "home.arpa",
    "onion",
    "invalid",
    "svc",
];
const LABEL_BYTES_MAX: usize = 63;
const HOST_BYTES_MAX: usize = 253;

/// Which URLs may be destinations.
#[derive(Debug, Clone, Default)]
pub struct UrlPolicy {
    /// Which addresses may be connected to.
    pub addresses: AddressPolicy,
    /// Refuses `http`.
    pub https_only: bool,
}

/// Why a URL cannot be a destination. None of the messages quotes more than a host: tokens sit in the rest.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum UrlFault {
    /// Parsers disagree about such texts.
    #[error("the URL contains a blank, a control character or a backslash")]
    Character,
    /// Not an absolute URL.
    #[error("the URL is not of the form `https://host/path`")]
    Form,
    /// Not a scheme we speak.
    #[error("scheme `{0}` is not allowed; use {1}")]
    Scheme(String, &'static str),
    /// It would become an `Authorization` header, and appear in logs.
    #[error(
        "the URL contains a user name or password (hint: put a token into the path or the query)"
    )]
    UserInfo,
    /// Too long to keep and show.
    #[error("the URL has {0} bytes; allowed: {URL_BYTES_MAX}")]
    Length(usize),
    /// Not a name that the DNS could hold.
    #[error(
        "host `{0}` is not a name: labels are 1 to 63 letters, digits, `-` or `_`, all together at most 253"
    )]
    Host(String),
    /// A name that means something only inside a network.
    #[error("host `{0}` is not a public name (hint: see `http.allow_networks`)")]
    SpecialName(String),
    /// The address or port is refused.
    #[error(transparent)]
    Address(#[from] AddressFault),
}

impl UrlPolicy {
    /// Reads a destination as somebody typed it.
    ///
    /// # Errors
    ///
    /// What is wrong with it, fit for the one who typed it.
    pub fn parse(&self, text: &str) -> Result<Url, UrlFault> {
        if text
            .bytes()
            .any(|byte| byte <= b' ' || byte == 0x7f || byte == b'\\')
        {
            return Err(UrlFault::Character);
        }
        // Lenient parsers make `http:/h`, `http:h` and `http:///h` into `http://h/`.
        let (scheme, rest) = text.split_once(':').ok_or(UrlFault::Form)?;
        let url = Url::parse(text).map_err(|_| UrlFault::Form)?;
        self.check_scheme(url.scheme())?;
        if scheme.is_empty() || !rest.starts_with("//") || rest.starts_with("///") {
            return Err(UrlFault::Form);
        }
        self.check(&url)?;
        Ok(url)
    }

    /// Checks a URL that was parsed before.
    ///
    /// # Errors
    ///
    /// What is wrong with it.
    pub fn check(&self, url: &Url) -> Result<(), UrlFault> {
        self.check_scheme(url.scheme())?;
        if !url.username().is_empty() || url.password().is_some() {
            return Err(UrlFault::UserInfo);
        }
        if url.as_str().len() > URL_BYTES_MAX {
            return Err(UrlFault::Length(url.as_str().len()));
        }
        let port = url.port_or_known_default().ok_or(UrlFault::Form)?;
        match url.host().ok_or(UrlFault::Form)? {
            Host::Ipv4(ip) => self.addresses.check(SocketAddr::new(ip.into(), port))?,
            Host::Ipv6(ip) => self.addresses.check(SocketAddr::new(ip.into(), port))?,
            Host::Domain(name) => {
                self.check_name(name)?;
                self.addresses.check_port(port)?;
            }
        }
        Ok(())
    }

    fn check_scheme(&self, scheme: &str) -> Result<(), UrlFault> {
        match (scheme, self.https_only) {
            ("https", _) | ("http", false) => Ok(()),
            (other, https_only) => {
                let allowed = if https_only {
                    "`https`"
                } else {
                    "`https` or `http`"
                };
                Err(UrlFault::Scheme(other.chars().take(20).collect(), allowed))
            }
        }
    }

    fn check_name(&self, name: &str) -> Result<(), UrlFault> {
        let shown = || name.chars().take(80).collect::<String>();
        // One full stop at the end makes a name absolute; it is not part of it.
        let bare = name.strip_suffix('.').unwrap_or(name);
        // The parser lets through what no request can be addressed to, such as braces.
        let is_letter = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
        let is_label = |label: &str| {
            (1..=LABEL_BYTES_MAX).contains(&label.len()) && label.bytes().all(is_letter)
        };
        if bare.len() > HOST_BYTES_MAX || !bare.split('.').all(is_label) {
            return Err(UrlFault::Host(shown()));
        }
        let is_special = !bare.contains('.')
            || SPECIAL_SUFFIXES
                .iter()
                .any(|suffix| has_suffix(bare, suffix));
        if is_special && !self.addresses.is_opened() {
            return Err(UrlFault::SpecialName(shown()));
        }
        Ok(())
    }
}

/// Whether a name is the suffix or ends in it, at a label's border. The parser has made it lower case.
fn has_suffix(name: &str, suffix: &str) -> bool {
    name.strip_suffix(suffix)
        .is_some_and(|head| head.is_empty() || head.ends_with('.'))
}
