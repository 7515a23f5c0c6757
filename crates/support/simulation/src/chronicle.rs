//! What happened, a line each, for those who look into a failing seed.

use ringback_testkit::simulation::TokioClock;
use std::sync::Mutex;

/// The lines of one run, with the seconds since it began.
#[derive(Debug)]
pub(crate) struct Chronicle {
    clock: TokioClock,
    lines: Option<Mutex<Vec<String>>>,
}

impl Chronicle {
    pub(crate) fn new(clock: TokioClock, is_kept: bool) -> Self {
        let lines = is_kept.then(Mutex::default);
        Self { clock, lines }
    }

    pub(crate) fn is_kept(&self) -> bool {
        self.lines.is_some()
    }

    /// Writes a line, if anybody reads it.
    pub(crate) fn note(&self, line: impl FnOnce() -> String) {
        if let Some(lines) = &self.lines {
            let at = self.clock.elapsed().as_secs_f64();
            let line = format!("{at:>10.3}s  {}", line());
            lines
                .lock()
                .expect("nothing panics while it holds the lock")
                .push(line);
        }
    }

    pub(crate) fn take(&self) -> Vec<String> {
        let lines = self.lines.as_ref().map(|lines| {
            let mut lines = lines
                .lock()
                .expect("nothing panics while it holds the lock");
            std::mem::take(&mut *lines)
        });
        lines.unwrap_or_default()
    }
}
