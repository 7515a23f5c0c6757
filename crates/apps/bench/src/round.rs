//! A round: every scenario once, beside what it is compared with.

use crate::{
    BenchError, BenchOptions, difference, measure,
    part::{FloorDone, FloorHttp, FloorQueue, Part},
    report::{Compared, Floor, Floors, Measured},
    scenario::{BODY_BYTES, Course, Scenario},
    stage::{PREFIX, Stage},
};
use std::{fs, num::NonZeroU32};

/// Requests of the bare client at once.
const FLOOR_AT_ONCE: usize = 64;

/// What rounds have found so far.
#[derive(Default)]
pub(crate) struct Found {
    pub(crate) rabbitmq: Option<String>,
    pub(crate) store: Option<String>,
    pub(crate) floors: Vec<Floors>,
    pub(crate) scenarios: Vec<Measured>,
}

/// All scenarios, once.
pub(crate) struct Round<'a> {
    options: &'a BenchOptions,
    tell: &'a (dyn Fn(&str) + Send + Sync),
    stage: Stage,
    found: &'a mut Found,
    /// Those measured last, if nothing has come since.
    floors: Option<Floors>,
    /// What was measured last.
    last: Option<Measured>,
}

impl<'a> Round<'a> {
    pub(crate) fn new(
        options: &'a BenchOptions,
        tell: &'a (dyn Fn(&str) + Send + Sync),
        stage: Stage,
        found: &'a mut Found,
    ) -> Self {
        Self {
            options,
            tell,
            stage,
            found,
            floors: None,
            last: None,
        }
    }

    /// Measures a scenario; just before it the one it is compared with, unless that was the last one: a shared machine is not the
    /// same a minute later.
    pub(crate) async fn add(&mut self, scenario: &Scenario) -> Result<(), BenchError> {
        let other = match (&scenario.compared_with, self.last.take()) {
            (None, _) => None,
            (Some(other), Some(last)) if last.scenario == other.name => Some(last),
            (Some(other), _) => {
                let measured = self.measure(other).await?;
                self.found.scenarios.push(measured.clone());
                Some(measured)
            }
        };
        let mut measured = self.measure(scenario).await?;
        measured.compared = other.and_then(|other| Compared::of(&measured, &other));
        self.found.scenarios.push(measured.clone());
        self.last = Some(measured);
        Ok(())
    }

    /// Measures a scenario, and the floors just before and just after it, for the same reason.
    async fn measure(&mut self, scenario: &Scenario) -> Result<Measured, BenchError> {
        let delivers = matches!(scenario.course, Course::Deliver(_));
        let count = (self.options.floors).filter(|_| delivers && scenario.is_on_servers());
        let before = match (count, self.floors.take()) {
            (Some(count), None) => Some(self.floors(count).await?),
            (_, last) => last,
        };
        (self.tell)(scenario.name);
        let place = self.stage.place(scenario)?;
        let product = &mut self.found.store;
        let mut measured =
            measure(&mut self.stage, &place, scenario, self.options, product).await?;
        if let (Some(count), Some(before)) = (count, before) {
            let after = self.floors(count).await?;
            let floors = Floors::mean(&[before, after.clone()]);
            measured.times_floors = (floors.filter(|_| measured.cpu_s_per_1000.broker.is_some()))
                .map(|floors| measured.cpu_s_per_1000.system / floors.cpu_s_per_1000());
            self.floors = Some(after);
        }
        Ok(measured)
    }

    async fn floors(&mut self, count: NonZeroU32) -> Result<Floors, BenchError> {
        (self.tell)("floors");
        let floors = floors(&mut self.stage, count).await?;
        self.found.floors.push(floors.clone());
        Ok(floors)
    }
}

async fn floors(stage: &mut Stage, count: NonZeroU32) -> Result<Floors, BenchError> {
    let (http_out, queue_out) = (stage.file("floor-http"), stage.file("floor-queue"));
    let told = Part::FloorHttp(FloorHttp {
        url: stage.receiver_url("accepts/floor"),
        requests: u64::from(count.get()),
        at_once: FLOOR_AT_ONCE,
        body_bytes: BODY_BYTES,
        out: http_out.clone(),
    });
    stage.run_part("bare client", &told).await?;
    let http = read_floor(&http_out)?;
    let url = stage
        .urls()
        .map(|urls| urls.broker.clone())
        .unwrap_or_default();
    let told = Part::FloorQueue(FloorQueue {
        url,
        queue: format!("{PREFIX}.floor"),
        messages: u64::from(count.get()),
        body_bytes: BODY_BYTES,
        out: queue_out.clone(),
    });
    let before = stage.broker_usage()?;
    stage.run_part("bare publisher", &told).await?;
    let broker_s = difference(before, stage.broker_usage()?).unwrap_or(0.0);
    let mut queue = read_floor(&queue_out)?;
    queue.cpu_s += broker_s;
    Ok(Floors {
        http: floor_of(http, count),
        queue: floor_of(queue, count),
    })
}

fn read_floor(path: &std::path::Path) -> Result<FloorDone, BenchError> {
    let bytes = fs::read(path).map_err(BenchError::io("read a floor"))?;
    serde_json::from_slice(&bytes).map_err(BenchError::Told)
}

fn floor_of(done: FloorDone, count: NonZeroU32) -> Floor {
    Floor {
        per_second: f64::from(count.get()) / done.took_s,
        cpu_s_per_1000: done.cpu_s * 1000.0 / f64::from(count.get()),
    }
}
