//! The command line, as it is read and as its help shows it.

mod proofs;
mod replays;
mod values;

pub(crate) use proofs::{BenchArgs, DrillArgs};
pub(crate) use replays::{PacingArgs, PlanFilterArgs, ReplayPlanArgs, ReplaysCommand};
pub(crate) use values::{Moment, SpanArgs};

use clap::{Args, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;
use ringback_delivery::SearchText;
use ringback_domain::{
    ApiKeyId, DeadLetterId, DeadLetterReason, DeliveryId, DestinationId, EventId, EventType, JobId,
    KeyScope, ProfileName, ProjectName, WebhookId,
};
use std::{net::IpAddr, num::NonZeroU32, path::PathBuf, time::Duration};
use values::{
    dead_letter_reason, description, header, moment_ahead, moment_past, note, rate, wait,
};

/// The release, and the commit where the build knew it.
pub(crate) const VERSION: &str = env!("RINGBACK_VERSION");

/// Delivers job events as signed webhooks: retried on a schedule, kept when they cannot be delivered, replayed when asked.
#[derive(Debug, Parser)]
#[command(
    name = "ringback",
    version = VERSION,
    propagate_version = true,
    arg_required_else_help = true,
    after_help = "Exit codes: 0 done, 1 failed, 2 usage, 3 not found, 4 refused by policy, 5 broker or store unreachable.\n\
                  Begin with `ringback demo`."
)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Options everywhere")]
pub(crate) struct Global {
    /// The configuration
    #[arg(
        long,
        global = true,
        value_name = "FILE",
        help = "The configuration [default: $RINGBACK_CONFIG, else ./ringback.toml where there is one]"
    )]
    pub(crate) config: Option<PathBuf>,
    /// How data is printed
    #[arg(
        long,
        short,
        global = true,
        value_enum,
        default_value_t,
        value_name = "FORM"
    )]
    pub(crate) output: OutputForm,
    /// Does what is asked without asking back
    #[arg(long, short, global = true)]
    pub(crate) yes: bool,
    /// When to use colours; `NO_COLOR` is respected
    #[arg(long, global = true, value_enum, default_value_t, value_name = "WHEN")]
    pub(crate) color: When,
    /// Says more of what happens; twice for details
    #[arg(long, short, global = true, action = clap::ArgAction::Count)]
    pub(crate) verbose: u8,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum OutputForm {
    /// For people
    #[default]
    Table,
    /// For machines
    Json,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum When {
    #[default]
    Auto,
    Always,
    Never,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Shows the whole story in one terminal, in under a minute
    Demo(DemoArgs),
    /// Measures throughput, latency and cost, on servers of its own
    Bench(BenchArgs),
    /// A process of the bench, which starts it
    #[command(hide = true)]
    BenchPart {
        /// What it is to do
        told: String,
    },
    /// Makes everything fail, on servers of its own, and counts what was lost
    Drill(DrillArgs),
    /// The receiver of the drill, which starts it
    #[command(hide = true)]
    DrillReceiver(DrillReceiverArgs),
    /// Runs the long-running roles until told to stop
    Serve(ServeArgs),
    /// Publishes events and waits until they are safe
    Publish(PublishArgs),
    /// Receives webhooks on this machine, verifies and shows them
    Listen(ListenArgs),
    /// Registered destinations of a project
    #[command(subcommand)]
    Webhooks(WebhooksCommand),
    /// Events on their way to one destination each
    #[command(subcommand)]
    Deliveries(DeliveriesCommand),
    /// Destinations that are spared because they kept failing
    #[command(subcommand)]
    Breakers(BreakersCommand),
    /// Deliveries given up
    #[command(subcommand)]
    Dead(DeadCommand),
    /// Keys to the HTTP API
    #[command(subcommand)]
    Keys(KeysCommand),
    /// Plans to send many dead letters again
    #[command(subcommand)]
    Replays(ReplaysCommand),
    /// Exchanges and queues of the broker
    #[command(subcommand)]
    Topology(TopologyCommand),
    /// What platforms promise their receivers
    #[command(subcommand)]
    Profiles(ProfilesCommand),
    /// The configuration
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Says why a signature does not match, without asking anyone
    ExplainSignature(ExplainArgs),
    /// Checks configuration, broker and store against the promises
    Doctor,
    /// Prints a completion script
    Completions {
        /// For which shell
        shell: Shell,
    },
    /// Writes the manual pages
    Man {
        /// Into which directory
        directory: PathBuf,
    },
}

#[derive(Debug, Args)]
pub(crate) struct DemoArgs {
    /// Uses this broker instead of the embedded one
    #[arg(long, value_name = "URL", requires = "store")]
    pub(crate) broker: Option<String>,
    /// Uses this store instead of the embedded one
    #[arg(long, value_name = "URL", requires = "broker")]
    pub(crate) store: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct DrillReceiverArgs {
    /// The port on 127.0.0.1
    #[arg(long)]
    pub(crate) port: u16,
    /// Appends what comes to this file
    #[arg(long, value_name = "FILE")]
    pub(crate) log: PathBuf,
    /// A line for each destination: name, manner, secret
    #[arg(long, value_name = "FILE")]
    pub(crate) destinations: PathBuf,
}

#[derive(Debug, Args)]
pub(crate) struct ServeArgs {
    /// Which roles this process takes on
    #[arg(
        long,
        value_enum,
        value_delimiter = ',',
        value_name = "ROLE,…",
        default_value = "api,dispatch,deliver,replay"
    )]
    pub(crate) roles: Vec<RoleName>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub(crate) enum RoleName {
    /// Answers the HTTP API and health checks
    Api,
    /// Turns events into deliveries
    Dispatch,
    /// Makes attempts
    Deliver,
    /// Runs replay plans
    Replay,
}

#[derive(Debug, Args)]
pub(crate) struct PublishArgs {
    /// A file with one event, or with one on each line; `-` is the standard input
    #[arg(default_value = "-", value_name = "FILE")]
    pub(crate) file: PathBuf,
}

#[derive(Debug, Args)]
pub(crate) struct ListenArgs {
    /// Verifies as the receivers of this profile do
    #[arg(long)]
    pub(crate) profile: Option<ProfileName>,
    /// Verifies with this secret; several while a secret is being changed
    #[arg(long, value_name = "SECRET", requires = "profile")]
    pub(crate) secret: Vec<String>,
    /// Verifies with the secrets of this file, one a line
    #[arg(long, value_name = "FILE", requires = "profile")]
    pub(crate) secret_file: Option<PathBuf>,
    /// Verifies as a callback's receiver does, where the profile makes a difference
    #[arg(long, requires = "profile")]
    pub(crate) callback: bool,
    /// Answers with these in turn, then with the last for ever
    #[arg(long, value_name = "STATUS,…", value_delimiter = ',', default_value = "200",
          conflicts_with = "forward_to", value_parser = clap::value_parser!(u16).range(200..=599))]
    pub(crate) status: Vec<u16>,
    /// Waits so long before each answer
    #[arg(long, value_name = "WAIT", default_value = "0s", value_parser = wait)]
    pub(crate) delay: Duration,
    /// The address to listen on; others than 127.0.0.1 let other machines in
    #[arg(long, value_name = "IP", default_value = "127.0.0.1")]
    pub(crate) address: IpAddr,
    /// The port; 0 takes a free one
    #[arg(long, default_value_t = 9000)]
    pub(crate) port: u16,
    /// Ends after so many requests
    #[arg(long, value_name = "N")]
    pub(crate) count: Option<u64>,
    /// Hands each request on to a program on this machine, and answers what it answers
    #[arg(long, value_name = "URL")]
    pub(crate) forward_to: Option<String>,
    /// Hands on to other machines, too: whoever reaches the port here then reaches them
    #[arg(long, requires = "forward_to")]
    pub(crate) forward_anywhere: bool,
}

