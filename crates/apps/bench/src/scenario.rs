//! What is measured. Each scenario is data: who gets how many events, how fast, and which destinations count.

use std::collections::BTreeSet;

/// Bytes of a rendered body.
pub(crate) const BODY_BYTES: usize = 500;
/// Projects of a scenario that spreads its load.
const PROJECTS: usize = 16;
/// Events a second where latency is measured, and for how many seconds.
const QUIET_PER_SECOND: u32 = 50;
const QUIET_S: u64 = 20;
/// Events a second to healthy destinations where fairness is measured.
const HEALTHY_PER_SECOND: u32 = 200;
const HEALTHY_S: u64 = 15;

/// Events a second where a worker runs for long, and how many of its projects are well for each that never answers.
const SOAK_PER_SECOND: u32 = 100;
const SOAK_WELL: usize = 3;

/// Destinations where there are many, and how many of them are in trouble.
const MANY: usize = 1_000;
const MANY_IN_TROUBLE: usize = 50;
/// Destinations that never answer where many requests are to be under way at once.
const HELD_OPEN: usize = 100;
/// How long a refused delivery waits, and where many are to wait together.
const RETRY_AFTER_S: u64 = 2;
const LONG_RETRY_AFTER_S: u64 = 180;
/// A plan goes no further ahead of outcomes than 64,000 entries, and nobody delivers while it is measured.
const REPLAYED_MAX: u64 = 60_000;

/// One scenario.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scenario {
    /// Its name.
    pub name: &'static str,
    /// What it shows, for people.
    pub about: &'static str,
    pub(crate) servers: Servers,
    pub(crate) projects: Vec<Project>,
    pub(crate) events: u64,
    /// As fast as the generator can when absent.
    pub(crate) per_second: Option<u32>,
    pub(crate) course: Course,
    /// How long the first retry waits.
    pub(crate) retry_after_s: u64,
    /// The same without what this one adds.
    pub(crate) compared_with: Option<Box<Scenario>>,
    /// Whether the workers' memory is looked at all along.
    pub(crate) watches_memory: bool,
    /// Whether the moment of settling is read from the worker's log, which costs the worker something.
    pub(crate) tells_settled: bool,
}

/// What is measured.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Course {
    /// Events are published and delivered.
    Deliver(Before),
    /// What was given up at its first attempt is sent again by a replay plan; nobody delivers it meanwhile.
    Replay,
}

/// What has happened when measuring begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Before {
    /// Workers run, and are warm.
    Warm,
    /// Everything is published, and no worker has started yet.
    Published,
    /// So much is due together when workers start, besides the events; not what is measured.
    Due(Storm),
}

/// Deliveries that are due together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Storm {
    pub(crate) projects: Vec<Project>,
    pub(crate) events: u64,
}

/// What a scenario runs on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Servers {
    RabbitAndRedis,
    Embedded,
}

/// A project, whose destinations all get its events.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Project {
    pub(crate) name: String,
    pub(crate) manner: Manner,
    pub(crate) destinations: usize,
}

/// How a destination answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Manner {
    Accepts,
    /// Accepts after 50 ms.
    Waits,
    /// 503 the first time, then 200.
    RefusesOnce,
    Hangs,
    /// A byte of its answer a second.
    Drips,
    Resets,
    /// Nobody listens.
    Unreachable,
}

impl Manner {
    /// The first part of the path, by which the receiver knows it.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Accepts | Self::Unreachable => "accepts",
            Self::Waits => "waits",
            Self::RefusesOnce => "refuses-once",
            Self::Hangs => "hangs",
            Self::Drips => "drips",
            Self::Resets => "resets",
        }
    }

    /// Whether every delivery has to be accepted in the end.
    pub(crate) fn counts(self) -> bool {
        matches!(self, Self::Accepts | Self::Waits | Self::RefusesOnce)
    }
}

impl Scenario {
    /// Every project that gets events.
    pub(crate) fn all_projects(&self) -> impl Iterator<Item = &Project> {
        let storm = self.storm().into_iter();
        self.projects
            .iter()
            .chain(storm.flat_map(|storm| &storm.projects))
    }

    pub(crate) fn storm(&self) -> Option<&Storm> {
        match &self.course {
            Course::Deliver(Before::Due(storm)) => Some(storm),
            _ => None,
        }
    }

    /// Whether it takes a broker and a store.
    pub(crate) fn is_on_servers(&self) -> bool {
        self.servers == Servers::RabbitAndRedis
    }

    /// How long a refused delivery waits before each retry, in seconds; not at all where it is to be given up.
    pub(crate) fn retry_waits_s(&self) -> Vec<u64> {
        match self.course {
            Course::Replay => Vec::new(),
            Course::Deliver(_) => vec![self.retry_after_s, 4, 8],
        }
    }

    /// Those that accept nothing. One that is listed twice is one.
    pub(crate) fn in_trouble(&self) -> impl Iterator<Item = &Project> {
        let mut seen = BTreeSet::new();
        let troubled = self
            .projects
            .iter()
            .filter(|project| !project.manner.counts());
        troubled.filter(move |project| seen.insert(&project.name))
    }
}

