//! Checks of what the service answered: checksums, lengths, order, and that header and answer agree.

use super::{Decrypted, Rewrapped};
use crate::data_key::{DataKey, GeneratedDataKey, UnwrapRequest, UnwrappedDataKey};
use crate::error::Error;
use crate::wrapped::{BlobKind, Header, WrappedDataKey};
use crc32c::crc32c;
use kms_proto::v1;
use zeroize::Zeroizing;

/// An answer of a batch.
pub(super) trait Item {
    fn reference(&self) -> &str;
    fn take_error(&mut self) -> Option<v1::ItemError>;
}

macro_rules! items {
    ($($message:ident),+) => {$(
        impl Item for v1::$message {
            fn reference(&self) -> &str {
                &self.reference
            }
            fn take_error(&mut self) -> Option<v1::ItemError> {
                self.error.take()
            }
        }
    )+};
}
items!(
    GenerateDataKeyResponse,
    UnwrapDataKeyResponse,
    RewrapResponse
);

/// Adds one answer for each item that was `sent`, whose references go on counting from what is there.
pub(super) fn append<I: Item, T>(
    answers: &mut Vec<Result<T, Error>>,
    sent: usize,
    items: Result<Vec<I>, Error>,
    check: fn(I) -> Result<T, Error>,
) {
    let items = items.and_then(|items| {
        let first = answers.len();
        let ordered = (first..)
            .zip(&items)
            .all(|(index, item)| item.reference() == index.to_string());
        if items.len() == sent && ordered {
            return Ok(items);
        }
        Err(Error::corrupted("the answers are not those of the items"))
    });
    match items {
        Err(error) => answers.extend((0..sent).map(|_| Err(error.clone()))),
        Ok(items) => answers.extend(items.into_iter().map(|mut item| match item.take_error() {
            Some(error) => Err(error.into()),
            None => check(item),
        })),
    }
}

pub(super) fn generated(answer: v1::GenerateDataKeyResponse) -> Result<GeneratedDataKey, Error> {
    let data_key = data_key(&answer.plaintext, answer.plaintext_crc32c)?;
    let wrapped = wrapped_only(answer)?;
    Ok(GeneratedDataKey { data_key, wrapped })
}

pub(super) fn wrapped_only(answer: v1::GenerateDataKeyResponse) -> Result<WrappedDataKey, Error> {
    let bytes = &answer.wrapped_data_key;
    wrapped(bytes, answer.wrapped_data_key_crc32c, answer.version)
}

pub(super) fn unwrapped(answer: v1::UnwrapDataKeyResponse) -> Result<UnwrappedDataKey, Error> {
    Ok(UnwrappedDataKey {
        data_key: data_key(&answer.plaintext, answer.plaintext_crc32c)?,
        dataset: answer.dataset,
        version: answer.version,
        version_active: answer.version_active,
        version_compromised: answer.version_compromised,
    })
}

pub(super) fn rewrapped(
    stored: &UnwrapRequest,
    answer: v1::RewrapResponse,
) -> Result<Rewrapped, Error> {
    let bytes = &answer.wrapped_data_key;
    let wrapped = wrapped(bytes, answer.wrapped_data_key_crc32c, answer.version)?;
    let (old, new) = (stored.wrapped.header(), wrapped.header());
    if (old.key_id, &old.secrets) != (new.key_id, &new.secrets) {
        let message = "the rewrapped data key is of another dataset or of other shred secrets";
        return Err(Error::corrupted(message));
    }
    Ok(Rewrapped {
        wrapped,
        changed: answer.rewrapped,
    })
}

pub(super) fn encrypted(answer: &v1::EncryptResponse) -> Result<Vec<u8>, Error> {
    check_crc(&answer.ciphertext, answer.ciphertext_crc32c)?;
    let header = Header::parse(&answer.ciphertext);
    match header.filter(|header| header.kind == BlobKind::Ciphertext) {
        Some(header) if header.version == answer.version => Ok(answer.ciphertext.to_vec()),
        _ => Err(Error::corrupted("the answer is no ciphertext")),
    }
}

