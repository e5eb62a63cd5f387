//! Progress of long work on stderr: nothing is drawn for what is done in half a second, nor where nobody
//! looks.

use crate::session::Session;
use cobblestone::Parallel;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::time::Duration;

/// Work shorter than this shows no bar.
const PATIENCE: Duration = Duration::from_millis(500);

/// One bar. Dropping it wipes it.
#[derive(Debug)]
pub(crate) struct Progress {
    bar: ProgressBar,
    shown: bool,
}

impl Progress {
    /// Counts bytes; without `total` it tells only how many.
    pub(crate) fn of_bytes(session: &Session, total: Option<u64>) -> Self {
        const KNOWN: &str = "{bar:32} {bytes} of {total_bytes}  {bytes_per_sec}  {eta} left";
        const UNKNOWN: &str = "{bytes}  {bytes_per_sec}";
        Self::new(
            session,
            total,
            if total.is_some() { KNOWN } else { UNKNOWN },
        )
    }

    /// Counts files.
    pub(crate) fn of_files(session: &Session, total: usize) -> Self {
        let template = "{bar:32} {pos} of {len} files  {eta} left";
        Self::new(session, u64::try_from(total).ok(), template)
    }

    /// Counts entries of the audit log; how many there are is told with the progress.
    pub(crate) fn of_entries(session: &Session) -> Self {
        let template = "{bar:32} {pos} of {len} entries  {per_sec}  {eta} left";
        Self::new(session, Some(0), template)
    }

    /// So much is done, of so much.
    pub(crate) fn set_of(&self, done: u64, total: u64) {
        self.bar.set_length(total);
        self.set(done);
    }

    fn new(session: &Session, total: Option<u64>, template: &str) -> Self {
        let bar = ProgressBar::with_draw_target(total, ProgressDrawTarget::hidden());
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style);
        }
        Self {
            bar,
            shown: session.shows_progress(),
        }
    }

    /// All cores, and `report` after each piece, where anybody looks.
    pub(crate) fn parallel<'a>(&self, report: &'a dyn Fn(u64)) -> Parallel<'a> {
        Parallel {
            threads: 0,
            progress: self.shown.then_some(report),
        }
    }

    /// So much is done.
    pub(crate) fn set(&self, done: u64) {
        self.bar.set_position(done);
        if self.shown && self.bar.is_hidden() && self.bar.elapsed() > PATIENCE {
            self.bar.set_draw_target(ProgressDrawTarget::stderr());
        }
    }

    /// Runs `print` without the bar in its way.
    pub(crate) fn suspend(&self, print: impl FnOnce()) {
        self.bar.suspend(print);
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}
