//! What a profile says about signatures.

use super::source::{Member, Source};
use ringback_signing::{DigestEncoding, SchemeError, SchemeParts, SecretEncoding, SignatureScheme};
use std::error::Error;

#[derive(Clone, Copy)]
enum SecretKind {
    Utf8,
    Base64,
}

pub(super) fn read(source: &mut Source<'_>, member: &Member<'_>) -> Option<SignatureScheme> {
    let section = member.section(source)?;
    section.expect_only(
        source,
        &[
            "header",
            "signed",
            "value",
            "digest",
            "secret",
            "secret_prefix",
            "separator",
        ],
    );
    let header = section.required(
        source,
        "header",
        "write the header's name, such as `X-Signature`",
    );
    let header = header.and_then(|member| member.text(source).map(|text| (member, text)));
    let hint = "write what is signed: `{body}`, `{timestamp}.{body}` or `{id}.{timestamp}.{body}`";
    let signed = section
        .required(source, "signed", hint)
        .and_then(|member| member.parsed(source));
    let value = section.required(
        source,
        "value",
        "write the header's value, such as `sha256={signature}`",
    );
    let value = value.and_then(|member| member.text(source).map(|text| (member, text)));
    let digests = [
        ("hex", DigestEncoding::LowerHex),
        ("base64", DigestEncoding::Base64),
    ];
    let digest = section.required(source, "digest", "write `hex` or `base64`");
    let digest = digest.and_then(|member| member.word(source, &digests));
    let kinds = [("utf8", SecretKind::Utf8), ("base64", SecretKind::Base64)];
    let secret = section.required(source, "secret", "write `utf8` or `base64`");
    let secret = secret.and_then(|member| member.word(source, &kinds));
    let prefix = section.get("secret_prefix");
    let prefix_text = prefix
        .as_ref()
        .and_then(|member| member.text(source))
        .unwrap_or_default();
    if let (Some(prefix), Some(SecretKind::Utf8)) = (&prefix, secret) {
        prefix.fault(
            source,
            "only secrets in base64 have a prefix that is not part of the key; leave it out",
        );
    }
    let separator = section.get("separator");
    let several = separator.as_ref().and_then(|member| member.text(source));

    let ((header, header_text), (value, value_text)) = (header?, value?);
    let parts = SchemeParts {
        header: header_text.to_owned(),
        signed: signed?,
        value: value_text.to_owned(),
        digest: digest?,
        secret: match secret? {
            SecretKind::Utf8 => SecretEncoding::Utf8,
            SecretKind::Base64 => SecretEncoding::Base64After(prefix_text.to_owned()),
        },
        several: several.map(str::to_owned),
    };
    SignatureScheme::try_new(parts)
        .map_err(|error| {
            let at = match &error {
                SchemeError::Header(_) => &header,
                SchemeError::Separator(_) => separator.as_ref().unwrap_or(member),
                SchemeError::Value(_)
                | SchemeError::ValueEnd(_)
                | SchemeError::RepeatedTimestamp(_) => &value,
            };
            match error.source() {
                Some(cause) => at.fault(source, format!("{error}: {cause}")),
                None => at.fault(source, &error),
            }
        })
        .ok()
}
