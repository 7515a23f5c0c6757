//! Tables, facts and paragraphs in the width there is.
//!
//! A line of a table is a line of the terminal. When there is not room for all, long texts are cut and columns that others
//! can do without are left out, which is said; an id is never cut, so that it can be copied.

use ringback_domain::harmless_text;
use unicode_width::UnicodeWidthStr;

/// Between two columns.
const GAP: usize = 2;
/// Lines of running text are no longer, however wide the terminal is: longer ones are hard to read.
const PARAGRAPH_WIDTH_MAX: usize = 100;
/// Narrower, nothing can be laid out.
const WIDTH_MIN: usize = 40;
/// What goes on under its beginning has this much room at least, wherever that is.
const ROOM_MIN: usize = 16;

/// A column, and how it gives way.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Column {
    name: &'static str,
    /// Characters that must stay, where the text may be cut.
    cut_to: Option<usize>,
    /// Left out when there is no room; the highest first.
    left_out: Option<u8>,
}

/// A column that is always whole.
pub(crate) const fn whole(name: &'static str) -> Column {
    Column {
        name,
        cut_to: None,
        left_out: None,
    }
}

/// A column whose texts may be cut to so many characters.
pub(crate) const fn cut(name: &'static str, cut_to: usize) -> Column {
    Column {
        cut_to: Some(cut_to),
        ..whole(name)
    }
}

impl Column {
    /// Left out when there is no room, those of a higher rank before those of a lower.
    pub(crate) const fn or_left_out(self, rank: u8) -> Self {
        Self {
            left_out: Some(rank),
            ..self
        }
    }
}

impl From<&'static str> for Column {
    fn from(name: &'static str) -> Self {
        whole(name)
    }
}

/// A table without lines, as wide as the terminal at most.
pub(crate) fn table<const COLUMNS: usize>(
    columns: [impl Into<Column>; COLUMNS],
    rows: impl IntoIterator<Item = [String; COLUMNS]>,
) -> String {
    table_within(width(), columns.map(Into::into), rows)
}

fn table_within<const COLUMNS: usize>(
    width: Option<usize>,
    columns: [Column; COLUMNS],
    rows: impl IntoIterator<Item = [String; COLUMNS]>,
) -> String {
    let rows: Vec<_> = rows
        .into_iter()
        .map(|row| row.map(|cell| one_line(&cell)))
        .collect();
    let natural: [usize; COLUMNS] = std::array::from_fn(|index| {
        let cells = rows.iter().map(|row| row[index].width());
        cells
            .chain([columns[index].name.width()])
            .max()
            .unwrap_or(0)
    });
    let (widths, left_out) = fit(&columns, &natural, width.unwrap_or(usize::MAX));
    let line = |cells: [&str; COLUMNS]| {
        let mut line = String::new();
        for (cell, width) in cells.into_iter().zip(&widths) {
            if let Some(width) = *width {
                let shown = shortened(cell, width);
                line.push_str(&shown);
                line.push_str(&" ".repeat(width - shown.width().min(width) + GAP));
            }
        }
        line.trim_end().to_owned()
    };
    let mut lines = vec![line(columns.map(|column| column.name))];
    lines.extend(
        rows.iter()
            .map(|row| line(row.each_ref().map(String::as_str))),
    );
    if !left_out.is_empty() {
        let note = format!("(no room for {}: `-o json` has them)", left_out.join(", "));
        lines.push(wrapped_within(width.unwrap_or(usize::MAX), &note, ""));
    }
    lines.join("\n")
}

