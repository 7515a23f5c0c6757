//! Where tests let this process vanish: it kills itself at the fault point they name, as a kernel short of memory would.
//! Debug builds only; a release build refuses the variables like any other it does not know.

use ringback_delivery::{FaultPoint, on_fault_point};
use rustix::process::{Signal, getpid, kill_process};
use std::{
    env,
    sync::{
        OnceLock,
        atomic::{AtomicU64, Ordering},
    },
};

/// Names a fault point; `…_AT` says at which time it is reached, the first unless told.
pub(crate) const VARIABLE: &str = "RINGBACK_FAULT_POINT";
const VARIABLE_AT: &str = "RINGBACK_FAULT_POINT_AT";

static CHOSEN: OnceLock<Chosen> = OnceLock::new();

struct Chosen {
    point: FaultPoint,
    at: u64,
    reached: AtomicU64,
}

/// Gets ready to die at the point that the environment names, if it names one.
///
/// # Panics
///
/// When there is no such point: a test that misspells one must not pass.
pub(crate) fn arm() {
    let Ok(name) = env::var(VARIABLE) else { return };
    let Some(point) = FaultPoint::ALL
        .into_iter()
        .find(|point| point.name() == name)
    else {
        let all = FaultPoint::ALL.map(FaultPoint::name).join(", ");
        panic!("{VARIABLE} names no fault point: `{name}`; there are {all}");
    };
    let at = env::var(VARIABLE_AT).map_or(1, |at| at.parse().expect("a fault is at the nth time"));
    let _ = CHOSEN.set(Chosen {
        point,
        at,
        reached: AtomicU64::new(0),
    });
    on_fault_point(vanish_if_chosen);
}

fn vanish_if_chosen(point: FaultPoint) {
    if let Some(chosen) = CHOSEN.get()
        && chosen.point == point
        && chosen.reached.fetch_add(1, Ordering::Relaxed) + 1 == chosen.at
    {
        tracing::warn!(point = point.name(), "vanishing here, as asked");
        kill_process(getpid(), Signal::KILL).expect("a process may kill itself");
    }
}
