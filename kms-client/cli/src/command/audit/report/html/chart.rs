//! Figures as inline SVG: drawn here, so that no script is needed. Each has a title and a description that say what it
//! shows; the numbers stand in a table beside it.

use super::text;
use crate::command::audit::report::facts::Day;

const WIDTH: u64 = 720;
const HEIGHT: u64 = 200;
const LEFT: u64 = 56;
const BOTTOM: u64 = 24;
const TOP: u64 = 12;
/// Height of one bar and the space below it.
const ROW: u64 = 28;
/// Where bars begin, behind their names.
const NAMES: u64 = 180;

/// So much of `length` as `value` is of `most`.
fn scaled(value: u64, most: u64, length: u64) -> u64 {
    let most = u128::from(most.max(1));
    u64::try_from(u128::from(value) * u128::from(length) / most).unwrap_or(length)
}

fn figure(title: &str, description: &str, height: u64, shapes: &str) -> String {
    format!(
        "<figure><svg viewBox=\"0 0 {WIDTH} {height}\" role=\"img\" aria-label=\"{}\">\n<title>{}</title>\n<desc>{}</desc>\n{shapes}</svg>\n\
         <figcaption>{}</figcaption></figure>\n",
        text(title),
        text(title),
        text(description),
        text(title)
    )
}

/// One column for each day: what was done, and on top of it what was refused.
pub(super) fn days(title: &str, days: &[Day]) -> String {
    let most = days
        .iter()
        .map(|day| day.done + day.refused)
        .max()
        .unwrap_or(0);
    if most == 0 {
        return String::new();
    }
    let (plot, ground) = (HEIGHT - BOTTOM - TOP, HEIGHT - BOTTOM);
    let count = days.len() as u64;
    let step = (WIDTH - LEFT) / count.max(1);
    let width = (step * 4 / 5).clamp(1, 48);
    let mut shapes = format!(
        "<line class=\"axis\" x1=\"{LEFT}\" y1=\"{ground}\" x2=\"{WIDTH}\" y2=\"{ground}\"/>\n\
         <text class=\"label end\" x=\"{}\" y=\"{}\">{most}</text>\n<text class=\"label end\" x=\"{}\" y=\"{ground}\">0</text>\n",
        LEFT - 6,
        TOP + 8,
        LEFT - 6,
    );
    for (place, day) in (0_u64..).zip(days) {
        let x = LEFT + place * step + (step.saturating_sub(width)) / 2;
        let done = scaled(day.done, most, plot);
        let refused = scaled(day.refused, most, plot).max(u64::from(day.refused > 0));
        let (y, above) = (ground - done, (ground - done).saturating_sub(refused));
        shapes.push_str(&format!(
            "<g><title>{}: {} done, {} refused</title><rect class=\"done\" x=\"{x}\" y=\"{y}\" width=\"{width}\" height=\"{done}\"/>\
             <rect class=\"refused\" x=\"{x}\" y=\"{above}\" width=\"{width}\" height=\"{refused}\"/></g>\n",
            text(&day.day),
            day.done,
            day.refused
        ));
        // as many dates as there is room for
        if place % (count / 6 + 1) == 0 {
            let middle = x + width / 2;
            let label = day.day.get(5..).unwrap_or_default();
            shapes.push_str(&format!(
                "<text class=\"label middle\" x=\"{middle}\" y=\"{}\">{}</text>\n",
                HEIGHT - 6,
                text(label)
            ));
        }
    }
    let description = format!(
        "{count} days; at most {most} operations on one. The numbers are in the table below."
    );
    figure(title, &description, HEIGHT, &shapes)
}

/// One bar for each name, with a line at `limit`.
pub(super) fn bars(title: &str, bars: &[(String, u64)], limit: Option<u64>) -> String {
    if bars.is_empty() {
        return String::new();
    }
    let longest = bars.iter().map(|(_, value)| *value).chain(limit).max();
    let (most, room) = (longest.unwrap_or(1), WIDTH - NAMES - 60);
    let height = ROW * bars.len() as u64 + 8;
    let mut shapes = String::new();
    for (place, (name, value)) in (0_u64..).zip(bars) {
        let y = place * ROW + 6;
        let (length, over) = (
            scaled(*value, most, room),
            limit.is_some_and(|limit| *value > limit),
        );
        let class = if over { "refused" } else { "done" };
        shapes.push_str(&format!(
            "<text class=\"label end\" x=\"{}\" y=\"{}\">{}</text><rect class=\"{class}\" x=\"{NAMES}\" y=\"{y}\" width=\"{length}\" height=\"{}\"/>\
             <text class=\"label\" x=\"{}\" y=\"{}\">{value}</text>\n",
            NAMES - 8,
            y + 15,
            text(&name.chars().take(24).collect::<String>()),
            ROW - 8,
            NAMES + length + 6,
            y + 15
        ));
    }
    if let Some(limit) = limit {
        let x = NAMES + scaled(limit, most, room);
        shapes.push_str(&format!(
            "<line class=\"limit\" x1=\"{x}\" y1=\"0\" x2=\"{x}\" y2=\"{height}\"/>\n"
        ));
    }
    let values: Vec<_> = bars
        .iter()
        .map(|(name, value)| format!("{name} {value}"))
        .collect();
    figure(title, &values.join(", "), height, &shapes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_hold_their_numbers_and_escape_their_names() {
        let drawn = bars(
            "Ages",
            &[("a<b".to_owned(), 30), ("old".to_owned(), 120)],
            Some(90),
        );
        assert!(
            drawn.contains("a&lt;b") && !drawn.contains("a<b"),
            "{drawn}"
        );
        assert_eq!(drawn.matches("class=\"refused\"").count(), 1);
        let day = |done, refused| Day {
            day: "2026-11-24".to_owned(),
            done,
            refused,
        };
        let drawn = days(
            "Days",
            &[day(10, 0), day(0, 1), day(u64::from(u32::MAX), 5)],
        );
        assert_eq!(drawn.matches("<rect").count(), 6);
        assert!(days("Days", &[]).is_empty() && bars("Bars", &[], None).is_empty());
    }
}
