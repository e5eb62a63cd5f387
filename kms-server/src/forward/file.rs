//! A file: one CloudEvent a line, synced before it counts as taken. Opened for each batch, so that it can be rotated away.

use super::Event;
use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

#[derive(Debug)]
pub(super) struct AppendedFile(PathBuf);

impl AppendedFile {
    pub(super) fn new(path: &Path) -> Self {
        Self(path.to_owned())
    }

    pub(super) async fn append(&self, events: &[Event]) -> Result<(), String> {
        let mut text = String::new();
        for event in events {
            text.push_str(&event.json);
            text.push('\n');
        }
        let path = self.0.clone();
        let written = tokio::task::spawn_blocking(move || append(&path, &text)).await;
        written
            .map_err(|error| error.to_string())?
            .map_err(|error| error.to_string())
    }
}

fn append(path: &Path, text: &str) -> io::Result<()> {
    let mut options = OpenOptions::new();
    let options = options.read(true).append(true).create(true).mode(0o600);
    let mut file = options.open(path)?;
    // a line that a crash or a full disk tore is ended, so that it spoils no other; its entry comes again
    if !ends_with_a_line(&mut file)? {
        file.write_all(b"\n")?;
    }
    file.write_all(text.as_bytes())?;
    file.sync_data()
}

fn ends_with_a_line(file: &mut File) -> io::Result<bool> {
    if file.seek(SeekFrom::End(0))? == 0 {
        return Ok(true);
    }
    file.seek(SeekFrom::End(-1))?;
    let mut last = [0];
    file.read_exact(&mut last)?;
    Ok(last == *b"\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_torn_line_is_ended_before_the_next() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("audit.jsonl");
        append(&path, "{\"id\":1}\n").unwrap();
        let mut file = OpenOptions::new().append(true).open(&path).unwrap();
        file.write_all(b"{\"id\":").unwrap();
        append(&path, "{\"id\":2}\n").unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        assert_eq!(text, "{\"id\":1}\n{\"id\":\n{\"id\":2}\n");
    }
}