/// How wide each column is, and which are left out: those that can be, until the rest can be cut to fit.
fn fit<const COLUMNS: usize>(
    columns: &[Column; COLUMNS],
    natural: &[usize; COLUMNS],
    room: usize,
) -> ([Option<usize>; COLUMNS], Vec<&'static str>) {
    let least: [usize; COLUMNS] = std::array::from_fn(|index| {
        let name = columns[index].name.width();
        let cut_to = columns[index].cut_to.map(|least| least.max(name));
        cut_to.map_or(natural[index], |least| least.min(natural[index]))
    });
    let mut widths = natural.map(Some);
    let mut left_out: Vec<usize> = Vec::new();
    let least_of = |widths: &[Option<usize>; COLUMNS]| -> [Option<usize>; COLUMNS] {
        std::array::from_fn(|index| widths[index].map(|_| least[index]))
    };
    while total(&least_of(&widths)) > room {
        let first = (0..COLUMNS)
            .filter(|index| widths[*index].is_some() && columns[*index].left_out.is_some())
            .max_by_key(|index| columns[*index].left_out);
        let Some(index) = first else { break };
        widths[index] = None;
        left_out.push(index);
    }
    // The widest gives first, so that short texts stay whole.
    while total(&widths) > room {
        let widest = (0..COLUMNS)
            .filter(|index| widths[*index].is_some_and(|width| width > least[*index]))
            .max_by_key(|index| widths[*index]);
        let Some(index) = widest else { break };
        widths[index] = widths[index].map(|width| width - 1);
    }
    left_out.sort_unstable();
    let names = left_out.into_iter().map(|index| columns[index].name);
    (widths, names.collect())
}

fn total(widths: &[Option<usize>]) -> usize {
    let there: Vec<_> = widths.iter().flatten().collect();
    there.iter().copied().sum::<usize>() + GAP * there.len().saturating_sub(1)
}

/// Names and values, one pair a line; what is too long goes on under its beginning.
pub(crate) fn facts<'a>(facts: impl IntoIterator<Item = (&'a str, String)>) -> String {
    facts_within(width(), facts)
}

fn facts_within<'a>(
    width: Option<usize>,
    facts: impl IntoIterator<Item = (&'a str, String)>,
) -> String {
    let facts: Vec<_> = facts.into_iter().collect();
    let names = facts
        .iter()
        .map(|(name, _)| name.width())
        .max()
        .unwrap_or(0)
        + GAP;
    let line = |(name, value): &(&str, String)| {
        let value = behind_within(width, names, value);
        format!("{name:names$}{value}").trim_end().to_owned()
    };
    facts.iter().map(line).collect::<Vec<_>>().join("\n")
}

/// What stands behind a head of this width and goes on under its own beginning, as a fact does.
pub(crate) fn behind(head: usize, text: &str) -> String {
    behind_within(width(), head, text)
}

fn behind_within(width: Option<usize>, head: usize, text: &str) -> String {
    let room = width.map_or(usize::MAX, |width| width.saturating_sub(head).max(ROOM_MIN));
    let text = harmless_text(text.as_bytes());
    let lines = text.lines().flat_map(|line| broken(line, room));
    let lines: Vec<_> = lines.collect();
    lines.join(&format!("\n{}", " ".repeat(head)))
}

/// Running text, each line behind an indent.
pub(crate) fn wrapped(text: &str, indent: &str) -> String {
    let width = width()
        .unwrap_or(PARAGRAPH_WIDTH_MAX)
        .min(PARAGRAPH_WIDTH_MAX);
    wrapped_within(width, text, indent)
}

fn wrapped_within(width: usize, text: &str, indent: &str) -> String {
    let text = harmless_text(text.as_bytes());
    let room = width.saturating_sub(indent.width()).max(WIDTH_MIN);
    let lines = text.lines().flat_map(|line| broken(line, room));
    lines
        .map(|line| format!("{indent}{line}"))
        .collect::<Vec<_>>()
        .join("\n")
}

/// Running text that begins behind a head of this width, and goes on under its own beginning.
pub(crate) fn hanging(text: &str, head: usize) -> String {
    let indent = " ".repeat(head);
    wrapped(text, &indent).trim_start().to_owned()
}

/// Breaks a line between words; a word that is longer than a line stays whole. Blanks within a line stay as they are.
fn broken(line: &str, room: usize) -> Vec<String> {
    if line.width() <= room {
        return vec![line.to_owned()];
    }
    let mut lines = vec![String::new()];
    for word in line.split(' ') {
        let last = lines.last_mut().expect("there is one from the start");
        if last.is_empty() {
            last.push_str(word);
        } else if last.width() + 1 + word.width() <= room {
            last.push(' ');
            last.push_str(word);
        } else {
            lines.push(word.to_owned());
        }
    }
    lines
}

/// A cell's text: nothing in it acts, and it stays on its line.
fn one_line(cell: &str) -> String {
    harmless_text(cell.as_bytes()).replace(['\n', '\t'], " ")
}

