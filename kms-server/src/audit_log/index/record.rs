//! One block's record: between which times its entries lie, and two Bloom filters over what they say; one for who,
//! what and how, one for the keyed hashes of shred secrets, which are many.

use crate::audit_log::reading::Filter;
use kms_core::audit::Outcome;
use kms_core::audit::leaf::Entry;
use kms_core::codec::crc32c;
use kms_core::name::{CallId, KeyId, VersionNumber};
use kms_core::policy::Action;

/// Bytes of a record.
pub(super) const RECORD_LEN: usize = 512;
const FLAGS_AT: usize = 4;
const TIMES_AT: usize = 8;
const LAST_ID_AT: usize = 24;
const FACTS_AT: usize = 32;
const SECRETS_AT: usize = 128;
/// An entry could not be read: the block may hold anything.
const ANYTHING: u8 = 1;
/// Bits that one fact sets.
const FACT_BITS: u64 = 4;
/// Bits that one secret sets.
const SECRET_BITS: u64 = 3;

/// See the module.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Record([u8; RECORD_LEN]);

/// What a filter asks for, hashed once.
#[derive(Debug, Default)]
pub(super) struct Asked {
    facts: Vec<u64>,
    /// One of them is enough.
    secrets: Vec<u64>,
    from: Option<i64>,
    to: Option<i64>,
}

impl Asked {
    /// `None` when it asks for nothing that is indexed.
    pub(super) fn of(filter: &Filter) -> Option<Self> {
        let mut facts = Vec::new();
        facts.extend(filter.principal.map(|id| fact(1, &id.0)));
        facts.extend(filter.dataset.map(|id| fact(2, &id.0)));
        facts.extend(filter.action.map(action_fact));
        facts.extend(filter.outcome.map(outcome_fact));
        if let (Some(id), Some(version)) = (filter.dataset, filter.version) {
            facts.push(version_fact(id, version));
        }
        let secrets = filter
            .secrets
            .iter()
            .flat_map(|secrets| secrets.values().flatten());
        let asked = Self {
            facts,
            secrets: secrets.map(|hash| fact(6, hash)).collect(),
            from: filter.from_time.map(|time| time.as_micros()),
            to: filter.to_time.map(|time| time.as_micros()),
        };
        let asks = !asked.facts.is_empty()
            || filter.secrets.is_some()
            || asked.from.is_some()
            || asked.to.is_some();
        asks.then_some(asked)
    }
}

fn action_fact(action: Action) -> u64 {
    fact(3, &action.number().to_be_bytes())
}

fn outcome_fact(outcome: Outcome) -> u64 {
    match outcome {
        Outcome::Ok => fact(4, &[]),
        Outcome::Refused(reason) => fact(4, &[reason.number()]),
    }
}

fn version_fact(id: KeyId, version: VersionNumber) -> u64 {
    fact(5, &[&id.0[..], &version.get().to_be_bytes()].concat())
}

fn id_mark(id: CallId) -> u64 {
    fact(7, &id.0)
}

