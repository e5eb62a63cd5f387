//! The daemon's own messages: to standard error, as text or JSON. Never a secret, a name of a subject or
//! a request's content; what libraries say below a warning is not shown at any level, for it may hold
//! headers.

use crate::config::{Format, Level, Log};
use std::io::IsTerminal;
use tracing::level_filters::LevelFilter;
use tracing::{Dispatch, dispatcher};
use tracing_subscriber::Layer;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt::{self, MakeWriter};
use tracing_subscriber::layer::SubscriberExt;

/// Our crates: theirs alone is the configured level.
const OURS: [&str; 3] = ["kms_server", "kms_core", "cobblestone"];

/// Sends messages to standard error from now on. Later calls change nothing.
pub fn start(log: Log) {
    let coloured = std::io::stderr().is_terminal();
    let dispatch = dispatch(log, coloured, std::io::stderr);
    // A second start in one process (tests) keeps the first one's.
    let _ = dispatcher::set_global_default(dispatch);
}

fn dispatch<W>(log: Log, coloured: bool, writer: W) -> Dispatch
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    let level = match log.level {
        Level::Error => LevelFilter::ERROR,
        Level::Warn => LevelFilter::WARN,
        Level::Info => LevelFilter::INFO,
        Level::Debug => LevelFilter::DEBUG,
        Level::Trace => LevelFilter::TRACE,
    };
    let filter = Targets::new()
        .with_default(level.min(LevelFilter::WARN))
        .with_targets(OURS.map(|target| (target, level)));
    let layer = fmt::layer().with_ansi(coloured).with_writer(writer);
    let layer = match log.format {
        Format::Text => layer.boxed(),
        Format::Json => layer.json().flatten_event(true).boxed(),
    };
    Dispatch::new(tracing_subscriber::registry().with(layer.with_filter(filter)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io;
    use std::sync::{Arc, Mutex};

    #[derive(Clone, Default)]
    struct Buffer(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Buffer {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn said(level: Level, format: Format) -> String {
        let buffer = Buffer::default();
        let writer = buffer.clone();
        let log = Log { level, format };
        let dispatch = dispatch(log, false, move || writer.clone());
        dispatcher::with_default(&dispatch, || {
            tracing::debug!("detail of ours");
            tracing::warn!(count = 3, "warning of ours");
            tracing::trace!(target: "h2::codec", "headers of a library");
            tracing::warn!(target: "h2::codec", "warning of a library");
        });
        let bytes = buffer.0.lock().unwrap().clone();
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn the_level_is_ours_alone() {
        let text = said(Level::Trace, Format::Text);
        assert!(text.contains("detail of ours") && text.contains("warning of a library"));
        assert!(!text.contains("headers of a library"));
        let text = said(Level::Info, Format::Text);
        assert!(!text.contains("detail of ours") && text.contains("warning of ours"));
        assert_eq!(said(Level::Error, Format::Text), "");
    }

    #[test]
    fn text_has_no_escapes_and_json_is_one_object_a_line() {
        assert!(!said(Level::Trace, Format::Text).contains('\u{1b}'));
        let text = said(Level::Info, Format::Json);
        let first = text.lines().next().unwrap();
        assert!(first.starts_with('{') && first.ends_with('}'), "{first}");
        assert!(first.contains("\"message\":\"warning of ours\""), "{first}");
        assert!(first.contains("\"count\":3"), "{first}");
    }
}
