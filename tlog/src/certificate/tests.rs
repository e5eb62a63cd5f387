//! Chains of log keys, whole and broken.

use super::*;
use crate::tests::signing::{TestKey, certificate, signed};

struct Keys {
    instance: TestKey,
    logs: Vec<TestKey>,
}

fn keys() -> Keys {
    Keys {
        instance: TestKey::new("kms", 1),
        logs: (2..5).map(|seed| TestKey::new("kms/1", seed)).collect(),
    }
}

fn at(size: u64) -> Checkpoint {
    Checkpoint {
        origin: "kms/1".to_owned(),
        size,
        root: Hash([3; 32]),
    }
}

impl Keys {
    /// Keys that take over at 0, 100 and 200.
    fn chain(&self) -> Vec<String> {
        let mut notes = Vec::new();
        for (number, key) in (1..).zip(&self.logs) {
            let text = certificate(number, key, &at((number - 1) * 100)).text();
            let before = number.checked_sub(2).map(|n| usize::try_from(n).unwrap());
            let mut signers = vec![&self.instance];
            signers.extend(before.map(|n| &self.logs[n]));
            notes.push(signed(&text, &signers));
        }
        notes
    }
}

#[test]
fn each_key_signs_in_its_own_term() {
    let keys = keys();
    let chain = Keychain::follow(&keys.instance.verifier, &keys.chain()).unwrap();
    assert_eq!(chain.origin(), "kms/1");
    let allowed = |key: usize, size: u64| {
        let note = signed(&at(size).text(), &[&keys.logs[key]]);
        chain.checkpoint(&note).is_ok()
    };
    let terms: Vec<_> = [0, 99, 100, 101, 200, 201, 9_999]
        .map(|size| [0, 1, 2].map(|key| allowed(key, size)))
        .into();
    assert_eq!(
        terms,
        [
            [true, false, false],
            [true, false, false],
            // both say the same of the size at which one hands over to the other
            [true, true, false],
            [false, true, false],
            [false, true, true],
            [false, false, true],
            [false, false, true],
        ]
    );
}

#[test]
fn a_checkpoint_of_another_log_or_key_does_not_count() {
    let keys = keys();
    let chain = Keychain::follow(&keys.instance.verifier, &keys.chain()).unwrap();
    let mut other = at(5);
    other.origin = "kms/2".to_owned();
    let note = signed(&other.text(), &[&keys.logs[0]]);
    assert!(matches!(
        chain.checkpoint(&note),
        Err(Untrusted::Origin { .. })
    ));
    let foreign = TestKey::new("kms/1", 9);
    let note = signed(&at(5).text(), &[&foreign]);
    assert_eq!(chain.checkpoint(&note), Err(Untrusted::Checkpoint(5)));
    // not even the instance key signs checkpoints
    let note = signed(&at(5).text(), &[&keys.instance]);
    assert_eq!(chain.checkpoint(&note), Err(Untrusted::Checkpoint(5)));
}

#[test]
fn a_broken_chain_is_told() {
    let keys = keys();
    let good = keys.chain();
    let instance = &keys.instance.verifier;
    let follow = |notes: &[String]| Keychain::follow(instance, notes).map(drop);
    assert_eq!(follow(&good), Ok(()));
    assert_eq!(follow(&[]), Err(Untrusted::None));
    assert_eq!(follow(&good[1..]), Err(Untrusted::Broken(1)));
    let gap = [good[0].clone(), good[2].clone()];
    assert!(matches!(follow(&gap), Err(Untrusted::Unsigned(2, _))));
    let stranger = TestKey::new("kms", 9);
    assert!(matches!(
        Keychain::follow(&stranger.verifier, &good),
        Err(Untrusted::Unsigned(1, _))
    ));
    let text = certificate(2, &keys.logs[1], &at(100)).text();
    // without the hand-over of the key before, and without the instance's word
    for signer in [&keys.instance, &keys.logs[0]] {
        let second = signed(&text, &[signer]);
        let found = follow(&[good[0].clone(), second]);
        assert!(matches!(found, Err(Untrusted::Unsigned(2, _))), "{found:?}");
    }
    // an instance of another name does not speak for this origin
    let other = TestKey::new("km", 1);
    let first = signed(&certificate(1, &keys.logs[0], &at(0)).text(), &[&other]);
    let found = Keychain::follow(&other.verifier, &[first]).map(drop);
    assert_eq!(found, Err(Untrusted::Broken(1)));
    // a term cannot begin before the one it follows
    let text = certificate(3, &keys.logs[2], &at(99)).text();
    let early = signed(&text, &[&keys.instance, &keys.logs[1]]);
    let found = follow(&[good[0].clone(), good[1].clone(), early]);
    assert_eq!(found, Err(Untrusted::Broken(3)));
}

#[test]
fn certificates_read_as_written() {
    let keys = keys();
    let certificate = certificate(1, &keys.logs[0], &at(0));
    let text = certificate.text();
    assert_eq!(Certificate::parse(&text), Ok(certificate));
    for bad in [
        "",
        text.trim_end(),
        &format!("{text}more\n"),
        &text.replace("/log-key", ""),
        &text.replace("\n1\n", "\n01\n"),
        &text.replacen("kms/1", "kms/2", 1),
    ] {
        assert!(Certificate::parse(bad).is_err(), "{bad:?}");
    }
}
