//! `ringback drill`: servers, workers and a receiver of its own, all made to fail; what was lost is counted at the end.

use crate::{
    args::{DrillArgs, DrillReceiverArgs},
    failure::{Exit, Failure, Outcome},
    session::Session,
    terminal::{facts, table},
};
use indicatif::{ProgressBar, ProgressStyle};
use ringback_drill::{DrillError, DrillOptions, Progress, Report};
use ringback_drill_receiver::Settings;
use ringback_worker::config::show_duration;
use std::{fmt::Write, time::Duration};

/// Without any movement for so long, what has not arrived is lost.
const PATIENCE: Duration = Duration::from_secs(45);

pub(crate) async fn run(session: &Session, args: DrillArgs) -> Outcome {
    session.log_quietly()?;
    let program = std::env::current_exe()
        .map_err(|failure| Failure::failed("could not find this program again").because(failure))?;
    let options = DrillOptions {
        program,
        events: args.events,
        faults: usize::from(args.faults),
        workers: usize::from(args.workers),
        nodes: usize::from(args.nodes),
        seed: args.seed,
        only: args.only,
        keep: args.keep,
        patience: PATIENCE,
        worker_env: Vec::new(),
    };
    let teller = Teller::new(session, &options);
    let tell = |progress: Progress<'_>| teller.tell(progress);
    let drilled = tokio::select! {
        drilled = Box::pin(ringback_drill::run(&options, &tell)) => drilled.map_err(Failure::from),
        _ = tokio::signal::ctrl_c() => Err(Failure::failed("stopped before the end")),
    };
    teller.bar.finish_and_clear();
    let report = drilled?;
    session.terminal.data(&report, show)?;
    if report.holds {
        Ok(())
    } else {
        Err(
            Failure::failed("events were lost, or came that nobody sent")
                .hint("keep the logs with `--keep DIRECTORY`"),
        )
    }
}

/// The process that `ringback drill` starts as its receiver.
pub(crate) fn receive(args: &DrillReceiverArgs) -> Outcome {
    let settings = Settings {
        port: args.port,
        log: args.log.clone(),
        destinations: args.destinations.clone(),
    };
    ringback_drill_receiver::run(&settings)
        .map_err(|failure| Failure::failed("could not receive").because(failure))
}

impl From<DrillError> for Failure {
    fn from(error: DrillError) -> Self {
        let exit = match &error {
            DrillError::Server(_)
            | DrillError::Open(_)
            | DrillError::Producers(_)
            | DrillError::Queue(_)
            | DrillError::Store(_) => Exit::Unreachable,
            _ => Exit::Failed,
        };
        Self::of(exit, &error)
    }
}

/// Tells what happens: with a bar where one would be seen, else a line now and then.
struct Teller<'a> {
    session: &'a Session,
    bar: ProgressBar,
    faults: usize,
    events: u64,
}

impl<'a> Teller<'a> {
    fn new(session: &'a Session, options: &DrillOptions) -> Self {
        let schedule = options.schedule();
        session.terminal.say(&format!(
            "{} events, {} faults, {} workers, {} broker node(s), seed {}: about {} of faults",
            options.events,
            schedule.faults().len(),
            options.workers,
            options.nodes,
            options.seed,
            show_duration(Duration::from_secs(schedule.takes().as_secs())),
        ));
        let bar = if session.terminal.shows_progress() {
            let bar = ProgressBar::new(schedule.faults().len() as u64);
            let style =
                ProgressStyle::with_template("{bar:30} {pos}/{len} faults, {elapsed}  {msg}");
            bar.set_style(style.expect("the template is right"));
            bar.enable_steady_tick(Duration::from_millis(200));
            bar
        } else {
            ProgressBar::hidden()
        };
        Self {
            session,
            bar,
            faults: schedule.faults().len(),
            events: options.events,
        }
    }

    fn tell(&self, progress: Progress<'_>) {
        match progress {
            Progress::Stage(words) if self.bar.is_hidden() => self.session.terminal.say(words),
            Progress::Stage(words) => self.bar.set_message(words.to_owned()),
            Progress::Strikes {
                number,
                fault,
                published,
            } => {
                let lasts = show_duration(fault.lasts);
                if self.bar.is_hidden() {
                    let Self { faults, events, .. } = self;
                    self.session.terminal.say(&format!(
                        "fault {number} of {faults}: {} for {lasts}, {published} of {events} events published",
                        fault.class
                    ));
                } else {
                    self.bar.set_position(number as u64);
                    self.bar.set_message(format!("{} for {lasts}", fault.class));
                }
            }
        }
    }
}

fn show(report: &Report) -> String {
    let classes = table(
        [
            "FAULT",
            "STRUCK",
            "DUPLICATED",
            "RECOVERY MEDIAN",
            "LONGEST",
        ],
        report.classes.iter().map(|class| {
            [
                class.class.to_owned(),
                class.struck.to_string(),
                class.duplicated.to_string(),
                seconds(class.recovery_median_ms),
                seconds(class.recovery_max_ms),
            ]
        }),
    );
    let duplicated = match report.duplicated_unexplained {
        0 => report.duplicated.to_string(),
        unexplained => format!(
            "{}, of which {unexplained} without a fault that explains them",
            report.duplicated
        ),
    };
    let mut rows = vec![
        ("attempted", report.attempted.to_string()),
        ("acknowledged", report.acknowledged.to_string()),
        ("delivered", report.delivered.to_string()),
        ("dead letters", report.dead_lettered.to_string()),
        ("lost", report.lost.to_string()),
        ("unexpected", report.unexpected.to_string()),
        ("duplicated", duplicated),
        ("recovered", report.recovered.to_string()),
        ("requests", report.requests.to_string()),
        ("bodies changed", report.bodies_changed.to_string()),
        ("signatures wrong", report.signatures_wrong.to_string()),
        ("left in queues", report.left_in_queues.to_string()),
    ];
    if report.workers_deserted > 0 {
        rows.push((
            "workers that ended by themselves",
            report.workers_deserted.to_string(),
        ));
    }
    if let Some(why) = &report.publish_refused {
        rows.push(("a publish was refused", why.clone()));
    }
    rows.push(("seed", report.seed.to_string()));
    rows.push((
        "with",
        format!(
            "ringback {}, RabbitMQ {} on {} node(s), {}, {} workers, {} faults in {}",
            report.ringback,
            report.rabbitmq,
            report.nodes,
            report.store,
            report.workers,
            report.faults,
            show_duration(Duration::from_secs(report.took_s)),
        ),
    ));
    let mut text = facts(rows);
    if !report.classes.is_empty() {
        text = format!("{classes}\n\n{text}");
    }
    for (word, examples) in [
        ("lost", &report.lost_examples),
        ("unexpected", &report.unexpected_examples),
        ("unexplained", &report.unexplained_examples),
    ] {
        for example in examples {
            let _ = write!(
                text,
                "\n{word}: {}",
                ringback_domain::harmless_text(example.as_bytes())
            );
        }
    }
    text
}

#[expect(clippy::cast_precision_loss, reason = "seconds for people")]
fn seconds(millis: u64) -> String {
    format!("{:.1} s", millis as f64 / 1000.0)
}
