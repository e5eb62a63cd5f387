//! Finds the project's text and cuts Rust source into what the checks look at: code without comments and strings,
//! code without its tests.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

/// The checkout.
pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

/// One source file.
pub(crate) struct Source {
    /// From the root, with `/`.
    pub(crate) path: String,
    pub(crate) text: String,
    /// The same length and lines, comments and the inside of strings blank.
    pub(crate) code: String,
    /// Lines before the tests at the bottom; all of them when there are none.
    pub(crate) code_lines: usize,
}

impl Source {
    fn new(path: String, text: String) -> Self {
        let code = blank(&text);
        let code_lines = lines_before_tests(&code);
        Self {
            path,
            text,
            code,
            code_lines,
        }
    }

    /// A file that holds nothing but tests, examples or benches.
    pub(crate) fn is_test(&self) -> bool {
        self.path.starts_with("tests/")
            || ["/tests/", "/examples/", "/benches/"]
                .iter()
                .any(|folder| self.path.contains(folder))
            || self.path.ends_with("/tests.rs")
    }

    /// Numbered lines of code, without comments, strings and tests.
    pub(crate) fn lines(&self) -> impl Iterator<Item = (usize, &str)> {
        let end = if self.is_test() { 0 } else { self.code_lines };
        self.code
            .lines()
            .take(end)
            .enumerate()
            .map(|(i, line)| (i + 1, line))
    }
}

/// Every file of the checkout that ends in one of `endings`, in order of path.
pub(crate) fn files(endings: &[&str]) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut folders = vec![root().to_path_buf()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).unwrap() {
            let path: PathBuf = entry.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            if path.is_symlink() {
                continue;
            }
            if path.is_dir() {
                if !(name.starts_with(".git") || name == "target" || name == "kms-dev") {
                    folders.push(path);
                }
            } else if endings.iter().any(|ending| name.ends_with(ending)) {
                let relative = path.strip_prefix(root()).unwrap();
                let text = std::fs::read_to_string(&path).unwrap();
                found.push((relative.to_string_lossy().replace('\\', "/"), text));
            }
        }
    }
    found.sort();
    assert!(!found.is_empty(), "no files with {endings:?}");
    found
}

/// Every Rust file, read once.
pub(crate) fn rust() -> &'static [Source] {
    static ALL: OnceLock<Vec<Source>> = OnceLock::new();
    ALL.get_or_init(|| {
        files(&[".rs"])
            .into_iter()
            .map(|(path, text)| Source::new(path, text))
            .collect()
    })
}

/// One file of the root or of docs/.
pub(crate) fn document(path: &str) -> String {
    std::fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The first line of a module of tests that stands at the file's bottom, or the number of lines.
fn lines_before_tests(code: &str) -> usize {
    let lines: Vec<&str> = code.lines().collect();
    lines
        .windows(2)
        .position(|pair| pair[0] == "#[cfg(test)]" && pair[1].starts_with("mod tests"))
        .unwrap_or(lines.len())
}

/// What the lexer is inside of.
enum Inside {
    Code,
    Line,
    Block(u32),
    Text,
    Raw(usize),
}

/// `text` with comments and the inside of string and character literals made blank; lines stay.
pub(crate) fn blank(text: &str) -> String {
    let chars: Vec<char> = text.chars().collect();
    let at = |i: usize| chars.get(i).copied().unwrap_or('\0');
    let mut out = String::with_capacity(text.len());
    let mut inside = Inside::Code;
    let mut i = 0;
    while i < chars.len() {
        let c = at(i);
        let mut width = 1;
        let mut keep = c == '\n';
        match inside {
            Inside::Code => match c {
                '/' if at(i + 1) == '/' => inside = Inside::Line,
                '/' if at(i + 1) == '*' => (inside, width) = (Inside::Block(1), 2),
                '"' => inside = Inside::Text,
                'r' if !is_word(at(i.wrapping_sub(1))) || at(i.wrapping_sub(1)) == 'b' => {
                    let hashes = (i + 1..).take_while(|&j| at(j) == '#').count();
                    if at(i + 1 + hashes) == '"' {
                        (inside, width) = (Inside::Raw(hashes), hashes + 2);
                    } else {
                        keep = true;
                    }
                }
                '\'' if at(i + 1) == '\\' => {
                    width = 3 + (i + 3..).take_while(|&j| at(j) != '\'').count();
                    width = width.min(chars.len() - i - 1) + 1;
                }
                '\'' if at(i + 2) == '\'' => width = 3,
                _ => keep = true,
            },
            Inside::Line if c == '\n' => inside = Inside::Code,
            Inside::Block(depth) if c == '/' && at(i + 1) == '*' => {
                (inside, width) = (Inside::Block(depth + 1), 2);
            }
            Inside::Block(depth) if c == '*' && at(i + 1) == '/' => {
                width = 2;
                inside = if depth == 1 {
                    Inside::Code
                } else {
                    Inside::Block(depth - 1)
                };
            }
            Inside::Text if c == '\\' && at(i + 1) != '\n' => width = 2,
            Inside::Text if c == '"' => inside = Inside::Code,
            Inside::Raw(n) if c == '"' && (i + 1..=i + n).all(|j| at(j) == '#') => {
                (inside, width) = (Inside::Code, n + 1);
            }
            _ => {}
        }
        if keep {
            out.push(c);
        } else {
            out.extend(std::iter::repeat_n(' ', width));
        }
        i += width;
    }
    out
}

/// Part of a name.
pub(crate) fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// Whether `line` says `name` as a whole: not within a longer name, nor after another's `::`.
pub(crate) fn says(line: &str, name: &str) -> bool {
    line.match_indices(name).any(|(at, _)| {
        // A path from the root, `::name`, is still the name.
        let before = line[..at].strip_suffix("::").map_or(&line[..at], |path| {
            if path.ends_with(|c| is_word(c) || c == '>') {
                &line[..at]
            } else {
                path
            }
        });
        let before = before.chars().next_back().unwrap_or(' ');
        let last = name.chars().next_back().unwrap_or(' ');
        let after = line[at + name.len()..].chars().next().unwrap_or(' ');
        !is_word(before) && before != ':' && !(is_word(last) && is_word(after))
    })
}

#[test]
fn blanking_keeps_code_and_lines() {
    let text = "a(); // b\nlet c = \"d // \\\" e\"; /* f /* g */ h */ i('\"', 'j', '\\n', &'k str);\nr#\"l\"m\"# n";
    let code = blank(text);
    assert_eq!(code.lines().count(), text.lines().count());
    let words: Vec<&str> = code.split_whitespace().collect();
    assert_eq!(words.join(" "), "a(); let c = ; i( , , , &'k str); n");
}

#[test]
fn a_name_is_found_only_as_a_whole() {
    assert!(says("use ring::aead;", "ring::"));
    assert!(!says("String::new()", "ring::"));
    assert!(!says("rustls::crypto::ring::default_provider()", "ring::"));
    assert!(says("x.authorise(y)", "authorise("));
    assert!(says("db: ::sled::Db,", "sled::"));
    assert!(!says("super::sled::SledStore", "sled::"));
    assert!(!says("sledge", "sled"));
}