/// The beginning of a text that is too wide, and a sign that it goes on.
fn shortened(text: &str, width: usize) -> String {
    if text.width() <= width {
        return text.to_owned();
    }
    let mut kept = String::new();
    for c in text.chars() {
        let next = kept.width() + c.encode_utf8(&mut [0; 4]).width();
        if next + 1 > width {
            break;
        }
        kept.push(c);
    }
    format!("{}…", kept.trim_end())
}

/// How wide a line may be: `COLUMNS` where it is set, else the terminal's width; nothing when nobody looks.
fn width() -> Option<usize> {
    let set = std::env::var("COLUMNS").ok();
    let set = set.and_then(|columns| columns.parse().ok());
    let seen = || terminal_size::terminal_size_of(std::io::stdout());
    let width: Option<usize> = set.or_else(|| seen().map(|(width, _)| width.0.into()));
    width.map(|width| width.max(WIDTH_MIN))
}

#[cfg(test)]
mod tests {
    use super::*;
    use insta::assert_snapshot;

    const LIST: [Column; 4] = [
        whole("ID"),
        cut("TO", 12),
        cut("CAUSE", 8).or_left_out(1),
        whole("SINCE").or_left_out(2),
    ];

    fn list(width: Option<usize>) -> String {
        let row = |id: &str, to: &str, cause: &str| {
            [id, to, cause, "2026-06-01 10:00:00"].map(str::to_owned)
        };
        let rows = [
            row(
                "dlv_0123456789",
                "https://customer.example/a/long/path",
                "503",
            ),
            row("dlv_2", "https://a.example/", "connection refused"),
        ];
        table_within(width, LIST, rows)
    }

    #[test]
    fn a_table_is_as_wide_as_it_needs_to_be_where_there_is_room() {
        assert_snapshot!(list(None), @"
        ID              TO                                    CAUSE               SINCE
        dlv_0123456789  https://customer.example/a/long/path  503                 2026-06-01 10:00:00
        dlv_2           https://a.example/                    connection refused  2026-06-01 10:00:00
        ");
    }

    #[test]
    fn without_room_long_texts_are_cut_and_then_columns_left_out_but_no_id_is_touched() {
        assert_snapshot!(list(Some(80)), @"
        ID              TO                       CAUSE               SINCE
        dlv_0123456789  https://customer.examp…  503                 2026-06-01 10:00:00
        dlv_2           https://a.example/       connection refused  2026-06-01 10:00:00
        ");
        assert_snapshot!(list(Some(50)), @"
        ID              TO                CAUSE
        dlv_0123456789  https://custome…  503
        dlv_2           https://a.examp…  connection refu…
        (no room for SINCE: `-o json` has them)
        ");
        assert_snapshot!(list(Some(30)), @"
        ID              TO
        dlv_0123456789  https://custo…
        dlv_2           https://a.exa…
        (no room for CAUSE, SINCE: `-o json` has
        them)
        ");
        for width in 30..120 {
            let widest = list(Some(width))
                .lines()
                .take(3)
                .map(UnicodeWidthStr::width)
                .max();
            assert!(widest <= Some(width), "{width}");
        }
    }

    #[test]
    fn a_cell_that_holds_lines_or_wide_characters_stays_in_its_place() {
        let rows = [["a\nb\u{1b}[31m", "x"], ["日本語", "y"]].map(|row| row.map(str::to_owned));
        assert_snapshot!(table_within(None, [whole("A"), whole("B")], rows), @r"
        A              B
        a b\u{1b}[31m  x
        日本語         y
        ");
    }

    #[test]
    fn facts_go_on_under_their_beginning_and_no_word_is_broken() {
        let pairs = [
            (
                "why",
                "the profile has no such event type, so that nothing could be made of it"
                    .to_owned(),
            ),
            (
                "url",
                "https://customer.example/a/very/long/path/that/does/not/fit/anywhere".to_owned(),
            ),
        ];
        assert_snapshot!(facts_within(Some(50), pairs), @"
        why  the profile has no such event type, so that
             nothing could be made of it
        url  https://customer.example/a/very/long/path/that/does/not/fit/anywhere
        ");
        assert_snapshot!(wrapped_within(48, "to do: take the secret exactly as it was shown to you", "  "), @"
          to do: take the secret exactly as it was shown
          to you
        ");
    }
}
