//! The one table of the client's labels: each use of a data key has its own. None is a prefix of
//! another, none stands twice, none is one of the service's.

macro_rules! labels {
    ($($(#[$doc:meta])* $name:ident = $text:literal),+ $(,)?) => {
        $($(#[$doc])* pub(crate) const $name: &[u8] = $text.as_bytes();)+

        #[cfg(test)]
        const ALL: &[&[u8]] = &[$($name),+];
    };
}

labels! {
    /// Key of one cell of a row; followed by row id and column.
    ROW_KEY = "kms/v1/client/row-key;",
    /// Context of one cell of a row.
    ROW_CONTEXT = "kms/v1/client/row;",
    /// Key of a field that stands alone.
    FIELD_KEY = "kms/v1/client/field-key;",
    /// Context of a field that stands alone.
    FIELD_CONTEXT = "kms/v1/client/field;",
    /// Key of a stream.
    STREAM_KEY = "kms/v1/client/stream-key;",
    /// Context of a stream.
    STREAM_CONTEXT = "kms/v1/client/stream;",
    /// Key of a file.
    FILE_KEY = "kms/v1/client/file-key;",
    /// Context of a file; followed by file id and item context.
    FILE_CONTEXT = "kms/v1/client/file;",
}

#[cfg(test)]
mod tests {
    use super::ALL;

    #[test]
    fn labels_are_unique_and_prefix_free() {
        for (i, label) in ALL.iter().enumerate() {
            for other in ALL.iter().skip(i + 1) {
                assert!(!label.starts_with(other) && !other.starts_with(label));
            }
        }
    }
}