/// FNV-1a, then mixed: spreads, and keeps no secret.
fn fact(tag: u8, value: &[u8]) -> u64 {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    for byte in std::iter::once(&tag).chain(value) {
        hash = (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
    }
    hash ^= hash >> 33;
    hash = hash.wrapping_mul(0xff51_afd7_ed55_8ccd);
    hash ^ (hash >> 33)
}

/// The places of a fact among `bits` bits.
fn places(hash: u64, count: u64, bits: usize) -> impl Iterator<Item = usize> {
    let (step, bits) = ((hash >> 32) | 1, bits as u64);
    (0..count).map(move |n| {
        let place = (hash & 0xffff_ffff).wrapping_add(n.wrapping_mul(step)) % bits;
        usize::try_from(place).unwrap_or(0)
    })
}

impl Record {
    /// Of a block without entries.
    pub(super) fn new() -> Self {
        let mut record = Self([0; RECORD_LEN]);
        record.put(TIMES_AT, i64::MAX.to_be_bytes());
        record.put(TIMES_AT + 8, i64::MIN.to_be_bytes());
        record
    }

    fn put<const N: usize>(&mut self, at: usize, bytes: [u8; N]) {
        if let Some(field) = self.0.get_mut(at..at + N) {
            field.copy_from_slice(&bytes);
        }
    }

    fn get<const N: usize>(&self, at: usize) -> [u8; N] {
        let field = self.0.get(at..at + N);
        field
            .and_then(|field| field.try_into().ok())
            .unwrap_or([0; N])
    }

    fn times(&self) -> (i64, i64) {
        let earliest = i64::from_be_bytes(self.get(TIMES_AT));
        (earliest, i64::from_be_bytes(self.get(TIMES_AT + 8)))
    }

    /// Takes an entry in; `None` for one that cannot be read.
    pub(super) fn add(&mut self, entry: Option<&Entry>) {
        let Some(entry) = entry else {
            self.put(FLAGS_AT, [ANYTHING]);
            return;
        };
        let time = entry.prefix.at.time.as_micros();
        let (earliest, latest) = self.times();
        self.put(TIMES_AT, earliest.min(time).to_be_bytes());
        self.put(TIMES_AT + 8, latest.max(time).to_be_bytes());
        self.put(LAST_ID_AT, id_mark(entry.prefix.id).to_be_bytes());
        let version = entry
            .item()
            .and_then(|item| Some((item.dataset?, item.version?)));
        let facts = [
            entry.principal().map(|id| fact(1, &id.0)),
            entry.dataset().map(|id| fact(2, &id.0)),
            entry.action().map(action_fact),
            entry.outcome().map(outcome_fact),
            version.map(|(id, version)| version_fact(id, version)),
        ];
        for hash in facts.into_iter().flatten() {
            self.set(FACTS_AT..SECRETS_AT, hash, FACT_BITS);
        }
        for secret in entry.item().into_iter().flat_map(|item| &item.secrets) {
            self.set(SECRETS_AT..RECORD_LEN, fact(6, secret), SECRET_BITS);
        }
    }

    fn set(&mut self, at: std::ops::Range<usize>, hash: u64, count: u64) {
        let Some(bits) = self.0.get_mut(at) else {
            return;
        };
        for place in places(hash, count, bits.len() * 8) {
            if let Some(byte) = bits.get_mut(place / 8) {
                *byte |= 1 << (place % 8);
            }
        }
    }

    fn has(&self, at: std::ops::Range<usize>, hash: u64, count: u64) -> bool {
        let bits = self.0.get(at).unwrap_or_default();
        places(hash, count, bits.len() * 8).all(|place| {
            bits.get(place / 8)
                .is_some_and(|byte| byte & (1 << (place % 8)) != 0)
        })
    }

    /// Whether an entry of the block may pass.
    pub(super) fn may_hold(&self, asked: &Asked) -> bool {
        if self.get::<1>(FLAGS_AT) == [ANYTHING] {
            return true;
        }
        let (earliest, latest) = self.times();
        asked.from.is_none_or(|from| latest >= from)
            && asked.to.is_none_or(|to| earliest < to)
            && asked
                .facts
                .iter()
                .all(|hash| self.has(FACTS_AT..SECRETS_AT, *hash, FACT_BITS))
            && (asked.secrets.is_empty()
                || asked
                    .secrets
                    .iter()
                    .any(|hash| self.has(SECRETS_AT..RECORD_LEN, *hash, SECRET_BITS)))
    }

    /// Of the last entry's id: tells whether the log still is the one that was indexed.
    pub(super) fn ends_with(&self, id: CallId) -> bool {
        self.get(LAST_ID_AT) == id_mark(id).to_be_bytes()
    }

    /// Its bytes as the record of `block`.
    pub(super) fn finish(mut self, block: u64) -> [u8; RECORD_LEN] {
        let sum = self.checksum(block);
        self.put(0, sum.to_be_bytes());
        self.0
    }

    /// `None` when the bytes are not those that were written for `block`.
    pub(super) fn read(block: u64, bytes: &[u8]) -> Option<Self> {
        let record = Self(bytes.try_into().ok()?);
        (record.get(0) == record.checksum(block).to_be_bytes()).then_some(record)
    }

    fn checksum(&self, block: u64) -> u32 {
        let rest = self.0.get(FLAGS_AT..).unwrap_or_default();
        crc32c(&[&block.to_be_bytes()[..], rest].concat())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use kms_core::audit::leaf::PrincipalId;

    fn asked(principal: u8) -> Asked {
        Asked::of(&Filter {
            principal: Some(PrincipalId([principal; 16])),
            ..Filter::default()
        })
        .unwrap()
    }

    #[test]
    fn what_was_put_in_is_found_and_most_else_is_not() {
        let mut record = Record::new();
        for id in 0..20_u8 {
            record.set(FACTS_AT..SECRETS_AT, fact(1, &[id; 16]), FACT_BITS);
        }
        let found = |id| record.may_hold(&asked(id));
        assert!((0..20).all(found));
        let wrong = (20..=255).filter(|id| found(*id)).count();
        assert!(wrong < 10, "{wrong} of 236 pass for nothing");
    }

    #[test]
    fn a_record_is_of_one_block_and_its_bytes_are_checked() {
        let bytes = Record::new().finish(7);
        assert_eq!(Record::read(7, &bytes).unwrap().finish(7), bytes);
        assert!(Record::read(8, &bytes).is_none());
        for at in [0, 5, 31, 100, 511] {
            let mut bad = bytes;
            bad[at] ^= 1;
            assert!(Record::read(7, &bad).is_none(), "{at}");
        }
        assert!(
            Record::read(0, &[0; RECORD_LEN]).is_none(),
            "zeros are no record"
        );
    }

    #[test]
    fn an_entry_that_cannot_be_read_lets_everything_pass() {
        let mut record = Record::new();
        assert!(!record.may_hold(&asked(1)));
        record.add(None);
        assert!(record.may_hold(&asked(1)));
        assert!(Asked::of(&Filter::default()).is_none());
    }
}
