//! One run of a seed.

use crate::{
    chronicle::Chronicle,
    dice::{Dice, Struck},
    faulty::{Destinations, FaultyQueue, FaultyStore},
    invariants::{Invariant, Violation},
    people,
    plan::{CAREFUL_PROFILE, HEALED_AFTER, PROFILE, Plan, REST_WITHIN},
    witness::Witness,
    worker::{World, keep_alive},
};
use ringback_delivery::ProfileBook;
use ringback_profile::{DestinationKind, Profile};
use ringback_signing::KeyRing;
use ringback_testkit::simulation::{SimulatedQueue, SimulatedStore, TokioClock};
use std::{
    sync::{Arc, LazyLock},
    time::Duration,
};
use tokio::task::JoinSet;

/// What came of a run.
#[derive(Debug)]
pub struct Outcome {
    /// What did not hold, if anything.
    pub violation: Option<Violation>,
    /// What went wrong on the way, in order.
    pub struck: Vec<Struck>,
    /// Requests made.
    pub requests: u64,
    /// Of those, how many were made before, or may have been.
    pub duplicates: u64,
    /// Everything that happened, a line each, if that was asked for.
    pub trace: Vec<String>,
}

/// Runs a plan, from the first event until everything is at rest.
///
/// # Panics
///
/// When no runtime can be made.
pub fn run(plan: &Plan, keeps_trace: bool) -> Outcome {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .expect("a runtime without I/O needs nothing of the system");
    runtime.block_on(run_to_rest(plan, keeps_trace))
}

async fn run_to_rest(plan: &Plan, keeps_trace: bool) -> Outcome {
    let clock = TokioClock::begin();
    let chronicle = Arc::new(Chronicle::new(clock, keeps_trace));
    let dice = Arc::new(Dice::new(plan.clone(), chronicle.clone()));
    let (true_queue, true_store) = (
        SimulatedQueue::default(),
        Arc::new(SimulatedStore::new(clock)),
    );
    let witness = Arc::new(Witness::new(
        clock,
        chronicle.clone(),
        true_store.clone(),
        people::project(),
    ));
    let (queue, store, destinations) = {
        let (dice, witness) = (|| dice.clone(), || witness.clone());
        (
            FaultyQueue::new(true_queue.clone(), plan, &clock, dice(), witness()),
            FaultyStore::new(true_store, plan, &clock, dice(), witness()),
            Destinations::new(plan, dice(), clock, witness(), |host| {
                let profile = if people::is_careful(host) {
                    &CAREFUL
                } else {
                    &USUAL
                };
                profile.rules(DestinationKind::Webhook).clone()
            }),
        )
    };
    let world = Arc::new(World {
        plan: plan.clone(),
        dice: dice.clone(),
        clock,
        witness: witness.clone(),
        queue,
        store: Arc::new(store),
        destinations: Arc::new(destinations),
        profiles: profiles(),
        keys: KEYS.clone(),
    });

    people::register(&world).await;
    let mut workers = JoinSet::new();
    for number in 1..=plan.size.workers {
        workers.spawn(keep_alive(world.clone(), number));
    }
    let mut people = JoinSet::new();
    people.spawn(people::produce(world.clone()));
    people.spawn(people::operate(world.clone()));

    let mut is_busy = || {
        while people.try_join_next().is_some() {}
        !people.is_empty()
    };

    loop {
        tokio::time::sleep(LOOK_EVERY).await;
        if witness.violation().is_some() {
            break;
        }
        if clock.elapsed() >= HEALED_AFTER && !dice.is_healed() {
            witness.note(|| "from here on nothing goes wrong".into());
            dice.heal();
        }
        if dice.is_healed() && !is_busy() && true_queue.is_idle() {
            witness.check_rest();
            break;
        }
        if clock.elapsed() > REST_WITHIN {
            let what = format!("not at rest after {REST_WITHIN:?}");
            witness.violated(Invariant::ComesToRest, what);
        }
    }
    workers.shutdown().await;
    let (requests, duplicates) = witness.requests();
    Outcome {
        violation: witness.violation(),
        struck: dice.struck(),
        requests,
        duplicates,
        trace: chronicle.take(),
    }
}

/// How often the end is looked for.
const LOOK_EVERY: Duration = Duration::from_secs(1);

static USUAL: LazyLock<Arc<Profile>> = LazyLock::new(|| profile("usual", PROFILE));
static CAREFUL: LazyLock<Arc<Profile>> = LazyLock::new(|| profile("careful", CAREFUL_PROFILE));
static KEYS: LazyLock<Arc<KeyRing>> = LazyLock::new(|| {
    let keys = KeyRing::try_new(&[KeyRing::new_key("k1", &[7; 32])]);
    Arc::new(keys.expect("one key of the right length"))
});

fn profile(name: &str, text: &str) -> Arc<Profile> {
    let name = name.parse().expect("a profile name");
    Arc::new(Profile::from_toml(name, text).expect("the profile is free of faults"))
}

pub(crate) fn profiles() -> Arc<ProfileBook> {
    let profiles = [&USUAL, &CAREFUL].map(|profile| (profile.name().clone(), (*profile).clone()));
    let projects = [(people::project(), USUAL.name().clone())];
    Arc::new(ProfileBook::new(profiles, projects))
}
