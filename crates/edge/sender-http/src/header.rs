//! Which headers a customer may add to our requests.

use http::{HeaderName, HeaderValue};
use ringback_domain::limits::{
    CUSTOM_HEADER_BYTES_MAX, CUSTOM_HEADERS_BYTES_MAX, CUSTOM_HEADERS_MAX,
};

/// Names that frame a request, name a party to it, or are ours to set.
const RESERVED: [&str; 22] = [
    "accept",
    "accept-encoding",
    "connection",
    "content-encoding",
    "content-length",
    "content-type",
    "cookie",
    "date",
    "expect",
    "forwarded",
    "host",
    "keep-alive",
    "stripe-signature",
    "te",
    "traceparent",
    "tracestate",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "user-agent",
    "via",
    "x-job-id",
];

/// Families of names: signatures, ids and timestamps of all schemes, what proxies add, and what metadata services of
/// clouds demand as proof that a request was meant for them.
const RESERVED_PREFIXES: [&str; 20] = [
    "metadata",
    "proxy-",
    "ringback-",
    "stripe-",
    "svix-",
    "webhook-",
    "x-amz-",
    "x-aws-ec2-",
    "x-azure-",
    "x-forwarded-",
    "x-github-",
    "x-goog-",
    "x-google-",
    "x-hinto-",
    "x-hub-",
    "x-oracle-",
    "x-shopify-",
    "x-slack-",
    "x-videopilot-",
    "x-webhook-",
];

/// Which headers a customer may add.
#[derive(Debug, Clone, Copy, Default)]
pub struct HeaderPolicy;

/// Why a header cannot be added. Values are never quoted: tokens sit there.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum HeaderFault {
    /// Not a header name.
    #[error("`{0}` is not a header name")]
    Name(String),
    /// Ours, or dangerous.
    #[error("header `{0}` is reserved")]
    Reserved(String),
    /// A value that could break out of its line, or that receivers read differently.
    #[error(
        "the value of header `{0}` contains something other than visible ASCII, blanks and tabs"
    )]
    Value(String),
    /// Too long a value.
    #[error("the value of header `{name}` has {bytes} bytes; allowed: {CUSTOM_HEADER_BYTES_MAX}")]
    ValueLength {
        /// Which.
        name: String,
        /// How many.
        bytes: usize,
    },
    /// The same name twice.
    #[error("header `{0}` is there twice")]
    Repeated(String),
    /// Too many.
    #[error("there are {0} headers; allowed: {CUSTOM_HEADERS_MAX}")]
    Count(usize),
    /// Too much.
    #[error("the headers have {0} bytes together; allowed: {CUSTOM_HEADERS_BYTES_MAX}")]
    Length(usize),
}

impl HeaderPolicy {
    /// Checks one header.
    ///
    /// # Errors
    ///
    /// What is wrong with it, fit for the one who typed it.
    pub fn check(self, name: &str, value: &str) -> Result<(), HeaderFault> {
        let shown = || name.chars().take(80).collect::<String>();
        let parsed =
            HeaderName::from_bytes(name.as_bytes()).map_err(|_| HeaderFault::Name(shown()))?;
        let lower = parsed.as_str();
        if RESERVED.contains(&lower)
            || RESERVED_PREFIXES
                .iter()
                .any(|prefix| lower.starts_with(prefix))
        {
            return Err(HeaderFault::Reserved(shown()));
        }
        if value.len() > CUSTOM_HEADER_BYTES_MAX {
            return Err(HeaderFault::ValueLength {
                name: shown(),
                bytes: value.len(),
            });
        }
        if !value
            .bytes()
            .all(|byte| matches!(byte, b'\t' | b' '..=b'~'))
            || HeaderValue::from_str(value).is_err()
        {
            return Err(HeaderFault::Value(shown()));
        }
        Ok(())
    }

