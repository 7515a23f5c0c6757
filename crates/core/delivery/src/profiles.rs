//! Which project has which profile.

use ringback_domain::{Delivery, Destination, EventType, ProfileName, ProjectName, Webhook};
use ringback_profile::{DestinationKind, Profile};
use std::{collections::BTreeMap, sync::Arc};

/// The profiles at hand, and which project has which.
#[derive(Debug, Default)]
pub struct ProfileBook {
    profiles: BTreeMap<ProfileName, Arc<Profile>>,
    projects: BTreeMap<ProjectName, (ProfileName, Arc<Profile>)>,
}

/// A project that is not configured, or whose profile is not.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("project `{0}` is not configured (hint: add `[projects.{0}]` to the configuration)")]
pub struct UnknownProject(pub ProjectName);

impl ProfileBook {
    /// A book of these profiles and projects. A project whose profile is missing is left out.
    pub fn new(
        profiles: impl IntoIterator<Item = (ProfileName, Arc<Profile>)>,
        projects: impl IntoIterator<Item = (ProjectName, ProfileName)>,
    ) -> Self {
        let profiles: BTreeMap<_, _> = profiles.into_iter().collect();
        let with_profile = |(project, name)| {
            let profile = profiles.get(&name)?.clone();
            Some((project, (name, profile)))
        };
        let projects = projects.into_iter().filter_map(with_profile).collect();
        Self { profiles, projects }
    }

    /// A profile by name.
    pub fn profile(&self, name: &ProfileName) -> Option<&Arc<Profile>> {
        self.profiles.get(name)
    }

    /// The name and profile of a project.
    ///
    /// # Errors
    ///
    /// When the project is not configured.
    pub fn of_project(
        &self,
        project: &ProjectName,
    ) -> Result<(&ProfileName, &Arc<Profile>), UnknownProject> {
        let found = self.projects.get(project);
        let (name, profile) = found.ok_or_else(|| UnknownProject(project.clone()))?;
        Ok((name, profile))
    }

    /// The name of the profile that applies to a webhook: its own, or its project's.
    pub fn name_for<'a>(&'a self, webhook: &'a Webhook) -> Option<&'a ProfileName> {
        webhook
            .profile
            .as_ref()
            .or_else(|| Some(&self.projects.get(&webhook.project)?.0))
    }

    /// Whether a webhook gets events of this type: one with a profile of its own gets what that profile knows of what it asked for.
    /// What the project's profile does not know is the producer's mistake, and not kept from anybody.
    pub fn reach(&self, webhook: &Webhook, event_type: &EventType) -> bool {
        let own = webhook.profile.as_ref().and_then(|name| self.profile(name));
        webhook.wants(event_type) && own.is_none_or(|profile| profile.knows(event_type))
    }

    /// Whether a delivery's requests are signed; nothing when its profile is not at hand.
    pub fn signs(&self, delivery: &Delivery) -> Option<bool> {
        let profile = self.profile(&delivery.profile)?;
        let (kind, has_secret) = match &delivery.destination {
            Destination::Webhook { .. } => (DestinationKind::Webhook, true),
            Destination::Callback { secret, .. } => (DestinationKind::Callback, secret.is_some()),
        };
        Some(has_secret && profile.signature(kind).is_some())
    }

    /// All profiles by name.
    pub fn profiles(&self) -> impl Iterator<Item = (&ProfileName, &Arc<Profile>)> {
        self.profiles.iter()
    }

    /// All projects with the names of their profiles.
    pub fn projects(&self) -> impl Iterator<Item = (&ProjectName, &ProfileName)> {
        self.projects
            .iter()
            .map(|(project, (name, _))| (project, name))
    }
}
