//! Verification of an export with nothing but the public key: the file is the one that was signed, its entries are the
//! log's, all of the range and in their order, and what its lines say of place, time and request is what their bytes say.

use super::manifest::{FILE_NAME, FORMAT, Manifest};
use super::{Checked, Format};
use crate::command::audit::verify::{check, untrusted};
use crate::exit::Failure;
use crate::progress::Progress;
use crate::session::Session;
use data_encoding::HEXLOWER;
use jiff::Timestamp;
use serde_json::Value;
use std::fs::File;
use std::io::{BufRead, BufReader, Read as _};
use std::path::Path;
use tlog::{Digest, ExportStatement, Hash, Keychain, Note, RangeCheck, VerifierKey, leaf_hash};

/// Where entry id and wall time stand in an entry (docs/formats.md, "Audit leaf").
const ID_AT: std::ops::Range<usize> = 18..34;
const TIME_AT: std::ops::Range<usize> = 34..42;
/// Most bytes of a line: an entry of 32 KiB in hex and in words is far below.
const LINE_MAX: u64 = 1 << 20;

/// Verifies the export in `folder`.
///
/// # Errors
/// What does not hold; the first bad entry by name.
pub(crate) fn export(
    session: &Session,
    folder: &Path,
    key: &VerifierKey,
) -> Result<Checked, Failure> {
    let path = folder.join(FILE_NAME);
    let text = crate::command::audit::read(&path)?;
    let manifest: Manifest =
        serde_json::from_str(&text).map_err(|error| Failure::file(&path, error))?;
    let form = form(&manifest).ok_or_else(|| bad("it is of another format"))?;
    let keys = Keychain::follow(key, &manifest.certificates).map_err(untrusted)?;
    let statement = statement(&manifest, &keys)?;
    let checkpoint = keys.checkpoint(&manifest.checkpoint).map_err(untrusted)?;
    let mut entries = Entries {
        form,
        place: manifest.first,
        range: RangeCheck::new(manifest.first, &hashes(&manifest.before)?)
            .map_err(|_| bad("the proof does not fit its first entry"))?,
        digest: Digest::new(),
    };
    let path = folder.join(form.file_name());
    let file = File::open(&path).map_err(|error| Failure::file(&path, error))?;
    let bar = Progress::of_entries(session);
    entries.read(BufReader::new(file), |place| {
        bar.set_of(
            place - manifest.first,
            manifest.end.saturating_sub(manifest.first),
        );
    })?;
    if entries.place != manifest.end {
        return Err(bad(&format!("it ends before entry {}", entries.place)));
    }
    if entries.digest.finish() != statement.file {
        return Err(bad("the file is not the one that was signed"));
    }
    let behind = hashes(&manifest.behind)?;
    let held = entries
        .range
        .finish(&behind, checkpoint.size, &checkpoint.root);
    held.map_err(|_| bad("its entries are not those of the log"))?;
    Ok(Checked {
        file: manifest.file,
        format: manifest.form,
        origin: checkpoint.origin,
        first: manifest.first,
        end: manifest.end,
        entries: manifest.end - manifest.first,
        exported_by: statement.by,
        exported_at: time_of(
            i64::try_from(statement.at)
                .unwrap_or(i64::MAX)
                .saturating_mul(1_000_000),
        ),
    })
}

fn bad(what: &str) -> Failure {
    Failure::failed(format!("the export does not hold: {what}"))
}

fn form(manifest: &Manifest) -> Option<Format> {
    let forms = [Format::Jsonl, Format::Csv, Format::Ocsf];
    let known = forms.into_iter().find(|form| form.word() == manifest.form);
    known.filter(|form| manifest.format == FORMAT && manifest.file == form.file_name())
}

fn hashes(texts: &[String]) -> Result<Vec<Hash>, Failure> {
    let hashes: Option<Vec<_>> = texts.iter().map(|text| Hash::parse(text)).collect();
    hashes.ok_or_else(|| bad("a hash is malformed"))
}

