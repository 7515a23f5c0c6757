//! Stored keys to the HTTP API.

use crate::{VERSION, WireError, check_version, json_error, parts::read};
use ringback_domain::{ApiKey, KeyOwner, SecretDigest, Timestamp};
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize)]
struct ApiKeyLine {
    v: u32,
    id: String,
    /// Absent: the operator.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    project: Option<String>,
    scopes: Vec<String>,
    /// SHA-256 of the secret, in hex.
    sha256: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    description: Option<String>,
    created_at: Timestamp,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    expires_at: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    revoked_at: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    last_used_at: Option<Timestamp>,
    revision: u64,
}

const WHAT: &str = "key";

/// A key as a record.
pub fn encode(key: &ApiKey) -> Vec<u8> {
    let line = ApiKeyLine {
        v: VERSION,
        id: key.id.to_string(),
        project: key.owner.project().map(ToString::to_string),
        scopes: key.scopes.iter().map(ToString::to_string).collect(),
        sha256: key.digest.to_hex(),
        description: key.description.clone(),
        created_at: key.created_at,
        expires_at: key.expires_at,
        revoked_at: key.revoked_at,
        last_used_at: key.last_used_at,
        revision: key.revision,
    };
    crate::record::to_bytes(&line)
}

/// Reads a key.
///
/// # Errors
///
/// What of the record cannot be read.
pub fn decode(bytes: &[u8]) -> Result<ApiKey, WireError> {
    let line: ApiKeyLine =
        serde_json::from_slice(bytes).map_err(|error| json_error(WHAT, &error))?;
    check_version(WHAT, line.v)?;
    let project = line.project.map(|text| read(WHAT, "project", &text));
    let scopes = line.scopes.iter().map(|text| read(WHAT, "scopes", text));
    Ok(ApiKey {
        id: read(WHAT, "id", &line.id)?,
        owner: project
            .transpose()?
            .map_or(KeyOwner::Operator, KeyOwner::Project),
        scopes: scopes.collect::<Result<_, _>>()?,
        digest: SecretDigest::from_hex(&line.sha256).ok_or_else(|| WireError::Member {
            what: WHAT,
            member: "sha256",
            problem: "is not 64 hex digits".into(),
        })?,
        description: line.description,
        created_at: line.created_at,
        expires_at: line.expires_at,
        revoked_at: line.revoked_at,
        last_used_at: line.last_used_at,
        revision: line.revision,
    })
}
