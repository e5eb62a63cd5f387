//! The report as one HTML file: no network, no script but the one that checks proofs, a content security policy that
//! allows exactly its own style and script. Everything that came from elsewhere goes through [`text`].

mod chart;
mod sections;

use super::facts::Facts;
use crate::exit::Failure;
use crate::output;
use data_encoding::BASE64;
use tlog::Digest;

const STYLE: &str = include_str!("html/style.css");
const SCRIPT: &str = include_str!("html/verify.js");

/// Sections: their anchor, and their title.
const SECTIONS: [(&str, &str); 9] = [
    ("verdict", "Verdict"),
    ("keys", "Keys"),
    ("rotation", "Rotation"),
    ("operations", "Operations"),
    ("denials", "Denials"),
    ("people", "People"),
    ("destruction", "Destruction"),
    ("log", "The log"),
    ("controls", "Controls"),
];

/// The whole file.
///
/// # Errors
/// None that can be had with our own types.
pub(super) fn document(facts: &Facts) -> Result<String, Failure> {
    let title = format!(
        "Key management report, {} to {}",
        day(&facts.from),
        day(&facts.to)
    );
    let links = SECTIONS.map(|(anchor, name)| format!("<a href=\"#{anchor}\">{name}</a>"));
    let mut page = format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src '{}'; script-src '{}'; \
         base-uri 'none'; form-action 'none'\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n<title>{title}</title>\n<style>{STYLE}</style>\n</head>\n\
         <body>\n<a class=\"skip\" href=\"#verdict\">Skip to the verdict</a>\n<header>\n<h1>{title}</h1>\n\
         <p>Installation <strong>{}</strong>, made {} with kms {}.{}</p>\n\
         <nav aria-label=\"Sections\">{}</nav>\n</header>\n<main>\n",
        source_hash(STYLE),
        source_hash(SCRIPT),
        text(&facts.service.origin),
        text(&moment(&facts.made_at)),
        text(&facts.service.version),
        if facts.service.development {
            " <strong class=\"bad\">A development instance: everything that unseals it lies beside its data.</strong>"
        } else {
            ""
        },
        links.join("\n"),
    );
    for (anchor, name) in SECTIONS {
        page.push_str(&format!("<section id=\"{anchor}\">\n<h2>{name}</h2>\n"));
        page.push_str(&sections::body(anchor, facts));
        page.push_str("</section>\n");
    }
    let proofs = output::json_line(&serde_json::json!({
        "key": facts.public_key,
        "proofs": facts.proofs,
    }))?;
    // nothing in it may end the element that holds it
    let proofs = proofs.replace('<', "\\u003c");
    page.push_str(&format!(
        "</main>\n<script type=\"application/json\" id=\"proofs\">{proofs}</script>\n<script>{SCRIPT}</script>\n</body>\n</html>\n"
    ));
    Ok(page)
}

/// As a content security policy names an inline source.
fn source_hash(source: &str) -> String {
    let mut digest = Digest::new();
    digest.update(source.as_bytes());
    format!("sha256-{}", BASE64.encode(&digest.finish().0))
}

/// Text where text may stand, attributes included.
fn text(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            c => safe.push(c),
        }
    }
    safe
}

/// Text with `code` in backticks, as docs/controls.md has it.
fn marked(words: &str) -> String {
    let parts = words.split('`').enumerate();
    let parts = parts.map(|(place, part)| match place % 2 {
        1 => format!("<code>{}</code>", text(part)),
        _ => text(part),
    });
    parts.collect()
}

/// `2026-11-24` of a time.
fn day(time: &str) -> String {
    time.chars().take(10).collect()
}

/// A time to the second.
fn moment(time: &str) -> String {
    output::brief(Some(&time.to_owned()))
}

/// A table that scrolls by itself where the page is too narrow, reachable by keyboard. Cells are HTML already.
fn table(caption: &str, head: &[&str], rows: &[Vec<String>]) -> String {
    if rows.is_empty() {
        return format!("<p class=\"none\">{caption}: none.</p>\n");
    }
    let head: String = head
        .iter()
        .map(|name| format!("<th scope=\"col\">{name}</th>"))
        .collect();
    let rows: String = rows
        .iter()
        .map(|cells| {
            let cells: String = cells
                .iter()
                .map(|cell| format!("<td>{cell}</td>"))
                .collect();
            format!("<tr>{cells}</tr>\n")
        })
        .collect();
    format!(
        "<div class=\"scroll\" role=\"region\" aria-label=\"{caption}\" tabindex=\"0\"><table>\n<caption>{caption}</caption>\n\
         <thead><tr>{head}</tr></thead>\n<tbody>\n{rows}</tbody></table></div>\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_from_elsewhere_becomes_markup() {
        let bad = "<script>alert('1')</script>&\"";
        let safe = "&lt;script&gt;alert(&#39;1&#39;)&lt;/script&gt;&amp;&quot;";
        assert_eq!(text(bad), safe);
        assert_eq!(marked("`a<b` c"), "<code>a&lt;b</code> c");
    }

    #[test]
    fn a_table_without_rows_says_so() {
        assert_eq!(
            table("Denials", &["who"], &[]),
            "<p class=\"none\">Denials: none.</p>\n"
        );
    }
}