/// What the log key signed, which must be what the manifest says.
fn statement(manifest: &Manifest, keys: &Keychain) -> Result<ExportStatement, Failure> {
    let note = Note::parse(&manifest.statement).map_err(|error| bad(&error.to_string()))?;
    let certificates = keys.certificates().iter();
    if !certificates
        .map(|it| &it.key)
        .any(|key| note.is_signed_by(key))
    {
        return Err(bad("no log key signed its statement"));
    }
    let statement = ExportStatement::parse(note.text()).map_err(|error| bad(&error.to_string()))?;
    let same = statement.origin == keys.origin()
        && (statement.first, statement.end) == (manifest.first, manifest.end)
        && statement.format == manifest.form
        && statement.file.to_string() == manifest.sha256;
    same.then_some(statement)
        .ok_or_else(|| bad("its manifest is not what was signed"))
}

struct Entries {
    form: Format,
    place: u64,
    range: RangeCheck,
    digest: Digest,
}

impl Entries {
    fn read(
        &mut self,
        mut file: impl BufRead,
        mut progress: impl FnMut(u64),
    ) -> Result<(), Failure> {
        let mut header = self.form == Format::Csv;
        let mut line = String::new();
        loop {
            line.clear();
            // what is longer is no line of ours, and parses as none
            if (&mut file).take(LINE_MAX).read_line(&mut line)? == 0 {
                return Ok(());
            }
            self.digest.update(line.as_bytes());
            if std::mem::take(&mut header) {
                continue;
            }
            let place = self.place;
            let about = |what: &str| bad(&format!("entry {place}: {what}"));
            let said = Said::read(self.form, line.trim_end_matches('\n'))
                .ok_or_else(|| about("its line is malformed"))?;
            check(place, &said.leaf).map_err(|damage| about(&damage.to_string()))?;
            said.agrees(place).map_err(about)?;
            self.range.push(leaf_hash(&said.leaf));
            self.place += 1;
            if place.is_multiple_of(1_024) {
                progress(place);
            }
        }
    }
}

/// What a line says of its entry.
struct Said {
    leaf: Vec<u8>,
    sequence: u64,
    time: String,
    request_id: String,
}

impl Said {
    fn read(form: Format, line: &str) -> Option<Self> {
        if form == Format::Csv {
            let leaf = line.rsplit(',').next()?;
            // the first columns have no quotes
            let mut columns = line.split(',');
            return Some(Self {
                leaf: HEXLOWER.decode(leaf.as_bytes()).ok()?,
                sequence: columns.next()?.parse().ok()?,
                time: columns.next()?.to_owned(),
                request_id: columns.next()?.to_owned(),
            });
        }
        let value: Value = serde_json::from_str(line).ok()?;
        // of an entry that the service could not read there is nothing but its bytes
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let (entry, leaf) = if form == Format::Jsonl {
            (&value, value.get("leaf")?)
        } else {
            let metadata = value.pointer("/data/metadata")?;
            (metadata, value.pointer("/data/raw_data")?)
        };
        let [time, id] = if form == Format::Jsonl {
            ["time", "request_id"]
        } else {
            ["original_time", "correlation_uid"]
        };
        Some(Self {
            leaf: HEXLOWER.decode(leaf.as_str()?.as_bytes()).ok()?,
            sequence: entry.get("sequence")?.as_u64()?,
            time: text(entry.get(time)?),
            request_id: text(entry.get(id)?),
        })
    }

    fn agrees(&self, place: u64) -> Result<(), &'static str> {
        let micros = self.leaf.get(TIME_AT).and_then(|at| at.try_into().ok());
        let time = time_of(i64::from_be_bytes(micros.unwrap_or_default()));
        let id = HEXLOWER.encode(self.leaf.get(ID_AT).unwrap_or_default());
        if self.sequence != place {
            return Err("its line gives another number");
        }
        if !self.time.is_empty() && self.time != time {
            return Err("its line gives another time than its bytes");
        }
        if !self.request_id.is_empty() && self.request_id != id {
            return Err("its line gives another request than its bytes");
        }
        Ok(())
    }
}

fn time_of(micros: i64) -> String {
    Timestamp::from_microsecond(micros).map_or_else(|_| String::new(), |time| time.to_string())
}
