//! What a blob says of itself, as it is shown.

use crate::output::{Report, Table, bytes, hex};
use kms_client::file::Condition;
use kms_client::inspect::Inspection;
use kms_client::wrapped::Header;
use serde::Serialize;

/// One blob or file.
#[derive(Debug, Serialize)]
pub(crate) struct InspectionReport {
    kind: &'static str,
    dataset_key_id: String,
    version: u32,
    shred_secrets: Vec<SecretReport>,
    /// Of ciphertexts and files; null when the length fits no file.
    plaintext_bytes: Option<u64>,
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    file: Option<FileReport>,
}

#[derive(Debug, Serialize)]
struct SecretReport {
    kind: &'static str,
    id: String,
}

#[derive(Debug, Serialize)]
struct FileReport {
    file_id: String,
    generation: u64,
    header: &'static str,
    complete: bool,
}

impl From<&Inspection> for InspectionReport {
    fn from(inspection: &Inspection) -> Self {
        match inspection {
            Inspection::DataKey(header) => Self::new("wrapped data key", header, None),
            Inspection::Ciphertext {
                header,
                plaintext_len,
            } => Self::new("ciphertext", header, Some(*plaintext_len)),
            Inspection::Field {
                data_key,
                plaintext_len,
            } => Self::new("encrypted field", data_key, Some(*plaintext_len)),
            Inspection::Stream {
                data_key,
                plaintext_len,
            } => Self::new("encrypted stream", data_key, *plaintext_len),
            Inspection::File(file) => Self {
                file: Some(FileReport {
                    file_id: file.id.to_string(),
                    generation: file.generation,
                    header: condition(file.condition),
                    complete: file.plaintext_len.is_some(),
                }),
                ..Self::new("encrypted file", &file.data_key, file.plaintext_len)
            },
            _ => Self::new("unknown", &NOTHING, None),
        }
    }
}

/// For kinds that a newer library knows.
const NOTHING: Header = Header {
    kind: kms_client::wrapped::BlobKind::Ciphertext,
    key_id: [0; 16],
    version: 0,
    secrets: Vec::new(),
};

const fn condition(condition: Condition) -> &'static str {
    match condition {
        Condition::Sound => "sound",
        Condition::Unfinished => "unfinished rewrap",
        Condition::Damaged(_) => "one slot damaged",
    }
}

impl InspectionReport {
    fn new(kind: &'static str, header: &Header, plaintext_bytes: Option<u64>) -> Self {
        let secrets = header.secrets.iter().map(|secret| SecretReport {
            kind: secret.kind.as_str(),
            id: hex(&secret.id),
        });
        Self {
            kind,
            dataset_key_id: hex(&header.key_id),
            version: header.version,
            shred_secrets: secrets.collect(),
            plaintext_bytes,
            file: None,
        }
    }
}

impl Report for InspectionReport {
    fn table(&self) -> Table {
        let mut table = Table::facts();
        table.fact("kind", self.kind);
        table.fact("dataset key", &self.dataset_key_id);
        table.fact("version", self.version.to_string());
        for secret in &self.shred_secrets {
            table.fact("shred secret", format!("{} {}", secret.kind, secret.id));
        }
        if let Some(len) = self.plaintext_bytes {
            table.fact("plaintext", length(len));
        }
        if let Some(file) = &self.file {
            table.fact("file id", &file.file_id);
            table.fact("wrapped", times(file.generation));
            table.fact("header", file.header);
            if !file.complete {
                table.fact("length", "cut or extended: it will not decrypt");
            }
        }
        table
    }
}

fn length(len: u64) -> String {
    match len {
        ..1_024 => format!("{len} bytes"),
        _ => format!("{len} bytes ({})", bytes(len)),
    }
}

fn times(generation: u64) -> String {
    match generation {
        1 => "once".to_owned(),
        many => format!("{many} times"),
    }
}
