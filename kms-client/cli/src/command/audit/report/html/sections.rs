//! What stands in each section.

use super::{chart, day, marked, moment, table, text};
use crate::command::audit::report::facts::{Dataset, Events, Facts, ROTATION_DAYS};

/// The section's HTML.
pub(super) fn body(anchor: &str, facts: &Facts) -> String {
    match anchor {
        "verdict" => verdict(facts),
        "keys" => keys(facts),
        "rotation" => rotation(facts),
        "operations" => operations(facts),
        "denials" => denials(facts),
        "people" => people(facts),
        "destruction" => events("Blocked, destroyed, restored, held", &facts.destruction),
        "log" => log(facts),
        _ => controls(facts),
    }
}

fn good(is_good: bool, words: &str) -> String {
    let (class, mark) = if is_good {
        ("good", "\u{2713}")
    } else {
        ("bad", "\u{2717}")
    };
    format!("<span class=\"{class}\"><span aria-hidden=\"true\">{mark}</span> {words}</span>")
}

fn time(time: Option<&String>) -> String {
    time.map_or_else(
        || "-".to_owned(),
        |time| format!("<time>{}</time>", text(&moment(time))),
    )
}

fn verdict(facts: &Facts) -> String {
    let complying = facts.datasets.iter().filter(|one| one.complies).count();
    let of = facts.datasets.len();
    let refused: u64 = facts.days.iter().map(|day| day.refused).sum();
    let done: u64 = facts.days.iter().map(|day| day.done).sum();
    let rotation =
        format!("{complying} of {of} datasets have an active key of at most {ROTATION_DAYS} days");
    let alarms = facts
        .service
        .alarms
        .iter()
        .map(|alarm| good(false, &text(alarm)));
    let mut lines = vec![
        good(
            facts.verdict.holds,
            &format!("The audit log: {}.", text(&facts.verdict.words)),
        ),
        good(complying == of, &format!("Rotation: {rotation}.")),
        good(
            !facts.service.timers_paused,
            if facts.service.timers_paused {
                "Irreversible timers are paused: the clock is in doubt."
            } else {
                "Irreversible timers run."
            },
        ),
        format!(
            "Weakest way to the master key: {}.",
            text(&facts.service.weakest_seal)
        ),
        format!(
            "New keys travel before use: {}.",
            text(&facts.service.key_durability)
        ),
        format!("{done} operations done, {refused} refused in this time."),
    ];
    lines.extend(alarms);
    let lines: String = lines
        .iter()
        .map(|line| format!("<li>{line}</li>\n"))
        .collect();
    format!("<ul class=\"verdict\">\n{lines}</ul>\n{}", proofs(facts))
}

fn proofs(facts: &Facts) -> String {
    let items = facts.proofs.iter().enumerate().map(|(place, proof)| {
        format!(
            "<li id=\"proof-{place}\">Entry {}: {} <span class=\"state\">not checked yet</span></li>\n",
            proof.file.sequence(),
            text(&proof.about)
        )
    });
    let items: String = items.collect();
    format!(
        "<h3>Proofs in this file</h3>\n\
         <p>This file carries entries of the log with their proofs. Where scripts may run, they are checked here and now, with nothing \
         but the public key below; compare that key with the one that you were given. Elsewhere: \
         <code>kms audit verify</code>.</p>\n<p class=\"key\"><code id=\"key\">{}</code></p>\n\
         <p><output id=\"checked\">Not checked: no script has run.</output></p>\n<ol class=\"proofs\">\n{items}</ol>\n",
        text(&facts.public_key)
    )
}

fn keys(facts: &Facts) -> String {
    let rows = facts.datasets.iter().flat_map(|dataset| {
        dataset.versions.iter().map(|version| {
            let mut state = text(&version.state.replace('_', " ").to_lowercase());
            if let Some(reason) = &version.compromised {
                state = format!(
                    "{state}<br>{}",
                    good(false, &format!("compromised: {}", text(reason)))
                );
            }
            vec![
                text(&dataset.name),
                version.number.to_string(),
                state,
                time(version.created.as_ref()),
                version.days.to_string(),
                version.uses.to_string(),
                time(version.last_used.as_ref()),
            ]
        })
    });
    let rows: Vec<_> = rows.collect();
    let head = [
        "dataset",
        "version",
        "state",
        "made",
        "days",
        "uses",
        "last used",
    ];
    table("Keys of all datasets, with age and state", &head, &rows)
}

fn rotation(facts: &Facts) -> String {
    let row = |dataset: &Dataset| {
        let age = dataset
            .active_days
            .map_or_else(|| "no active key".to_owned(), |days| days.to_string());
        let protection = if dataset.deletion_protection {
            "on"
        } else {
            "off"
        };
        vec![
            text(&dataset.name),
            good(
                dataset.complies,
                if dataset.complies {
                    "complies"
                } else {
                    "does not"
                },
            ),
            age,
            dataset.rotation_days.to_string(),
            time(dataset.next_rotation.as_ref()),
            text(&dataset.required_secrets.join(", ")),
            protection.to_owned(),
        ]
    };
    let rows: Vec<_> = facts.datasets.iter().map(row).collect();
    let head = [
        "dataset",
        "90 days",
        "age of the active key",
        "period",
        "next",
        "every wrap names",
        "deletion protection",
    ];
    let ages = facts.datasets.iter().map(|dataset| {
        let days = u64::try_from(dataset.active_days.unwrap_or(0)).unwrap_or(0);
        (dataset.name.clone(), days)
    });
    let ages: Vec<_> = ages.collect();
    let limit = u64::try_from(ROTATION_DAYS).unwrap_or(0);
    chart::bars(
        "Age of each active key in days; the line is 90",
        &ages,
        Some(limit),
    ) + &table("Rotation by dataset", &head, &rows)
}

