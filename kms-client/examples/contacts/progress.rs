//! Progress bars, on stderr and only on a terminal.

use indicatif::{ProgressBar, ProgressStyle};

/// A bar with a rate.
pub(crate) fn bar(what: &'static str, length: usize) -> ProgressBar {
    let bar = ProgressBar::new(length as u64).with_message(what);
    let template = "{msg:26} [{bar:30}] {human_pos}/{human_len} {per_sec} {eta}";
    match ProgressStyle::with_template(template) {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}
