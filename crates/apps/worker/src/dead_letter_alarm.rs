//! Says so when more dead letters are open than the configuration expects. None is ever dropped to make room.

use ringback_delivery::port::Store;
use std::{sync::Arc, time::Duration};

/// Between two looks.
const LOOK_EVERY: Duration = Duration::from_mins(1);
/// Dead letters put into groups at one look.
const REGROUPED_MAX: usize = 10_000;

/// Watches for as long as it is polled.
pub(crate) async fn watch(store: Arc<dyn Store>, entries_max: u64) {
    let mut alarm = Alarm::default();
    loop {
        // A store that does not answer is complained of by everybody else.
        if let Ok(count) = store.dead_letter_count(None).await {
            alarm.look(count, entries_max);
        }
        put_into_groups(&*store).await;
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// Dead letters that a release before groups stored. Without them the store answers at once.
async fn put_into_groups(store: &dyn Store) {
    match store.regroup(REGROUPED_MAX).await {
        Ok(0) | Err(_) => {}
        Ok(count) => tracing::info!(count, "put dead letters of an earlier release into groups"),
    }
}

/// Rings once for each time that the limit is crossed.
#[derive(Debug, Default)]
struct Alarm {
    is_ringing: bool,
}

impl Alarm {
    fn look(&mut self, count: u64, entries_max: u64) {
        let is_over = count > entries_max;
        match (self.is_ringing, is_over) {
            (false, true) => tracing::error!(
                count,
                entries_max,
                "more dead letters are open than expected; all are kept (hint: replay or discard them, or raise `dead_letters.entries_max`)"
            ),
            (true, false) => tracing::info!(count, "no more dead letters are open than expected"),
            _ => {}
        }
        self.is_ringing = is_over;
    }
}