#[derive(Debug, Args)]
pub(crate) struct ExplainArgs {
    /// The profile the receiver verifies by [default: told by the headers]
    #[arg(long)]
    pub(crate) profile: Option<ProfileName>,
    /// Takes it for a callback, where the profile makes a difference
    #[arg(long, requires = "profile")]
    pub(crate) callback: bool,
    /// Reads the secrets from this file, one a line (`-` is the standard input)
    #[arg(long, value_name = "FILE")]
    pub(crate) secret_file: PathBuf,
    /// The whole request as it came: request line, headers, an empty line, body
    #[arg(long, value_name = "FILE", conflicts_with_all = ["headers", "header", "body"])]
    pub(crate) request: Option<PathBuf>,
    /// The request's headers, one a line
    #[arg(long, value_name = "FILE")]
    pub(crate) headers: Option<PathBuf>,
    /// One of the request's headers
    #[arg(long, short = 'H', value_name = "NAME: VALUE", value_parser = header)]
    pub(crate) header: Vec<(String, String)>,
    /// The request's body, as the receiver saw it
    #[arg(long, value_name = "FILE", required_unless_present = "request")]
    pub(crate) body: Option<PathBuf>,
    /// The body as it was sent, to show where the other differs
    #[arg(long, value_name = "FILE")]
    pub(crate) original: Option<PathBuf>,
    /// Explains this signature, which your code computed, in place of the one that came
    #[arg(long, value_name = "SIGNATURE")]
    pub(crate) computed: Option<String>,
    /// When it came, to tell whether it was too old
    #[arg(long, value_name = "MOMENT", value_parser = moment_past)]
    pub(crate) at: Option<Moment>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum WebhooksCommand {
    /// Registers a destination; its secret is shown this once
    Add(WebhookAddArgs),
    /// Lists the destinations of a project, or of all
    List {
        /// Only of this project
        #[arg(long)]
        project: Option<ProjectName>,
    },
    /// Shows one
    Show { id: WebhookId },
    /// Changes one; what is not named stays
    Update(WebhookUpdateArgs),
    /// Lets one get events again
    Enable { id: WebhookId },
    /// Lets one get nothing; what is under way becomes dead letters
    Disable {
        id: WebhookId,
        /// Why, for people
        #[arg(long, default_value = "by operator", value_parser = description)]
        reason: String,
    },
    /// Gives one another secret; it is shown this once
    RotateSecret(WebhookRotateArgs),
    /// Sends a signed test event now and shows what came back
    Test { id: WebhookId },
    /// Tries whether a receiver suits what it will be sent
    Check(WebhookCheckArgs),
    /// Writes them to a file, one a line, each with its digest; secrets stay sealed
    Export(WebhookExportArgs),
    /// Brings them back from a file, under the same ids; what is there already stays as it is
    Import(WebhookImportArgs),
    /// Removes one; what is under way becomes dead letters
    Remove { id: WebhookId },
}

#[derive(Debug, Args)]
pub(crate) struct WebhookAddArgs {
    /// Its owner
    #[arg(long, default_value = "default")]
    pub(crate) project: ProjectName,
    /// Where to send
    pub(crate) url: String,
    /// Which events it wants [default: all]
    #[arg(long, value_name = "TYPE,…", value_delimiter = ',')]
    pub(crate) events: Vec<EventType>,
    /// Overrides the project's profile
    #[arg(long)]
    pub(crate) profile: Option<ProfileName>,
    /// Reads the secret from this file (`-` is the standard input) instead of making one
    #[arg(long, value_name = "FILE")]
    pub(crate) secret_file: Option<PathBuf>,
    /// Sends this header, too
    #[arg(long, value_name = "NAME: VALUE", value_parser = header)]
    pub(crate) header: Vec<(String, String)>,
    /// For people
    #[arg(long, value_parser = description)]
    pub(crate) description: Option<String>,
    /// The most attempts a second
    #[arg(long, value_name = "N", value_parser = rate)]
    pub(crate) rate_limit: Option<NonZeroU32>,
}

#[derive(Debug, Args)]
pub(crate) struct WebhookCheckArgs {
    /// A URL, or the id of a webhook, which is then checked with its own secret
    #[arg(value_name = "URL|ID")]
    pub(crate) receiver: String,
    /// The profile it is to receive [default: that of project `default`]
    #[arg(long)]
    pub(crate) profile: Option<ProfileName>,
    /// Signs with the secret in this file (`-` is the standard input), the one that the receiver has
    #[arg(long, value_name = "FILE")]
    pub(crate) secret_file: Option<PathBuf>,
    /// Sends what it must refuse, too: forged, unsigned, old
    #[arg(long)]
    pub(crate) negative: bool,
}

#[derive(Debug, Args)]
pub(crate) struct WebhookExportArgs {
    /// The file, which must not be there yet; `-` for the standard output
    #[arg(default_value = "-")]
    pub(crate) file: PathBuf,
    /// Only of this project
    #[arg(long)]
    pub(crate) project: Option<ProjectName>,
}

#[derive(Debug, Args)]
pub(crate) struct WebhookImportArgs {
    /// The file; `-` for the standard input
    pub(crate) file: PathBuf,
    /// Imports the rest when some lines have faults
    #[arg(long)]
    pub(crate) keep_going: bool,
    /// Puts those that are there and differ back as the file has them
    #[arg(long)]
    pub(crate) replace: bool,
}

#[derive(Debug, Args)]
pub(crate) struct WebhookUpdateArgs {
    pub(crate) id: WebhookId,
    /// Where to send
    #[arg(long)]
    pub(crate) url: Option<String>,
    /// Which events it wants
    #[arg(long, value_name = "TYPE,…", value_delimiter = ',')]
    pub(crate) events: Vec<EventType>,
    /// Wants every event
    #[arg(long, conflicts_with = "events")]
    pub(crate) all_events: bool,
    /// Replaces all added headers with these
    #[arg(long, value_name = "NAME: VALUE", value_parser = header)]
    pub(crate) header: Vec<(String, String)>,
    /// Sends no added header
    #[arg(long, conflicts_with = "header")]
    pub(crate) no_headers: bool,
    /// For people
    #[arg(long, value_parser = description)]
    pub(crate) description: Option<String>,
    /// The most attempts a second
    #[arg(long, value_name = "N", value_parser = rate)]
    pub(crate) rate_limit: Option<NonZeroU32>,
    /// No limit
    #[arg(long, conflicts_with = "rate_limit")]
    pub(crate) no_rate_limit: bool,
}

#[derive(Debug, Args)]
pub(crate) struct WebhookRotateArgs {
    pub(crate) id: WebhookId,
    /// Reads the secret from this file (`-` is the standard input) instead of making one
    #[arg(long, value_name = "FILE")]
    pub(crate) secret_file: Option<PathBuf>,
    /// From when it signs, such as `2026-06-01T10:00:00Z` or `in 2h` [default: now]
    #[arg(long, value_name = "MOMENT", value_parser = moment_ahead)]
    pub(crate) activate_at: Option<Moment>,
    /// How long the replaced secret signs beside it, where the profile allows several signatures
    #[arg(long, value_name = "WAIT", value_parser = wait)]
    pub(crate) overlap: Option<Duration>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum DeliveriesCommand {
    /// Lists deliveries, newest first
    List(DeliveryListArgs),
    /// Shows one with every attempt
    Show { id: DeliveryId },
    /// Sends one that was given up again: same event id, same body, signed anew
    Replay {
        id: DeliveryId,
        /// Also when its dead letter was replayed or discarded before
        #[arg(long)]
        again: bool,
        /// Also when its body is too old to be of use, by its profile
        #[arg(long)]
        include_stale: bool,
    },
}

#[derive(Debug, Args)]
pub(crate) struct DeliveryListArgs {
    /// Only of this project
    #[arg(long)]
    pub(crate) project: Option<ProjectName>,
    /// Only of this event
    #[arg(long)]
    pub(crate) event: Option<EventId>,
    /// Only of this job
    #[arg(long)]
    pub(crate) job: Option<JobId>,
    /// Only to this destination
    #[arg(long, value_name = "ID")]
    pub(crate) destination: Option<DestinationId>,
    /// Only in this state
    #[arg(long, value_parser = ["attempting", "waiting", "delivered", "dead_lettered"])]
    pub(crate) state: Option<String>,
    #[command(flatten)]
    pub(crate) span: SpanArgs,
    #[command(flatten)]
    pub(crate) page: PageArgs,
}

#[derive(Debug, Args)]
pub(crate) struct PageArgs {
    /// At most so many
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u16).range(1..=500))]
    pub(crate) limit: u16,
    /// Goes on where an earlier list ended
    #[arg(long, value_name = "CURSOR")]
    pub(crate) cursor: Option<String>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum BreakersCommand {
    /// Lists destinations that get nothing but probes, or accept again, those in trouble for longest first
    List {
        /// Only of this project's webhooks, and of callbacks and hosts that its newest waiting deliveries are for
        #[arg(long)]
        project: Option<ProjectName>,
        #[command(flatten)]
        page: PageArgs,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum DeadCommand {
    /// Lists dead letters, newest first
    List(DeadListArgs),
    /// Shows one with every attempt
    Show { id: DeadLetterId },
    /// Shows what open ones have in common: how many of each cause, since when, and who knows of it
    Groups(DeadGroupsArgs),
    /// Notes that you know of a cause; what joins it later shows as again
    Acknowledge(DeadAcknowledgeArgs),
    /// Writes them to a file, one a line, each with its digest; secrets stay behind
    Export(DeadExportArgs),
    /// Brings them back from a file; what is there already stays as it is
    Import(DeadImportArgs),
    /// Sends them again: same event id, same body, signed anew
    Replay {
        /// Which
        #[arg(required = true)]
        ids: Vec<DeadLetterId>,
        /// Also those replayed or discarded before
        #[arg(long)]
        again: bool,
        /// Also those whose body is too old to be of use, by their profile
        #[arg(long)]
        include_stale: bool,
    },
    /// Leaves them be; they stay readable until their time is over
    Discard(DeadDiscardArgs),
}

#[derive(Debug, Args)]
pub(crate) struct DeadDiscardArgs {
    /// Which; or say it with the filters
    pub(crate) ids: Vec<DeadLetterId>,
    /// Why, for people
    #[arg(long, default_value = "by operator", value_parser = note)]
    pub(crate) note: String,
    /// Only tells what it would be: for filters how many of which cause, for ids each
    #[arg(long)]
    pub(crate) dry_run: bool,
    #[command(flatten)]
    pub(crate) filter: DeadFilterArgs,
}

#[derive(Debug, Args)]
pub(crate) struct DeadGroupsArgs {
    /// Only of this project
    #[arg(long)]
    pub(crate) project: Option<ProjectName>,
    /// Only for this webhook
    #[arg(long, value_name = "ID")]
    pub(crate) destination: Option<DestinationId>,
    /// Which come first: those that grew last, or those with the most open
    #[arg(long, default_value = "last", value_parser = ["last", "count"])]
    pub(crate) by: String,
    /// Only those in whose cause, answer or host these words occur
    #[arg(long)]
    pub(crate) text: Option<SearchText>,
    #[command(flatten)]
    pub(crate) page: PageArgs,
}

#[derive(Debug, Args)]
pub(crate) struct DeadAcknowledgeArgs {
    /// The cause, as `dead groups` shows it
    pub(crate) fingerprint: String,
    /// Of this project, where several have the cause
    #[arg(long)]
    pub(crate) project: Option<ProjectName>,
    /// What you know, for others
    #[arg(long, value_parser = note)]
    pub(crate) note: String,
}

#[derive(Debug, Args)]
pub(crate) struct DeadExportArgs {
    /// The file, which must not be there yet; `-` for the standard output
    pub(crate) file: PathBuf,
    #[command(flatten)]
    pub(crate) filter: DeadFilterArgs,
    /// Also those replayed or discarded
    #[arg(long)]
    pub(crate) all: bool,
}

#[derive(Debug, Args)]
pub(crate) struct DeadImportArgs {
    /// The file; `-` for the standard input
    pub(crate) file: PathBuf,
    /// Imports the rest when some lines have faults
    #[arg(long)]
    pub(crate) keep_going: bool,
    /// Signs callbacks, whose secrets stayed behind, with the secret in this file (`-` is the standard input)
    #[arg(long, value_name = "FILE")]
    pub(crate) callback_secret_file: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct DeadListArgs {
    #[command(flatten)]
    pub(crate) filter: DeadFilterArgs,
    /// Also those replayed or discarded
    #[arg(long)]
    pub(crate) all: bool,
    #[command(flatten)]
    pub(crate) page: PageArgs,
}

#[derive(Debug, Args)]
pub(crate) struct DeadFilterArgs {
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
    /// Only for this reason
    #[arg(long, value_parser = dead_letter_reason())]
    pub(crate) reason: Option<DeadLetterReason>,
    /// Only where this is found: words of the cause, the answer or the host, or the id of an event, job or delivery
    #[arg(long)]
    pub(crate) text: Option<SearchText>,
    #[command(flatten)]
    pub(crate) span: SpanArgs,
}

impl DeadFilterArgs {
    /// Whether all are asked for.
    pub(crate) fn is_empty(&self) -> bool {
        let Self {
            project,
            destination,
            event_type,
            job,
            cause,
            reason,
            text,
            span: SpanArgs { since, until },
        } = self;
        project.is_none()
            && destination.is_none()
            && event_type.is_none()
            && job.is_none()
            && cause.is_none()
            && reason.is_none()
            && text.is_none()
            && since.is_none()
            && until.is_none()
    }
}

#[derive(Debug, Subcommand)]
pub(crate) enum KeysCommand {
    /// Makes a key; it is shown this once
    Create(KeyCreateArgs),
    /// Lists keys, oldest first
    List {
        /// Only of this project
        #[arg(long)]
        project: Option<ProjectName>,
    },
    /// Lets a key open nothing any more
    Revoke { id: ApiKeyId },
}

#[derive(Debug, Args)]
#[command(group = clap::ArgGroup::new("owner").required(true))]
pub(crate) struct KeyCreateArgs {
    /// It opens the things of this project
    #[arg(long, group = "owner")]
    pub(crate) project: Option<ProjectName>,
    /// It opens the things of every project
    #[arg(long, group = "owner")]
    pub(crate) operator: bool,
    /// What it may do: `publish`, `read`, `manage` [default: all]
    #[arg(long, value_name = "SCOPE,…", value_delimiter = ',')]
    pub(crate) scopes: Vec<KeyScope>,
    /// For people
    #[arg(long, value_parser = description)]
    pub(crate) description: Option<String>,
    /// From when it opens nothing, such as `2027-01-01T00:00:00Z` or `in 90d` [default: never]
    #[arg(long, value_name = "MOMENT", value_parser = moment_ahead)]
    pub(crate) expires_at: Option<Moment>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum TopologyCommand {
    /// Shows what should be there
    Show,
    /// Declares what is missing; never changes what is there
    Apply,
    /// Compares with what is there and says what to do
    Check,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ProfilesCommand {
    /// Lists the profiles built in and configured
    List,
    /// Prints one as it is written
    Show { name: ProfileName },
    /// Checks one and reports every fault
    Check {
        /// A file, as in `profiles show`
        file: PathBuf,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum ConfigCommand {
    /// Prints the default with a comment for every member
    Default,
    /// Checks the configuration and reports every fault
    Check,
    /// Makes a key for `secrets.keys`
    NewKey {
        /// What to call it
        #[arg(default_value = "k1")]
        id: String,
    },
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        super::Cli::command().debug_assert();
    }
}
