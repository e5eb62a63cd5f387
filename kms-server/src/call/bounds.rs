//! Counts what a request repeats before anything is allocated for it: four megabytes of empty items would
//! otherwise become hundreds. Walks the wire format (protobuf encoding guide) along the descriptor; never
//! builds a message.

use kms_proto::DESCRIPTORS;
use prost::Message as _;
use prost_types::{FileDescriptorSet, field_descriptor_proto as field};
use std::collections::HashMap;

/// Most items of a batch.
const ITEMS_MAX: usize = 1_000;
/// Most entries of any other repeated field or map; the parsers hold the stricter limits.
const REPEATED_MAX: usize = 64;

/// The fields of every message that hold messages, by full name of the message.
#[derive(Debug)]
pub(super) struct Bounds(HashMap<String, HashMap<u32, Field>>);

#[derive(Debug)]
struct Field {
    name: String,
    repeated: bool,
    message: Option<String>,
}

/// A field stands more often than it may, or the bytes are no protobuf.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum OutOfBounds {
    /// The field and how often it may stand.
    Field(String),
    /// Not the wire format.
    Malformed,
}

impl Bounds {
    /// From the descriptor set that the crate kms-proto carries.
    ///
    /// # Errors
    /// When that set does not decode: a broken build.
    pub(super) fn new() -> Result<Self, prost::DecodeError> {
        let set = FileDescriptorSet::decode(DESCRIPTORS)?;
        let mut messages = HashMap::new();
        for file in &set.file {
            for message in &file.message_type {
                let prefix = format!(".{}", file.package());
                collect(&prefix, message, &mut messages);
            }
        }
        Ok(Self(messages))
    }

    /// Checks an encoded `message` (full name with its leading dot).
    ///
    /// # Errors
    /// [`OutOfBounds`].
    pub(super) fn check(&self, message: &str, bytes: &[u8]) -> Result<(), OutOfBounds> {
        let Some(fields) = self.0.get(message) else {
            return Ok(());
        };
        let mut counts: HashMap<u32, usize> = HashMap::new();
        let mut rest = bytes;
        while !rest.is_empty() {
            let key = varint(&mut rest)?;
            let number = u32::try_from(key >> 3).map_err(|_| OutOfBounds::Malformed)?;
            let body = skip(&mut rest, key & 7)?;
            let Some(field) = fields.get(&number) else {
                continue;
            };
            if field.repeated {
                let count = counts.entry(number).or_default();
                *count += 1;
                let most = if field.name == "items" {
                    ITEMS_MAX
                } else {
                    REPEATED_MAX
                };
                if *count > most {
                    return Err(OutOfBounds::Field(field.name.clone()));
                }
            }
            if let (Some(message), Some(body)) = (&field.message, body) {
                self.check(message, body)?;
            }
        }
        Ok(())
    }
}

fn collect(
    prefix: &str,
    message: &prost_types::DescriptorProto,
    into: &mut HashMap<String, HashMap<u32, Field>>,
) {
    let name = format!("{prefix}.{}", message.name());
    for nested in &message.nested_type {
        collect(&name, nested, into);
    }
    let fields = message.field.iter().filter_map(|f| {
        let number = u32::try_from(f.number()).ok()?;
        let message = (f.r#type() == field::Type::Message).then(|| f.type_name().to_owned());
        let field = Field {
            name: f.name().to_owned(),
            repeated: f.label() == field::Label::Repeated,
            message,
        };
        Some((number, field))
    });
    into.insert(name, fields.collect());
}

/// Reads a varint.
pub(super) fn varint(rest: &mut &[u8]) -> Result<u64, OutOfBounds> {
    prost::encoding::decode_varint(rest).map_err(|_| OutOfBounds::Malformed)
}

/// Skips a value; gives the body of a length-delimited one. Groups are refused: proto3 has none.
pub(super) fn skip<'a>(
    rest: &mut &'a [u8],
    wire_type: u64,
) -> Result<Option<&'a [u8]>, OutOfBounds> {
    let len = match wire_type {
        0 => {
            varint(rest)?;
            return Ok(None);
        }
        1 => 8,
        2 => usize::try_from(varint(rest)?).map_err(|_| OutOfBounds::Malformed)?,
        5 => 4,
        _ => return Err(OutOfBounds::Malformed),
    };
    let (body, tail) = rest.split_at_checked(len).ok_or(OutOfBounds::Malformed)?;
    *rest = tail;
    Ok((wire_type == 2).then_some(body))
}

#[cfg(test)]
mod tests {
    use super::*;
    use kms_proto::v1;

    fn check(message: &impl prost::Message, name: &str) -> Result<(), OutOfBounds> {
        Bounds::new().unwrap().check(name, &message.encode_to_vec())
    }

    #[test]
    fn batches_hold_a_thousand_items() {
        let batch = |n| v1::GenerateDataKeysRequest {
            items: vec![v1::GenerateDataKeyRequest::default(); n],
            validate_only: false,
        };
        let name = ".kms.v1.GenerateDataKeysRequest";
        assert_eq!(check(&batch(1_000), name), Ok(()));
        assert_eq!(
            check(&batch(1_001), name),
            Err(OutOfBounds::Field("items".into()))
        );
    }

    #[test]
    fn maps_inside_items_are_counted() {
        let key_context = (0..65).map(|i| (i.to_string(), String::new())).collect();
        let item = v1::GenerateDataKeyRequest {
            key_context,
            ..Default::default()
        };
        let batch = v1::GenerateDataKeysRequest {
            items: vec![item],
            validate_only: false,
        };
        let refused = check(&batch, ".kms.v1.GenerateDataKeysRequest");
        assert_eq!(refused, Err(OutOfBounds::Field("key_context".into())));
    }

    #[test]
    fn no_bytes_make_it_panic() {
        let bounds = Bounds::new().unwrap();
        let whole = v1::GenerateDataKeysRequest {
            items: vec![v1::GenerateDataKeyRequest {
                dataset: "datasets/customers".into(),
                ..Default::default()
            }],
            validate_only: false,
        }
        .encode_to_vec();
        for len in 0..whole.len() {
            for byte in 0..=255 {
                let mut bytes = whole[..len].to_vec();
                bytes.push(byte);
                let _ = bounds.check(".kms.v1.GenerateDataKeysRequest", &bytes);
            }
        }
        let endless = [0x0A, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0x01];
        let refused = bounds.check(".kms.v1.GenerateDataKeysRequest", &endless);
        assert_eq!(refused, Err(OutOfBounds::Malformed));
    }
}
