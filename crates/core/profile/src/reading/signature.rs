//! What a profile says about signatures.

use super::source::{Member, Source};
use crate::header::check_name;
use ringback_signing::{
    DigestEncoding, SchemeError, SchemeParts, SecretEncoding, SignatureScheme, SignedBytes,
};
use std::error::Error;

const MEMBERS: [&str; 7] = [
    "header",
    "signed",
    "value",
    "digest",
    "secret",
    "secret_prefix",
    "separator",
];

#[derive(Clone, Copy)]
enum SecretKind {
    Utf8,
    Base64,
}

pub(super) fn read(source: &mut Source<'_>, member: &Member<'_>) -> Option<SignatureScheme> {
    let section = member.section(source)?;
    section.expect_only(source, &MEMBERS);

    let header = section.required(
        source,
        "header",
        "write the header's name, such as `X-Signature`",
    );
    let header = header.and_then(|member| {
        let name = member.text(source)?;
        check_name(name)
            .map_err(|problem| member.fault(source, problem))
            .ok()?;
        Some(name)
    });

    let hint = "write what is signed: `{body}`, `{timestamp}.{body}` or `{id}.{timestamp}.{body}`";
    let signed = section.required(source, "signed", hint);
    let signed = signed.and_then(|member| member.parsed::<SignedBytes>(source));

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
    let prefix_text = prefix.as_ref().and_then(|member| member.text(source));
    if let (Some(prefix), Some(SecretKind::Utf8)) = (&prefix, secret) {
        prefix.fault(
            source,
            "only secrets in base64 have a prefix that is not part of the key; leave it out",
        );
    }

    let value = section.required(
        source,
        "value",
        "write the header's value, such as `sha256={signature}`",
    )?;
    let value_text = value.text(source)?;
    let separator = section.get("separator");
    let several = separator.as_ref().and_then(|member| member.text(source));
    let parts = SchemeParts {
        // A name stands in where the header is at fault, and the body where what is signed is: the value is checked all the same.
        header: header.unwrap_or("X-Signature").to_owned(),
        signed: signed.clone().or_else(|| "{body}".parse().ok())?,
        value: value_text.to_owned(),
        digest: digest.unwrap_or(DigestEncoding::LowerHex),
        secret: match secret {
            Some(SecretKind::Base64) => {
                SecretEncoding::Base64After(prefix_text.unwrap_or_default().to_owned())
            }
            Some(SecretKind::Utf8) | None => SecretEncoding::Utf8,
        },
        several: several.map(str::to_owned),
    };
    let scheme = SignatureScheme::try_new(parts).map_err(|error| {
        let at = match &error {
            SchemeError::Separator(_) => separator.as_ref().unwrap_or(&value),
            _ => &value,
        };
        match error.source() {
            Some(cause) => at.fault(source, format!("{error}: {cause}")),
            None => at.fault(source, &error),
        }
    });
    let is_whole = header.is_some() && signed.is_some() && digest.is_some() && secret.is_some();
    scheme.ok().filter(|_| is_whole)
}