impl Project {
    pub(crate) fn destination(&self, number: usize) -> String {
        format!("{}.{number}", self.name)
    }
}

fn projects(scenario: &str, count: usize, manner: Manner, destinations: usize) -> Vec<Project> {
    let of = |number| Project {
        name: format!("{scenario}-{number}"),
        manner,
        destinations,
    };
    (0..count).map(of).collect()
}

/// All scenarios, those that leave something behind last. `events` is the size of the large ones.
pub fn scenarios(events: u64) -> Vec<Scenario> {
    let loaded = |name, about, count, destinations, events: u64| Scenario {
        name,
        about,
        servers: Servers::RabbitAndRedis,
        projects: projects(name, count, Manner::Accepts, destinations),
        events: events.max(1),
        per_second: None,
        course: Course::Deliver(Before::Warm),
        retry_after_s: RETRY_AFTER_S,
        compared_with: None,
        watches_memory: false,
        tells_settled: false,
    };
    let quiet = |name, about| Scenario {
        per_second: Some(QUIET_PER_SECOND),
        tells_settled: true,
        ..loaded(
            name,
            about,
            PROJECTS,
            1,
            u64::from(QUIET_PER_SECOND) * QUIET_S,
        )
    };
    let healthy = |name, about| Scenario {
        per_second: Some(HEALTHY_PER_SECOND),
        ..loaded(
            name,
            about,
            PROJECTS,
            1,
            u64::from(HEALTHY_PER_SECOND) * HEALTHY_S,
        )
    };
    let alone = healthy("healthy", "200 events a second to 16 destinations");
    // Every second event goes to one destination in trouble: the others get as many as without it.
    let beside = |name, about, manner| {
        let others = healthy(name, about);
        let trouble = Project {
            name: format!("{name}-trouble"),
            manner,
            destinations: 1,
        };
        let projects = others.projects.into_iter();
        Scenario {
            projects: projects
                .flat_map(|project| [project, trouble.clone()])
                .collect(),
            events: others.events * 2,
            per_second: Some(HEALTHY_PER_SECOND * 2),
            compared_with: Some(Box::new(alone.clone())),
            ..healthy(name, about)
        }
    };
    let many = |name, about, count: usize, in_trouble: usize| {
        let mut projects = projects(name, count, Manner::Accepts, 1);
        for project in projects
            .iter_mut()
            .step_by(count / in_trouble.max(1))
            .take(in_trouble)
        {
            project.manner = Manner::Hangs;
        }
        Scenario {
            projects,
            ..healthy(name, about)
        }
    };
    let all_healthy = many("many", "200 events a second to 1,000 destinations", MANY, 0);
    let on_embedded = |scenario: Scenario| Scenario {
        servers: Servers::Embedded,
        ..scenario
    };
    let soak_trouble = Project {
        name: "soak-trouble".to_owned(),
        manner: Manner::Hangs,
        destinations: 1,
    };
    let soaked = projects("soak", SOAK_WELL, Manner::Accepts, 1).into_iter();
    vec![
        loaded(
            "throughput",
            "one destination an event, 16 destinations",
            PROJECTS,
            1,
            events,
        ),
        loaded(
            "one-destination",
            "all events to the same destination",
            1,
            1,
            events,
        ),
        loaded("fan-out-10", "ten destinations an event", 1, 10, events / 5),
        loaded(
            "fan-out-100",
            "a hundred destinations an event",
            1,
            100,
            events / 50,
        ),
        Scenario {
            projects: projects("slow-receiver", PROJECTS, Manner::Waits, 1),
            ..loaded(
                "slow-receiver",
                "receivers that take 50 ms",
                PROJECTS,
                1,
                events,
            )
        },
        quiet("latency", "50 events a second"),
        Scenario {
            course: Course::Deliver(Before::Published),
            ..loaded(
                "backlog",
                "everything waits before a worker starts",
                PROJECTS,
                1,
                events * 2,
            )
        },
        Scenario {
            projects: projects("retries", PROJECTS, Manner::RefusesOnce, 1),
            ..loaded(
                "retries",
                "every first attempt is refused",
                PROJECTS,
                1,
                events / 4,
            )
        },
        Scenario {
            projects: projects("waiting", PROJECTS, Manner::RefusesOnce, 1),
            // The last one is published as the first comes due: all of them wait at that moment.
            per_second: Some(
                u32::try_from(events / LONG_RETRY_AFTER_S).map_or(u32::MAX, |n| n.max(1)),
            ),
            retry_after_s: LONG_RETRY_AFTER_S,
            ..loaded(
                "waiting",
                "every first attempt is refused, and all wait three minutes, coming due as evenly as they came",
                PROJECTS,
                1,
                events,
            )
        },
        Scenario {
            course: Course::Deliver(Before::Due(Storm {
                projects: projects("storm-due", PROJECTS, Manner::Accepts, 1),
                events: events.max(1),
            })),
            compared_with: Some(Box::new(alone.clone())),
            ..healthy(
                "storm",
                "200 events a second, while as many deliveries as a large scenario has are due together",
            )
        },
        Scenario {
            course: Course::Replay,
            projects: projects("replay", 1, Manner::RefusesOnce, PROJECTS),
            ..loaded(
                "replay",
                "dead letters become messages again by a plan without a pace",
                1,
                PROJECTS,
                (events / PROJECTS as u64).min(REPLAYED_MAX / PROJECTS as u64),
            )
        },
        on_embedded(loaded(
            "embedded",
            "one destination an event, on the embedded queue and store",
            PROJECTS,
            1,
            events,
        )),
        on_embedded(quiet("embedded-latency", "50 events a second, embedded")),
        alone.clone(),
        beside(
            "beside-hanging",
            "as many to one that never answers",
            Manner::Hangs,
        ),
        beside(
            "beside-dripping",
            "as many to one that answers a byte a second",
            Manner::Drips,
        ),
        beside(
            "beside-resetting",
            "as many to one that resets every connection",
            Manner::Resets,
        ),
        beside(
            "beside-unreachable",
            "as many to one where nobody listens",
            Manner::Unreachable,
        ),
        all_healthy.clone(),
        Scenario {
            compared_with: Some(Box::new(all_healthy)),
            ..many(
                "many-in-trouble",
                "the same, and every twentieth destination never answers",
                MANY,
                MANY_IN_TROUBLE,
            )
        },
        Scenario {
            projects: soaked.chain([soak_trouble]).collect(),
            per_second: Some(SOAK_PER_SECOND),
            watches_memory: true,
            ..loaded(
                "soak",
                "100 events a second, every fourth to one that never answers; 360,000 take an hour",
                PROJECTS,
                1,
                events,
            )
        },
        Scenario {
            events: 2 * u64::from(HEALTHY_PER_SECOND) * HEALTHY_S,
            per_second: Some(2 * HEALTHY_PER_SECOND),
            ..many(
                "in-flight",
                "200 events a second to 100 destinations, and as many to 100 that never answer",
                2 * HELD_OPEN,
                HELD_OPEN,
            )
        },
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_scenario_has_a_name_of_its_own_and_something_to_count() {
        let all = scenarios(1_000);
        let names: BTreeSet<_> = all.iter().map(|scenario| scenario.name).collect();
        assert_eq!(names.len(), all.len());
        for scenario in &all {
            assert!(scenario.events > 0);
            assert!(
                scenario
                    .projects
                    .iter()
                    .any(|project| project.manner.counts())
            );
        }
    }

    #[test]
    fn what_is_compared_differs_in_what_is_added_alone() {
        let all = scenarios(1_000);
        let mut compared = Vec::new();
        for scenario in &all {
            let Some(other) = &scenario.compared_with else {
                continue;
            };
            let listed = all.iter().find(|listed| listed.name == other.name);
            assert_eq!(listed, Some(&**other), "{}", scenario.name);
            assert!(other.compared_with.is_none() && other.in_trouble().next().is_none());
            let rate = |scenario: &Scenario| {
                let healthy = scenario.projects.iter().filter(|one| one.manner.counts());
                let share = u32::try_from(healthy.count()).unwrap();
                let of = u32::try_from(scenario.projects.len()).unwrap();
                f64::from(scenario.per_second.unwrap()) * f64::from(share) / f64::from(of)
            };
            let lacks = rate(other) - rate(scenario);
            // Of many, a twentieth of the events goes to those in trouble.
            assert!((0.0..=rate(other) / 20.0).contains(&lacks), "{lacks}");
            compared.push(scenario.name);
        }
        let named = [
            "storm",
            "beside-hanging",
            "beside-dripping",
            "beside-resetting",
            "beside-unreachable",
            "many-in-trouble",
        ];
        assert_eq!(compared, named);
    }

    #[test]
    fn of_many_destinations_every_twentieth_is_in_trouble() {
        let all = scenarios(1_000);
        let in_trouble = |name| {
            let scenario = all.iter().find(|scenario| scenario.name == name).unwrap();
            assert_eq!(scenario.projects.len(), MANY);
            scenario.in_trouble().count()
        };
        assert_eq!(in_trouble("many"), 0);
        assert_eq!(in_trouble("many-in-trouble"), MANY / 20);
    }

    #[test]
    fn beside_one_in_trouble_the_others_get_as_many_as_without_it() {
        let all = scenarios(1_000);
        let of = |name| all.iter().find(|scenario| scenario.name == name).unwrap();
        let counted = |scenario: &Scenario| {
            let share = scenario
                .projects
                .iter()
                .filter(|project| project.manner.counts())
                .count();
            scenario.events * share as u64 / scenario.projects.len() as u64
        };
        assert_eq!(counted(of("beside-hanging")), counted(of("healthy")));
    }
}