    /// Checks all headers of a webhook together.
    ///
    /// # Errors
    ///
    /// The first thing that is wrong.
    pub fn check_all(self, headers: &[(String, String)]) -> Result<(), HeaderFault> {
        if headers.len() > CUSTOM_HEADERS_MAX {
            return Err(HeaderFault::Count(headers.len()));
        }
        for (index, (name, value)) in headers.iter().enumerate() {
            self.check(name, value)?;
            if headers[..index]
                .iter()
                .any(|(earlier, _)| earlier.eq_ignore_ascii_case(name))
            {
                return Err(HeaderFault::Repeated(name.clone()));
            }
        }
        let bytes = headers
            .iter()
            .map(|(name, value)| name.len() + value.len() + ": \r\n".len())
            .sum();
        if bytes > CUSTOM_HEADERS_BYTES_MAX {
            Err(HeaderFault::Length(bytes))
        } else {
            Ok(())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ordinary_headers_are_accepted() {
        for (name, value) in [
            ("Authorization", "Bearer abc"),
            ("X-Tenant", "a\tb c"),
            ("x-api-key", "~"),
            ("X-Empty", ""),
        ] {
            assert_eq!(HeaderPolicy.check(name, value), Ok(()), "{name}");
        }
    }

    #[test]
    fn reserved_names_are_refused_in_every_spelling() {
        for name in [
            "Host",
            "CONTENT-LENGTH",
            "content-type",
            "Transfer-Encoding",
            "connection",
            "Expect",
            "Proxy-Authorization",
            "X-Forwarded-For",
            "Cookie",
            "webhook-id",
            "Webhook-Signature",
            "X-Webhook-Timestamp",
            "svix-id",
            "X-Hinto-Signature",
            "X-VideoPilot-Signature",
            "Stripe-Signature",
            "X-Hub-Signature-256",
            "X-GitHub-Event",
            "X-Slack-Signature",
            "X-Shopify-Topic",
            "X-Job-ID",
            "Metadata",
            "Metadata-Flavor",
            "X-Google-Metadata-Request",
            "X-aws-ec2-metadata-token",
            "X-Amz-Date",
            "X-Goog-Api-Key",
            "X-Azure-Ref",
            "X-Oracle-Auth",
            "traceparent",
        ] {
            assert_eq!(
                HeaderPolicy.check(name, "x"),
                Err(HeaderFault::Reserved(name.into())),
                "{name}"
            );
        }
    }

    #[test]
    fn what_could_break_out_of_its_line_is_refused_and_not_quoted() {
        for value in ["a\r\nX: y", "a\nb", "a\0", "\u{7f}", "é", "\u{1b}[31m"] {
            let fault = HeaderPolicy.check("X-A", value).unwrap_err();
            assert_eq!(
                fault.to_string(),
                "the value of header `X-A` contains something other than visible ASCII, blanks and tabs"
            );
        }
        for name in ["", "a b", "a:b", "é", "a\r\n"] {
            assert_eq!(
                HeaderPolicy.check(name, "x"),
                Err(HeaderFault::Name(name.into()))
            );
        }
    }

    #[test]
    fn limits_hold_at_their_border() {
        let of = |count: usize, bytes: usize| -> Vec<_> {
            (0..count)
                .map(|i| (format!("X-{i:02}"), "v".repeat(bytes)))
                .collect()
        };
        assert_eq!(HeaderPolicy.check_all(&of(32, 10)), Ok(()));
        assert_eq!(
            HeaderPolicy.check_all(&of(33, 10)),
            Err(HeaderFault::Count(33))
        );
        assert_eq!(HeaderPolicy.check_all(&of(1, 4096)), Ok(()));
        assert!(matches!(
            HeaderPolicy.check_all(&of(1, 4097)),
            Err(HeaderFault::ValueLength { bytes: 4097, .. })
        ));
        assert_eq!(HeaderPolicy.check_all(&of(2, 4088)), Ok(()));
        assert_eq!(
            HeaderPolicy.check_all(&of(2, 4089)),
            Err(HeaderFault::Length(8194))
        );
        let twice = [
            ("X-A".to_owned(), "1".to_owned()),
            ("x-a".to_owned(), "2".to_owned()),
        ];
        assert_eq!(
            HeaderPolicy.check_all(&twice),
            Err(HeaderFault::Repeated("x-a".into()))
        );
    }
}
