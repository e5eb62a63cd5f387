//! Reads the data files beside the test: a line at the margin is a heading, indented lines belong to it, `#` begins
//! a comment.

use std::collections::BTreeMap;

/// Headings and what stands under them.
pub(crate) fn listing(text: &str) -> BTreeMap<String, Vec<String>> {
    let mut all: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut heading = None;
    for line in text.lines() {
        if line.trim().is_empty() || line.starts_with('#') {
            continue;
        }
        if line.starts_with(' ') {
            let heading: &String = heading.as_ref().expect("an indented line before a heading");
            let entry = line.trim().to_owned();
            all.get_mut(heading).unwrap().push(entry);
        } else {
            let name = line.trim().to_owned();
            all.insert(name.clone(), Vec::new());
            heading = Some(name);
        }
    }
    all
}

/// Lines without comments and blank ones.
pub(crate) fn plain(text: &str) -> Vec<String> {
    text.lines()
        .map(str::trim)
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .map(str::to_owned)
        .collect()
}

/// A path of a list names a file, or with a slash at its end a folder.
pub(crate) fn covers(entry: &str, path: &str) -> bool {
    path == entry || (entry.ends_with('/') && path.starts_with(entry))
}
