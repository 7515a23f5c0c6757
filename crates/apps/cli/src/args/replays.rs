//! The options of `ringback replays`.

use super::{PageArgs, SpanArgs, values::dead_letter_reason};
use clap::{Args, Subcommand};
use ringback_delivery::SearchText;
use ringback_domain::{
    DeadLetterReason, DestinationId, EventType, JobId, PlanId, ProjectName,
    replay_plan::{ReplayOrder, ReplayTarget},
};
use std::num::NonZeroU32;

#[derive(Debug, Subcommand)]
pub(crate) enum ReplaysCommand {
    /// Makes a plan of the open dead letters that match now; sends nothing yet
    Plan(Box<ReplayPlanArgs>),
    /// Begins to send
    Start {
        id: PlanId,
        /// Stays and shows how far it comes
        #[arg(long)]
        watch: bool,
    },
    /// Lists plans, newest first
    List {
        /// Only of this project
        #[arg(long)]
        project: Option<ProjectName>,
        #[command(flatten)]
        page: PageArgs,
    },
    /// Shows one: what it holds, how far it came, and who did what
    Show {
        id: PlanId,
        /// Stays until it stands still, and shows how far it comes
        #[arg(long)]
        watch: bool,
    },
    /// Sends nothing for a while
    Pause { id: PlanId },
    /// Goes on, after a pause or after it stopped itself
    Resume {
        id: PlanId,
        /// Stays and shows how far it comes
        #[arg(long)]
        watch: bool,
    },
    /// Sends nothing ever again; what was not sent stays a dead letter
    Cancel { id: PlanId },
}

#[derive(Debug, Args)]
pub(crate) struct ReplayPlanArgs {
    /// Why, for the record
    #[arg(long, value_name = "TEXT", required_unless_present = "dry_run")]
    pub(crate) reason: Option<String>,
    /// Only shows what the plan would hold
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Starts it at once
    #[arg(long, conflicts_with = "dry_run")]
    pub(crate) start: bool,
    #[command(flatten)]
    pub(crate) filter: PlanFilterArgs,
    #[command(flatten)]
    pub(crate) pacing: PacingArgs,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Which dead letters")]
pub(crate) struct PlanFilterArgs {
    /// Only of this project
    #[arg(long)]
    pub(crate) project: Option<ProjectName>,
    /// Only for this destination
    #[arg(long, value_name = "ID")]
    pub(crate) destination: Option<DestinationId>,
    /// Only of this event type
    #[arg(long = "type", value_name = "TYPE")]
    pub(crate) event_type: Option<EventType>,
    /// Only of this job
    #[arg(long)]
    pub(crate) job: Option<JobId>,
    /// Only with this cause
    #[arg(long, value_name = "FINGERPRINT")]
    pub(crate) cause: Option<String>,
    /// Only those given up for this reason
    #[arg(long, value_name = "WORD", value_parser = dead_letter_reason())]
    pub(crate) given_up_as: Option<DeadLetterReason>,
    /// Only where this is found: words of the cause, the answer or the host, or the id of an event, job or delivery
    #[arg(long)]
    pub(crate) text: Option<SearchText>,
    #[command(flatten)]
    pub(crate) span: SpanArgs,
    /// Also sends those whose body is too old to be of use, by their profile
    #[arg(long)]
    pub(crate) include_stale: bool,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "How")]
pub(crate) struct PacingArgs {
    /// The most entries sent a second, or `unlimited`
    #[arg(long, value_name = "N", default_value = "50", value_parser = bound)]
    pub(crate) rate: Bound,
    /// The most entries of one destination whose outcome is open, or `unlimited`
    #[arg(long, value_name = "N", default_value = "16", value_parser = bound)]
    pub(crate) concurrency: Bound,
    /// Which go first
    #[arg(long, value_name = "oldest|newest", default_value_t)]
    pub(crate) order: ReplayOrder,
    /// To the webhook as it is now, to the URL it had, or to another webhook of the project
    #[arg(long, value_name = "current|original|ID", default_value_t)]
    pub(crate) to: ReplayTarget,
    /// Stops itself when more than this share of the newest entries fails; 100 never stops
    #[arg(long, value_name = "PERCENT", default_value_t = 50, value_parser = clap::value_parser!(u8).range(0..=100))]
    pub(crate) stop_above: u8,
    /// How many of the newest entries are looked at for that
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u16).range(1..=1000))]
    pub(crate) stop_window: u16,
}

/// A number, or none.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bound(pub(crate) Option<NonZeroU32>);

fn bound(text: &str) -> Result<Bound, String> {
    if text == "unlimited" {
        return Ok(Bound(None));
    }
    let number = text.parse().map(|number| Bound(Some(number)));
    number.map_err(|_| "write a number from 1, or `unlimited`".to_owned())
}
