//! Against the crate `signed_note`, and notes that are none.

use super::*;
use crate::tests::signing::{TestKey, signed};
use signed_note::{StandardVerifier, Verifier as _, VerifierList};

const TEXT: &str = "kms/1\n7\nroot\n";

#[test]
fn another_implementation_reads_keys_and_signatures_alike() {
    let (own, other) = (TestKey::new("kms/1", 1), TestKey::new("other", 2));
    let note = signed(TEXT, &[&other, &own]);
    let theirs = StandardVerifier::new(&own.verifier.to_string()).unwrap();
    assert_eq!(theirs.key_id().to_be_bytes(), own.verifier.id());
    let parsed = signed_note::Note::from_bytes(note.as_bytes()).unwrap();
    let known = VerifierList::new(vec![Box::new(theirs)]);
    let (verified, _) = parsed.verify(&known).unwrap();
    assert_eq!(verified.len(), 1);
    assert_eq!(parsed.text(), TEXT.as_bytes());
    assert_eq!(parsed.to_bytes(), note.as_bytes());
}

#[test]
fn a_signature_holds_for_its_key_and_text_alone() {
    let (own, other) = (TestKey::new("kms/1", 1), TestKey::new("other", 2));
    let note = Note::parse(&signed(TEXT, &[&own])).unwrap();
    assert_eq!(note.text(), TEXT);
    assert!(note.is_signed_by(&own.verifier));
    assert!(!note.is_signed_by(&other.verifier));
    // the same name, another key
    assert!(!note.is_signed_by(&TestKey::new("kms/1", 3).verifier));
    // the line moved below another text
    let forged = format!("kms/1\n8\nroot\n\n{}", own.line(TEXT));
    assert!(!Note::parse(&forged).unwrap().is_signed_by(&own.verifier));
    // two that claim to be the same key's: one is wrong, so none counts
    let twice = format!("{TEXT}\n{}{}", own.line("x\n"), own.line(TEXT));
    assert!(!Note::parse(&twice).unwrap().is_signed_by(&own.verifier));
}

#[test]
fn what_another_note_adds_is_its_new_signatures() {
    let (log, one, two) = (
        TestKey::new("log", 1),
        TestKey::new("one", 2),
        TestKey::new("two", 3),
    );
    let read = |keys: &[&TestKey]| Note::parse(&signed(TEXT, keys)).unwrap();
    let added = read(&[&log, &one, &two]).added_to(&read(&[&two, &log]));
    assert_eq!(added, one.line(TEXT));
    assert_eq!(read(&[&log]).added_to(&read(&[&log, &one])), "");
    let both = read(&[&log, &one]).without(&one.verifier);
    assert_eq!(both, signed(TEXT, &[&log]));
}

#[test]
fn what_is_no_note_is_refused() {
    let key = TestKey::new("kms/1", 1);
    let good = signed(TEXT, &[&key]);
    let line = key.line(TEXT);
    for bad in [
        "",
        TEXT,
        good.trim_end(),
        &good.replace("\n\n", "\n"),
        &good.replace('\u{2014}', "-"),
        &good.replace("kms/1 ", "kms/1  "),
        &good.replacen("kms/1\n", "kms/1\t\n", 1),
        &format!("{good}\n"),
        &format!("{TEXT}\n\u{2014} kms/1 AAAA\n"),
        &format!("{TEXT}\n{}", line.repeat(65)),
        &"x".repeat(NOTE_MAX + 1),
    ] {
        assert!(Note::parse(bad).is_err(), "{bad:?}");
    }
}

#[test]
fn keys_read_as_written() {
    let key = TestKey::new("kms/1", 1).verifier;
    let text = key.to_string();
    assert_eq!(VerifierKey::parse(&format!("{text}\n")), Ok(key));
    for bad in [
        "",
        "kms/1",
        &text.replace("kms/1", "kms/2"),
        &text.replace("+", " "),
        &text[..text.len() - 4],
    ] {
        assert!(VerifierKey::parse(bad).is_err(), "{bad:?}");
    }
    for name in ["", "a b", "a+b", "a\u{a0}b", "a\0b"] {
        assert!(VerifierKey::new(name, [0; 32]).is_err(), "{name:?}");
    }
}

#[test]
fn a_history_is_notes_one_behind_the_other() {
    let key = TestKey::new("kms/1", 1);
    let notes: Vec<_> = (1..4)
        .map(|size| signed(&format!("kms/1\n{size}\nroot\n"), &[&key, &key]))
        .collect();
    let history = notes.concat();
    let read = read_notes(&history).unwrap();
    let texts: Vec<_> = read.iter().map(|(text, _)| *text).collect();
    assert_eq!(texts, notes);
    assert!(read_notes("").unwrap().is_empty());
    for cut in [1, notes[0].len() + 3, history.len() - 1] {
        assert!(read_notes(&history[..cut]).is_err(), "{cut}");
    }
}
