//! How fast a replay plan without a pace makes messages of dead letters again.
//!
//! Every delivery is refused once and given up. Then one worker runs the plan and nobody delivers, so that what is measured is the
//! plan alone; in the end somebody delivers, so that what is lost or comes twice is seen.

use crate::{
    BenchError, Desk, LOOK_EVERY, PATIENCE, Reading, Setting, accepted, arrived,
    broker::Broker,
    cpu, destinations_of,
    figures::compare,
    generator, memory_peak, per_second,
    report::Measured,
    scenario::Scenario,
    stage::{Place, Stage},
    start_workers, until_arrived, until_due, wanted,
};
use ringback_delivery::{PlanRequest, Plans, port::DeadLetterFilter};
use ringback_domain::{
    ProjectName,
    replay_plan::{Pacing, PlanWish, ReplayOrder, ReplayTarget, StopRule},
};
use ringback_servers::free_port;
use std::path::Path;
use tokio::{
    task::block_in_place,
    time::{Instant, sleep},
};

const BY: &str = "the bench";

pub(crate) async fn measure(
    stage: &mut Stage,
    place: &Place,
    scenario: &Scenario,
    setting: &Setting,
) -> Result<Measured, BenchError> {
    let project = &scenario.projects[0].name;
    let project: ProjectName = project.parse().expect("a project's name");
    let entries = wanted(scenario);
    let out = stage.file(&format!("{}.sent", scenario.name));
    give_up(stage, place, scenario, setting, &out, entries).await?;

    let desk = Desk::open(&setting.config).await?;
    let plans = Plans {
        store: desk.backend.store.clone(),
        clock: desk.backend.clock.clone(),
        entropy: desk.webhooks.entropy.clone(),
        profiles: desk.webhooks.profiles.clone(),
    };
    let plan = plans.plan(&everything_of(project), &|_| ()).await?;
    let runner = block_in_place(|| stage.start_worker(place, "replay", free_port()))?;
    let mut workers = vec![runner];
    let broker = Broker::connect(stage).await?;
    let at_first = Reading::take(stage, &workers, scenario.servers)?;
    plans.change(plan.id(), PlanWish::Start, BY).await?;
    let (took, sent) = until_due(&broker, entries).await?;
    let in_the_end = Reading::take(stage, &workers, scenario.servers)?;
    let worker_memory_peak = memory_peak(&workers)?;
    broker.close().await?;
    desk.close().await;

    let accepted_before = accepted(stage).await?;
    start_workers(stage, place, &mut workers, 1)?;
    until_arrived(stage, accepted_before + entries, PATIENCE).await?;
    for worker in workers {
        worker.stop()?;
    }
    let published = generator::read(&out)?.sent;
    let arrived = arrived(stage).await?;
    let outcome = compare(&published, &arrived, |event| {
        destinations_of(&scenario.projects, event)
    });
    Ok(Measured {
        scenario: scenario.name,
        events: scenario.events,
        deliveries: outcome.delivered,
        per_second: per_second(sent, took.as_secs_f64()),
        cpu_s_per_1000: cpu(&at_first, &in_the_end, 0.0, entries),
        times_floors: None,
        compared: None,
        to_post: None,
        to_settled: None,
        worker_memory_peak,
        worker_memory: Vec::new(),
        duplicates: outcome.duplicates,
        lost: outcome.lost,
        retry_late: None,
        troubled_requests: None,
    })
}

/// Has every delivery refused and given up.
async fn give_up(
    stage: &mut Stage,
    place: &Place,
    scenario: &Scenario,
    setting: &Setting,
    out: &Path,
    wanted: u64,
) -> Result<(), BenchError> {
    let mut workers = Vec::new();
    start_workers(stage, place, &mut workers, 1)?;
    let projects = scenario.projects.iter();
    let projects: Vec<_> = projects.map(|project| project.name.clone()).collect();
    let run = scenario.name.to_owned();
    let told = setting.events(run, projects, scenario.events, None, out.to_owned());
    stage.run_part("generator", &told).await?;
    let desk = Desk::open(&setting.config).await?;
    let store = &desk.backend.store;
    let (mut seen, mut moved_at) = (0, Instant::now());
    while seen < wanted {
        let mut given_up = 0;
        for project in &scenario.projects {
            let project = project.name.parse().expect("a project's name");
            given_up += store.dead_letter_count(Some(&project)).await?;
        }
        if given_up != seen {
            (seen, moved_at) = (given_up, Instant::now());
        } else if moved_at.elapsed() > PATIENCE {
            return Err(BenchError::NotGivenUp { given_up, wanted });
        }
        sleep(LOOK_EVERY).await;
    }
    desk.close().await;
    for worker in workers {
        worker.stop()?;
    }
    Ok(())
}

fn everything_of(project: ProjectName) -> PlanRequest {
    PlanRequest {
        filter: DeadLetterFilter {
            project: Some(project),
            ..DeadLetterFilter::default()
        },
        text: None,
        reason: "to measure".to_owned(),
        by: BY.to_owned(),
        pacing: Pacing {
            rate: None,
            concurrency: None,
            order: ReplayOrder::OldestFirst,
        },
        target: ReplayTarget::Current,
        stop_rule: StopRule::default(),
        sends_stale: true,
    }
}
