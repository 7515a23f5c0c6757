//! Profiles as they are shown.

use ringback_profile::{DestinationKind, Profile};
use serde::Serialize;
use std::time::Duration;
use utoipa::ToSchema;

/// A platform's contract with its receivers.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Profile)]
pub struct ProfileView {
    pub name: String,
    #[schema(required)]
    pub description: Option<String>,
    /// Null: any.
    #[schema(required)]
    pub event_types: Option<Vec<String>>,
    pub webhook: ContractView,
    pub callback: ContractView,
}

/// What one kind of destination is promised.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Contract)]
pub struct ContractView {
    /// Null: unsigned.
    #[schema(required)]
    pub signature_header: Option<String>,
    /// Which statuses count as delivered.
    pub success: String,
    pub time_limit_ms: u64,
    pub retry_delays_ms: Vec<u64>,
}

impl From<&Profile> for ProfileView {
    fn from(profile: &Profile) -> Self {
        Self {
            name: profile.name().to_string(),
            description: profile.description().map(str::to_owned),
            event_types: profile
                .event_types()
                .map(|types| types.iter().map(ToString::to_string).collect()),
            webhook: ContractView::of(profile, DestinationKind::Webhook),
            callback: ContractView::of(profile, DestinationKind::Callback),
        }
    }
}

impl ContractView {
    fn of(profile: &Profile, kind: DestinationKind) -> Self {
        let rules = profile.rules(kind);
        let ms = |wait: &Duration| u64::try_from(wait.as_millis()).unwrap_or(u64::MAX);
        Self {
            signature_header: profile
                .signature(kind)
                .map(|scheme| scheme.header().to_owned()),
            success: rules.success.to_string(),
            time_limit_ms: ms(&rules.time_limit),
            retry_delays_ms: rules.retry.delays().iter().map(ms).collect(),
        }
    }
}
