//! Keys from passphrases: Argon2id (RFC 9106, version 0x13). Never chooses when to hash: callers bound
//! how many run at once and how often one may try.
//!
//! The cost is stored beside what it protects, so it is read from files that others can write: a
//! [`Cost`] outside the bounds cannot be made.

use crate::codec::{Malformed, Reader, Writer};
use crate::secret::DerivedKey;
use argon2::{Algorithm, Argon2, Params, Version};

/// Bytes of a salt.
pub const SALT_LEN: usize = 16;

/// Most memory that a stored cost may ask for, in KiB: 1 GiB.
pub const MAX_MEMORY_KIB: u32 = 1024 * 1024;

/// Least memory, in KiB: 8 MiB.
pub const MIN_MEMORY_KIB: u32 = 8 * 1024;

/// Most passes over the memory.
pub const MAX_PASSES: u32 = 16;

/// Most lanes.
pub const MAX_LANES: u32 = 16;

/// What one guess costs: memory in KiB, passes over it, lanes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cost {
    memory_kib: u32,
    passes: u32,
    lanes: u32,
}

/// There is not enough memory for this cost.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not enough memory to derive a key from the passphrase")]
pub struct OutOfMemory;

impl Cost {
    /// Passwords of operators: 64 MiB, 3 passes, 4 lanes.
    pub const OPERATOR: Self = Self::fixed(64 * 1024, 3, 4);
    /// Passphrases that people think of and type: 256 MiB, 4 passes, 4 lanes.
    pub const TYPED: Self = Self::fixed(256 * 1024, 4, 4);
    /// Passphrases that a machine made from at least 128 random bits: 8 MiB, 1 pass, 1 lane.
    pub const GENERATED: Self = Self::fixed(8 * 1024, 1, 1);

    const fn fixed(memory_kib: u32, passes: u32, lanes: u32) -> Self {
        Self {
            memory_kib,
            passes,
            lanes,
        }
    }

    /// Memory in KiB ([`MIN_MEMORY_KIB`] to [`MAX_MEMORY_KIB`]), passes (1 to [`MAX_PASSES`]) and lanes
    /// (1 to [`MAX_LANES`]); `None` outside these bounds.
    #[must_use]
    pub fn new(memory_kib: u32, passes: u32, lanes: u32) -> Option<Self> {
        let within = (MIN_MEMORY_KIB..=MAX_MEMORY_KIB).contains(&memory_kib)
            && (1..=MAX_PASSES).contains(&passes)
            && (1..=MAX_LANES).contains(&lanes);
        within.then_some(Self::fixed(memory_kib, passes, lanes))
    }

    /// Memory in KiB.
    #[must_use]
    pub const fn memory_kib(self) -> u32 {
        self.memory_kib
    }

    /// Writes 12 bytes: memory, passes, lanes, four each.
    pub fn encode(self, out: &mut Writer) {
        out.u32(self.memory_kib).u32(self.passes).u32(self.lanes);
    }

    /// Reads what [`Cost::encode`] writes.
    ///
    /// # Errors
    /// [`Malformed`] when bytes are missing or a bound is broken.
    pub fn decode(bytes: &mut Reader<'_>) -> Result<Self, Malformed> {
        Self::new(bytes.u32()?, bytes.u32()?, bytes.u32()?).ok_or(Malformed)
    }
}

/// The key that `passphrase` and `salt` give at this cost. Takes `cost.memory_kib()` of memory and, at
/// [`Cost::TYPED`], about a second: never on a thread that serves calls.
///
/// # Errors
/// [`OutOfMemory`].
pub fn derive_key(
    passphrase: &[u8],
    salt: &[u8; SALT_LEN],
    cost: Cost,
) -> Result<DerivedKey, OutOfMemory> {
    let mut key = [0; 32];
    argon2id(passphrase, salt, cost, &mut key)?;
    Ok(DerivedKey::take_bytes(&mut key))
}

/// Argon2id without bounds on the cost, for known answers.
pub(super) fn argon2id(
    passphrase: &[u8],
    salt: &[u8],
    cost: Cost,
    out: &mut [u8; 32],
) -> Result<(), OutOfMemory> {
    let params = Params::new(cost.memory_kib, cost.passes, cost.lanes, Some(out.len()))
        .map_err(|_| OutOfMemory)?;
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
        .hash_password_into(passphrase, salt, out)
        .map_err(|_| OutOfMemory)
}

