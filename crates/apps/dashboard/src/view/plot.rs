//! Small plots, drawn here as SVG: no script, no style attributes, and a title on every part for those who point at it.

use super::words::count;
use jiff::Timestamp;
use maud::{Markup, html};
use ringback_domain::TrafficPoint;

/// Units of a bar and of the gap after it.
const BAR: usize = 8;
const GAP: usize = 2;
/// Units from the bottom to the top of a plot.
const HEIGHT: u64 = 100;

/// One kind of what is counted in a bar.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Part {
    pub(crate) class: &'static str,
    pub(crate) name: &'static str,
    pub(crate) count: u64,
}

fn parts(point: &TrafficPoint) -> [Part; 3] {
    let traffic = point.traffic;
    [
        Part {
            class: "delivered",
            name: "delivered",
            count: traffic.delivered,
        },
        Part {
            class: "failed",
            name: "failed attempts",
            count: traffic.failed_attempts,
        },
        Part {
            class: "dead",
            name: "dead letters",
            count: traffic.dead_lettered,
        },
    ]
}

fn total(point: &TrafficPoint) -> u64 {
    parts(point).iter().map(|part| part.count).sum()
}

fn sentence(parts: &[Part]) -> String {
    let words: Vec<_> = parts
        .iter()
        .map(|part| format!("{} {}", count(part.count), part.name))
        .collect();
    words.join(", ")
}

/// The next number that reads well on an axis, as its half does.
fn round_up(most: u64) -> u64 {
    let mut step = 1;
    loop {
        for factor in [2, 4, 6, 8, 10, 12, 16] {
            if step * factor >= most {
                return step * factor;
            }
        }
        match u64::checked_mul(step, 10) {
            Some(next) if next < u64::MAX / 16 => step = next,
            _ => return most,
        }
    }
}

/// How much was delivered and how much failed, step by step. `form` is how moments are written on the axis.
pub(crate) fn throughput(name: &str, points: &[TrafficPoint], form: &str) -> Markup {
    let top = round_up(points.iter().map(total).max().unwrap_or(0).max(4));
    let width = points.len().max(1) * (BAR + GAP);
    let at = |index: usize| {
        points
            .get(index)
            .map(|point| point.at.strftime(form).to_string())
    };
    let middle = at(points.len() / 2);
    let last = at(points.len().saturating_sub(1));
    let sums = points.iter().fold([0_u64; 3], |mut sums, point| {
        for (sum, part) in sums.iter_mut().zip(parts(point)) {
            *sum += part.count;
        }
        sums
    });
    let [delivered, failed, dead] = sums.map(count);
    html! {
        figure.stack {
            div.plot {
                div.scale aria-hidden="true" { span { (count(top)) } span { (count(top / 2)) } span { "0" } }
                svg viewBox={ "0 0 " (width) " " (HEIGHT) } preserveAspectRatio="none" role="img" aria-label={
                    (name) ": " (delivered) " delivered, " (failed) " failed attempts, " (dead) " dead letters"
                } {
                    @for line in [0, HEIGHT / 2, HEIGHT] {
                        line.grid x1="0" x2=(width) y1=(line) y2=(line) {}
                    }
                    @for (index, point) in points.iter().enumerate() { (bar(index, point, top, form)) }
                }
                div.axis aria-hidden="true" {
                    span { (at(0).unwrap_or_default()) }
                    span { (middle.unwrap_or_default()) }
                    span { (last.unwrap_or_default()) " UTC" }
                }
            }
            ul.legend {
                @for (class, name, sum) in [
                    ("delivered", "delivered", &delivered), ("failed", "failed attempts", &failed), ("dead", "dead letters", &dead),
                ] {
                    li { span class={ "swatch " (class) } aria-hidden="true" {} (sum) " " (name) }
                }
            }
        }
    }
}

fn bar(index: usize, point: &TrafficPoint, top: u64, form: &str) -> Markup {
    let left = index * (BAR + GAP);
    let mut base = HEIGHT;
    let mut rects = Vec::new();
    for part in parts(point).into_iter().filter(|part| part.count > 0) {
        // What is there is seen, however little it is beside the rest.
        let height = (part.count * HEIGHT / top).max(1).min(base);
        base -= height;
        rects.push((part.class, base, height));
    }
    html! {
        g.bar {
            title { (moment(point.at, form)) " UTC: " (sentence(&parts(point))) }
            rect.catch x=(left) y="0" width=(BAR + GAP) height=(HEIGHT) {}
            @for (class, y, height) in rects {
                rect class=(class) x=(left) y=(y) width=(BAR) height=(height) {}
            }
        }
    }
}

fn moment(at: Timestamp, form: &str) -> String {
    at.strftime(form).to_string()
}

/// The same without words, for a row of a table.
pub(crate) fn spark(points: &[TrafficPoint]) -> Markup {
    let top = points.iter().map(total).max().unwrap_or(0).max(1);
    let width = points.len().max(1) * (BAR + GAP);
    let sums = points.iter().fold([0_u64; 3], |mut sums, point| {
        for (sum, part) in sums.iter_mut().zip(parts(point)) {
            *sum += part.count;
        }
        sums
    });
    let [delivered, failed, dead] = sums.map(count);
    html! {
        svg.spark viewBox={ "0 0 " (width) " " (HEIGHT) } preserveAspectRatio="none" role="img" aria-label={
            (delivered) " delivered, " (failed) " failed attempts, " (dead) " dead letters"
        } {
            @for (index, point) in points.iter().enumerate() { (bar(index, point, top, "%H:%M")) }
        }
    }
}

/// Parts of a whole, beside each other in one bar.
pub(crate) fn shares(parts: &[Part], is_tall: bool) -> Markup {
    const WIDTH: u64 = 1_000;
    let total: u64 = parts.iter().map(|part| part.count).sum();
    let mut left = 0;
    let mut rects = Vec::new();
    for part in parts.iter().filter(|part| part.count > 0) {
        let width = (part.count * WIDTH / total).max(4).min(WIDTH - left);
        rects.push((part, left, width));
        left += width;
    }
    let name = sentence(parts);
    let class = if is_tall { "meter tall" } else { "meter" };
    html! {
        svg class=(class) viewBox="0 0 1000 10" preserveAspectRatio="none" role="img" aria-label=(name) {
            @for (part, x, width) in rects {
                rect class=(part.class) x=(x) y="0" width=(width) height="10" {
                    title { (count(part.count)) " " (part.name) }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_axis_ends_at_a_number_that_reads_well() {
        for (most, top) in [
            (0, 2),
            (3, 4),
            (6, 6),
            (11, 12),
            (13, 16),
            (17, 20),
            (4_999, 6_000),
        ] {
            assert_eq!(round_up(most), top, "{most}");
        }
        assert_eq!(round_up(u64::MAX), u64::MAX);
    }
}