pub(super) fn decrypted(answer: v1::DecryptResponse) -> Result<Decrypted, Error> {
    check_crc(&answer.plaintext, answer.plaintext_crc32c)?;
    Ok(Decrypted {
        plaintext: Zeroizing::new(answer.plaintext.to_vec()),
        dataset: answer.dataset,
        version: answer.version,
        version_active: answer.version_active,
        version_compromised: answer.version_compromised,
    })
}

fn data_key(bytes: &[u8], crc: u32) -> Result<DataKey, Error> {
    check_crc(bytes, crc)?;
    DataKey::from_slice(bytes).ok_or_else(|| Error::corrupted("the answer holds no data key"))
}

fn wrapped(bytes: &[u8], crc: u32, version: u32) -> Result<WrappedDataKey, Error> {
    check_crc(bytes, crc)?;
    match WrappedDataKey::parse(bytes) {
        Ok(wrapped) if wrapped.header().version == version => Ok(wrapped),
        _ => Err(Error::corrupted("the answer holds no wrapped data key")),
    }
}

fn check_crc(bytes: &[u8], crc: u32) -> Result<(), Error> {
    if crc32c(bytes) == crc {
        return Ok(());
    }
    Err(Error::corrupted("the answer was damaged on the way"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ErrorKind;
    use crate::wrapped::tests::header;

    fn answer(index: usize) -> v1::GenerateDataKeyResponse {
        let mut wrapped = header([3; 16], 7, &[]);
        wrapped.resize(crate::wrapped::WRAPPED_LEN, 0);
        v1::GenerateDataKeyResponse {
            plaintext: vec![5; 32].into(),
            plaintext_crc32c: crc32c(&[5; 32]),
            wrapped_data_key_crc32c: crc32c(&wrapped),
            wrapped_data_key: wrapped.into(),
            version: 7,
            reference: index.to_string(),
            error: None,
        }
    }

    #[test]
    fn a_damaged_answer_is_no_key() {
        assert!(generated(answer(0)).is_ok());
        type Damage = fn(&mut v1::GenerateDataKeyResponse);
        let damages: [Damage; 6] = [
            |answer| answer.plaintext = vec![6; 32].into(),
            |answer| answer.plaintext_crc32c ^= 1,
            |answer| answer.wrapped_data_key_crc32c ^= 1,
            |answer| answer.version = 8,
            |answer| {
                answer.plaintext = vec![5; 31].into();
                answer.plaintext_crc32c = crc32c(&[5; 31]);
            },
            |answer| {
                answer.wrapped_data_key = vec![1; 127].into();
                answer.wrapped_data_key_crc32c = crc32c(&[1; 127]);
            },
        ];
        for (index, damage) in damages.into_iter().enumerate() {
            let mut answer = answer(0);
            damage(&mut answer);
            let error = generated(answer).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Corrupted, "{index}");
        }
    }

    #[test]
    fn answers_out_of_order_or_missing_are_nobodys() {
        for items in [vec![answer(1), answer(0)], vec![answer(0)], vec![]] {
            let mut answers = Vec::new();
            append(&mut answers, 2, Ok(items), generated);
            let kinds = answers
                .iter()
                .map(|answer| answer.as_ref().unwrap_err().kind());
            assert_eq!(kinds.collect::<Vec<_>>(), [ErrorKind::Corrupted; 2]);
        }
    }

    #[test]
    fn one_failed_item_leaves_its_neighbours() {
        let mut failed = answer(1);
        failed.error = Some(v1::ItemError {
            code: 9,
            reason: "SUBJECT_ERASED".into(),
            message: "gone".into(),
        });
        let mut answers = Vec::new();
        append(
            &mut answers,
            3,
            Ok(vec![answer(0), failed, answer(2)]),
            generated,
        );
        let kinds: Vec<_> = answers
            .iter()
            .map(|answer| answer.as_ref().err().map(Error::kind))
            .collect();
        assert_eq!(kinds, [None, Some(ErrorKind::Erased), None]);
    }
}