/// A cost below the bounds, for known answers only.
pub(super) const fn unbounded_cost(memory_kib: u32, passes: u32, lanes: u32) -> Cost {
    Cost::fixed(memory_kib, passes, lanes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use argon2::{AssociatedData, ParamsBuilder};

    /// RFC 9106, section 5.3: the crate's Argon2id with secret and associated data.
    #[test]
    fn rfc_9106_vector() {
        let params = ParamsBuilder::new()
            .m_cost(32)
            .t_cost(3)
            .p_cost(4)
            .data(AssociatedData::new(&[4; 12]).unwrap())
            .build()
            .unwrap();
        let argon =
            Argon2::new_with_secret(&[3; 8], Algorithm::Argon2id, Version::V0x13, params).unwrap();
        let mut tag = [0; 32];
        argon
            .hash_password_into(&[1; 32], &[2; 16], &mut tag)
            .unwrap();
        assert_eq!(
            crate::codec::hex(&tag),
            "0d640df58d78766c08c037a34a8b53c9d01ef0452d75b65eb52520e96b01e659"
        );
    }

    /// Vectors of the reference implementation (phc-winner-argon2, test.c).
    #[test]
    fn reference_vectors() {
        for (memory, passes, lanes, answer) in [
            (
                256,
                2,
                1,
                "9dfeb910e80bad0311fee20f9c0e2b12c17987b4cac90c2ef54d5b3021c68bfe",
            ),
            (
                256,
                2,
                2,
                "6d093c501fd5999645e0ea3bf620d7b8be7fd2db59c20d9fff9539da2bf57037",
            ),
            (
                65_536,
                2,
                1,
                "09316115d5cf24ed5a15a31a3ba326e5cf32edc24702987c02b6566f61913cf7",
            ),
        ] {
            let mut key = [0; 32];
            argon2id(
                b"password",
                b"somesalt",
                unbounded_cost(memory, passes, lanes),
                &mut key,
            )
            .unwrap();
            assert_eq!(crate::codec::hex(&key), answer, "m={memory} p={lanes}");
        }
    }

    #[test]
    fn a_stored_cost_out_of_bounds_is_refused() {
        for (memory, passes, lanes) in [
            (MIN_MEMORY_KIB - 1, 1, 1),
            (MAX_MEMORY_KIB + 1, 1, 1),
            (64 * 1024 * 1024, 4, 4),
            (MIN_MEMORY_KIB, 0, 1),
            (MIN_MEMORY_KIB, MAX_PASSES + 1, 1),
            (MIN_MEMORY_KIB, 1, 0),
            (MIN_MEMORY_KIB, 1, MAX_LANES + 1),
        ] {
            let mut bytes = Writer::default();
            Cost::fixed(memory, passes, lanes).encode(&mut bytes);
            assert_eq!(
                Cost::decode(&mut Reader::new(&bytes.finish())),
                Err(Malformed)
            );
        }
    }

    #[test]
    fn the_three_strengths_are_within_bounds_and_as_decided() {
        for (cost, memory, passes, lanes) in [
            (Cost::OPERATOR, 65_536, 3, 4),
            (Cost::TYPED, 262_144, 4, 4),
            (Cost::GENERATED, 8_192, 1, 1),
        ] {
            assert_eq!(Cost::new(memory, passes, lanes), Some(cost));
            let mut bytes = Writer::default();
            cost.encode(&mut bytes);
            assert_eq!(Cost::decode(&mut Reader::new(&bytes.finish())), Ok(cost));
        }
    }

    #[test]
    fn every_input_changes_the_key() {
        let key = |passphrase: &[u8], salt: [u8; SALT_LEN], cost| {
            *derive_key(passphrase, &salt, cost).unwrap().expose_bytes()
        };
        let base = key(b"one", [1; 16], Cost::GENERATED);
        assert_eq!(base, key(b"one", [1; 16], Cost::GENERATED));
        assert_ne!(base, key(b"two", [1; 16], Cost::GENERATED));
        assert_ne!(base, key(b"one", [2; 16], Cost::GENERATED));
        assert_ne!(base, key(b"one", [1; 16], Cost::new(8_192, 2, 1).unwrap()));
    }
}
