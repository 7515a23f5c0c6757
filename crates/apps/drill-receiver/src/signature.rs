//! The signature of Standard Webhooks 1.0, verified as its specification tells receivers to.

use crate::request::Request;
use base64::{Engine, engine::general_purpose::STANDARD};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use std::time::Duration;

/// How far the timestamp may be from the receiver's clock.
const TOLERANCE: Duration = Duration::from_mins(5);

/// The key that a secret such as `whsec_…` stands for.
pub(crate) fn key_of(secret: &str) -> Option<Vec<u8>> {
    STANDARD.decode(secret.strip_prefix("whsec_")?).ok()
}

/// Whether one of the signatures is right and the timestamp is of now.
pub(crate) fn is_valid(request: &Request, key: &[u8], now: Duration) -> bool {
    let header = |name| request.header(name);
    let (Some(id), Some(timestamp), Some(signatures)) = (
        header("webhook-id"),
        header("webhook-timestamp"),
        header("webhook-signature"),
    ) else {
        return false;
    };
    let is_of_now = timestamp
        .parse()
        .is_ok_and(|sent_at| now.as_secs().abs_diff(sent_at) <= TOLERANCE.as_secs());
    is_of_now
        && signatures.split(' ').any(|signature| {
            let signature = signature
                .strip_prefix("v1,")
                .and_then(|text| STANDARD.decode(text).ok());
            signature.is_some_and(|signature| {
                is_of(
                    key,
                    [id.as_bytes(), timestamp.as_bytes(), &request.body],
                    &signature,
                )
            })
        })
}

/// Whether this is the signature of the parts, joined by dots.
fn is_of(key: &[u8], [id, timestamp, body]: [&[u8]; 3], signature: &[u8]) -> bool {
    let Ok(mac) = Hmac::<Sha256>::new_from_slice(key) else {
        return false;
    };
    let mac = [id, b".", timestamp, b".", body]
        .into_iter()
        .fold(mac, Mac::chain_update);
    mac.verify_slice(signature).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of the specification: <https://www.standardwebhooks.com>, "Symmetric", as its libraries test it.
    const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    const SENT_AT: u64 = 1_614_265_330;

    fn is_accepted(signature: &str, body: &str, now: u64) -> bool {
        let text = format!(
            "POST /a HTTP/1.1\r\nwebhook-id: msg_p5jXN8AQM9LWM0D4loKWxJek\r\nwebhook-timestamp: {SENT_AT}\r\n\
             webhook-signature: {signature}\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        );
        let request = Request::read(&mut text.as_bytes()).unwrap().unwrap();
        is_valid(&request, &key_of(SECRET).unwrap(), Duration::from_secs(now))
    }

    #[test]
    fn the_published_example_is_accepted_and_anything_else_is_not() {
        let right = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=";
        let body = r#"{"test": 2432232314}"#;
        assert!(is_accepted(right, body, SENT_AT));
        assert!(is_accepted(
            &format!("v1,AAAA {right}"),
            body,
            SENT_AT + 300
        ));
        assert!(!is_accepted(right, body, SENT_AT + 301), "too old");
        assert!(
            !is_accepted(right, r#"{"test":2432232314}"#, SENT_AT),
            "another body"
        );
        assert!(!is_accepted(&right.replace("v1,", "v2,"), body, SENT_AT));
        assert!(!is_accepted(&right.replace("g0h", "h0h"), body, SENT_AT));
        assert!(!is_accepted("", body, SENT_AT));
    }
}
