//! Personal groups: pairs of text that must be able to die before the entry they stand in. At most one in
//! a leaf, bound to it; nobody opens it without its month's key (or, if written while sealed, the intake's).

use super::keys::{LeafKeys, MonthIntake, MonthKeys};
use super::prefix::Prefix;
use crate::cipher::{MessageKey, Undecryptable, label, seal_key};
use crate::codec::{Malformed, Reader, Writer};
use crate::entropy::{Entropy, EntropyUnavailable, make_bytes};
use crate::secret::{DerivedKey, IntakeKey};
use zeroize::Zeroizing;

/// A personal group as it stands in a leaf.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Personal {
    /// There is none.
    None,
    /// There was something to say, and no key to say it under.
    Withheld,
    /// Under a key derived from the month's key and `nonce`.
    Month {
        /// Unique to the leaf.
        nonce: [u8; 16],
        /// A Cobblestone message.
        message: Box<[u8]>,
    },
    /// To the month's public key, while sealed.
    Intake {
        /// First 8 bytes of that public key: which intake it was.
        intake: [u8; 8],
        /// An HPKE message.
        message: Box<[u8]>,
    },
}

/// What a personal group may open with.
#[derive(Debug, Clone, Copy)]
pub enum PersonalKey<'a> {
    /// The key of the leaf's month.
    Month(&'a MonthKeys),
    /// The key of this one leaf.
    Entry(&'a DerivedKey),
    /// The private key of the month's intake, or of the one before there were months'.
    Intake(&'a IntakeKey),
}

/// What a group is bound to: label, kind, call, and the number of the detail (0 for anything else).
pub(super) fn binding(prefix: &Prefix, index: u16) -> Vec<u8> {
    let mut w = Writer::with_capacity(64);
    w.bytes(label::AUDIT_PERSONAL).u8(prefix.kind as u8);
    w.bytes(&prefix.id.0).u16(index).finish()
}

/// Writes the group of `pairs`.
pub(super) fn write<'p>(
    w: &mut Writer,
    prefix: &Prefix,
    index: u16,
    pairs: impl Iterator<Item = (&'p str, &'p str)>,
    keys: LeafKeys<'_>,
    entropy: &dyn Entropy,
) -> Result<(), EntropyUnavailable> {
    let mut pairs = pairs.peekable();
    if pairs.peek().is_none() {
        w.u8(0);
        return Ok(());
    }
    let mut plain = Writer::with_capacity(256);
    for (key, value) in pairs {
        plain.short(key.as_bytes()).short(value.as_bytes());
    }
    let plain = Zeroizing::new(plain.finish());
    let binding = &binding(prefix, index);
    match keys {
        LeafKeys::Missing => {
            w.u8(1);
        }
        LeafKeys::Unsealed(month) => {
            let nonce = make_bytes(entropy)?;
            let key = MessageKey::new(&month.derive_entry_key(&nonce));
            let mut message = Vec::with_capacity(plain.len() + 128);
            key.seal_into(binding, &plain, entropy, &mut message)?;
            w.u8(2).bytes(&nonce).short(&message);
        }
        LeafKeys::Sealed(MonthIntake { public, .. }) => {
            // the only other failure is a public key that is none: the group is then as good as gone
            let message =
                seal_key::encrypt_to(public, label::AUDIT_INTAKE, binding, &plain, entropy)
                    .map_err(|_| EntropyUnavailable)?;
            let (id, _) = public.split_at(8);
            w.u8(3).bytes(id).short(&message);
        }
    }
    Ok(())
}

/// Reads what [`write`] wrote.
pub(super) fn read(r: &mut Reader<'_>) -> Result<Personal, Malformed> {
    match r.u8()? {
        0 => Ok(Personal::None),
        1 => Ok(Personal::Withheld),
        2 => Ok(Personal::Month {
            nonce: r.array()?,
            message: r.short()?.into(),
        }),
        3 => Ok(Personal::Intake {
            intake: r.array()?,
            message: r.short()?.into(),
        }),
        _ => Err(Malformed),
    }
}

impl Personal {
    /// The pairs; empty when there is no group.
    ///
    /// # Errors
    /// [`Undecryptable`] with the wrong sort of key, the wrong key, or damaged bytes.
    pub(super) fn open(
        &self,
        binding: &[u8],
        key: PersonalKey<'_>,
    ) -> Result<Vec<(String, String)>, Undecryptable> {
        let plain = match (self, key) {
            (Self::None | Self::Withheld, _) => return Ok(Vec::new()),
            (Self::Month { nonce, message }, PersonalKey::Month(month)) => {
                MessageKey::new(&month.derive_entry_key(nonce)).open(binding, message)?
            }
            (Self::Month { message, .. }, PersonalKey::Entry(key)) => {
                MessageKey::new(key).open(binding, message)?
            }
            (Self::Intake { message, .. }, PersonalKey::Intake(key)) => {
                seal_key::decrypt_with(key.expose_bytes(), label::AUDIT_INTAKE, binding, message)?
            }
            _ => return Err(Undecryptable),
        };
        read_pairs(&plain).map_err(|_| Undecryptable)
    }
}

fn read_pairs(plain: &[u8]) -> Result<Vec<(String, String)>, Malformed> {
    let mut r = Reader::new(plain);
    let mut pairs = Vec::new();
    while !r.rest().is_empty() {
        pairs.push((r.text()?.to_owned(), r.text()?.to_owned()));
    }
    Ok(pairs)
}
