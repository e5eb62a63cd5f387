//! How deep a text may nest. Cedar's parser and validator recurse, so a text nested without end would take the whole
//! process with it: refused before it is parsed. Measured: what passes here needs less than 1 MiB of stack, and threads
//! have 2.

/// Most brackets inside one another.
pub(crate) const BRACKETS_MAX: usize = 32;
/// Most characters of operators in one policy, an `if` being four: each may stand one deeper than the one before.
pub(crate) const OPERATORS_MAX: usize = 400;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Within {
    Code,
    Text,
    Comment,
}

/// The line, from 1, where `text` nests too deep.
pub(crate) fn too_deep(text: &str) -> Option<usize> {
    let (mut within, mut line) = (Within::Code, 1);
    let (mut brackets, mut operators) = (0_usize, 0_usize);
    let mut bytes = text.bytes().peekable();
    while let Some(byte) = bytes.next() {
        line += usize::from(byte == b'\n');
        match (within, byte) {
            (Within::Text, b'\\') => drop(bytes.next()),
            (Within::Text, b'"') | (Within::Comment, b'\n') => within = Within::Code,
            (Within::Text | Within::Comment, _) => {}
            (Within::Code, b'"') => within = Within::Text,
            (Within::Code, b'/') if bytes.peek() == Some(&b'/') => within = Within::Comment,
            (Within::Code, b';') => (brackets, operators) = (0, 0),
            (Within::Code, b'(' | b'[' | b'{') => brackets += 1,
            (Within::Code, b')' | b']' | b'}') => brackets = brackets.saturating_sub(1),
            (Within::Code, b'i') if bytes.peek() == Some(&b'f') => operators += 4,
            (Within::Code, b'&' | b'|' | b'+' | b'-' | b'*' | b'.' | b'!' | b'<' | b'>' | b'=') => {
                operators += 1;
            }
            (Within::Code, _) => {}
        }
        if brackets > BRACKETS_MAX || operators > OPERATORS_MAX {
            return Some(line);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::too_deep;

    #[test]
    fn what_nests_too_deep_is_named_by_its_line() {
        for open in [
            "(",
            "[",
            "{a: ",
            "if true then 1 else ",
            "true && ",
            "1 + ",
            ".name",
            "\";\" == (",
        ] {
            let nested = format!(
                "permit (principal, action, resource)\nwhen {{ {} }};",
                open.repeat(500)
            );
            assert_eq!(too_deep(&nested), Some(2), "{open}");
        }
    }

    #[test]
    fn strings_comments_and_other_policies_do_not_count() {
        let flat = "// ((((\npermit (principal, action, resource) when { principal.name == \"\\\"((((;\" };\n";
        assert_eq!(too_deep(&flat.repeat(200)), None);
        let listed = format!(
            "permit (principal, action in [{}], resource);",
            "Action::\"Seal\", ".repeat(500)
        );
        assert_eq!(too_deep(&listed), None);
    }
}