fn operations(facts: &Facts) -> String {
    let actions = facts.actions.iter().map(|tally| {
        vec![
            text(&tally.name),
            tally.done.to_string(),
            tally.refused.to_string(),
        ]
    });
    let actions: Vec<_> = actions.collect();
    let days = facts.days.iter().map(|day| {
        vec![
            text(&day.day),
            day.done.to_string(),
            day.refused.to_string(),
        ]
    });
    let days: Vec<_> = days.collect();
    chart::days("Operations by day: done, and refused", &facts.days)
        + &table("Operations by day", &["day", "done", "refused"], &days)
        + &table(
            "Operations by action",
            &["action", "done", "refused"],
            &actions,
        )
}

fn denials(facts: &Facts) -> String {
    let rows = facts.denials.iter().map(|row| {
        let who = if row.principal.is_empty() {
            "strangers"
        } else {
            &row.principal
        };
        vec![
            text(who),
            text(&row.action),
            text(&row.dataset),
            text(&row.outcome),
            row.items.to_string(),
            time(row.first.as_ref()),
            time(row.last.as_ref()),
        ]
    });
    let rows: Vec<_> = rows.collect();
    let head = [
        "who", "action", "dataset", "reason", "times", "first", "last",
    ];
    table("What was refused", &head, &rows)
}

fn people(facts: &Facts) -> String {
    let rows = facts.operators.iter().map(|one| {
        vec![
            text(&one.name),
            text(&one.roles.join(", ")),
            text(&one.state),
            one.acts.to_string(),
        ]
    });
    let rows: Vec<_> = rows.collect();
    let head = ["operator", "roles", "state", "entries"];
    "<p>People act only in sessions that a password, an authenticator and a certificate opened.</p>\n".to_owned()
        + &table("Operators", &head, &rows)
        + &sessions(facts)
        + &events("Accounts and second factors", &facts.people)
        + &events("Approvals", &facts.approvals)
}

fn sessions(facts: &Facts) -> String {
    let rows = facts.sessions.iter().map(|row| {
        vec![
            text(&row.principal),
            text(&row.action),
            text(&row.outcome),
            row.items.to_string(),
            time(row.first.as_ref()),
            time(row.last.as_ref()),
        ]
    });
    let rows: Vec<_> = rows.collect();
    let head = [
        "certificate or operator",
        "action",
        "outcome",
        "times",
        "first",
        "last",
    ];
    table("Logins and codes", &head, &rows)
}

fn events(caption: &str, events: &Events) -> String {
    let rows = events.newest.iter().map(|entry| {
        vec![
            entry.sequence().to_string(),
            time(entry.time().map(str::to_owned).as_ref()),
            text(entry.principal()),
            text(entry.what()),
            text(entry.dataset()),
            text(entry.outcome()),
            text(&entry.remarks()),
        ]
    });
    let rows: Vec<_> = rows.collect();
    let head = [
        "entry", "time", "who", "what", "dataset", "outcome", "remarks",
    ];
    let shown = rows.len() as u64;
    let more = if events.count > shown {
        format!("<p>The newest {shown} of {}.</p>\n", events.count)
    } else {
        String::new()
    };
    table(caption, &head, &rows) + &more
}

fn log(facts: &Facts) -> String {
    let heads = facts.checkpoints.newest.iter();
    let rows = heads.map(|head| {
        vec![
            head.entries.to_string(),
            format!("<code>{}</code>", text(&head.root)),
        ]
    });
    let rows: Vec<_> = rows.collect();
    format!(
        "<p>{} entries, {} of them signed; {} checkpoints by {} log keys. Read from the first entry to the last while this report \
         was made.</p>\n<p>{}</p>\n{}",
        facts.service.entries,
        facts.verdict.entries,
        facts.checkpoints.count,
        facts.checkpoints.log_keys,
        good(facts.verdict.holds, &text(&facts.verdict.words)),
        table("The newest checkpoints", &["entries", "root"], &rows),
    )
}

fn controls(facts: &Facts) -> String {
    let rows = facts.controls.iter().map(|control| {
        vec![
            format!("<strong>{}</strong>", text(&control.id)),
            marked(&control.promise),
            marked(&control.mechanism),
            marked(&control.shown_by),
            text(&control.evidence),
        ]
    });
    let rows: Vec<_> = rows.collect();
    let head = [
        "control",
        "promise",
        "mechanism",
        "shown by",
        "in this report",
    ];
    format!(
        "<p>What the CRM promises about security, line by line: what this service does for it, the test that shows it, and what this report \
         says of it. Lines that are the CRM's own duty, or not built yet, say so. As of {}.</p>\n{}",
        text(&day(&facts.made_at)),
        table("Promises and controls", &head, &rows)
    )
}
