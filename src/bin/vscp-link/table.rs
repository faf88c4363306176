//! Rows with columns.

use std::borrow::Cow;
use std::io::{self, Write};

use crate::failure::{Failure, printable};

/// Characters of a cell that are shown: others wrote it, and each row is as wide as the widest.
const MOST: usize = 256;

/// Prints rows, the first of which has the names of the columns. What others have written into
/// them is made harmless.
pub(crate) fn print<const N: usize>(rows: &[[String; N]]) -> Result<(), Failure> {
    let text = render(rows);
    io::stdout()
        .lock()
        .write_all(text.as_bytes())
        .map_err(Failure::Output)
}

/// The rows as lines.
pub(crate) fn render<const N: usize>(rows: &[[String; N]]) -> String {
    let rows: Vec<[String; N]> = rows
        .iter()
        .map(|row| row.each_ref().map(|cell| printable(&shortened(cell))))
        .collect();
    let width = |at: usize| {
        let cells = rows.iter().map(|row| row[at].chars().count());
        cells.max().unwrap_or(0)
    };
    let widths: [usize; N] = std::array::from_fn(width);
    let mut out = String::new();
    for row in &rows {
        let mut line = String::new();
        for (cell, width) in row.iter().zip(widths) {
            line.push_str(&format!("{cell:<width$}  "));
        }
        out.push_str(line.trim_end());
        out.push('\n');
    }
    out
}

/// A cell, or as much of it as the width of all others can be.
fn shortened(cell: &str) -> Cow<'_, str> {
    match cell.char_indices().nth(MOST) {
        None => Cow::Borrowed(cell),
        Some((end, _)) => Cow::Owned(format!("{}…", &cell[..end])),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_stand_below_each_other() {
        let rows = [["A", "LONG", "C"], ["1", "b", ""], ["22", "\u{1b}", "c"]];
        let rows = rows.map(|row| row.map(str::to_owned));
        assert_eq!(render(&rows), "A   LONG    C\n1   b\n22  \\u{1b}  c\n");
        assert_eq!(render::<2>(&[]), "");
    }

    #[test]
    fn nobody_makes_a_column_as_wide_as_they_like() {
        let rows = [
            ["ä".repeat(100_000), "x".to_owned()],
            ["b".to_owned(), "c".to_owned()],
        ];
        let text = render(&rows);
        assert!(text.starts_with(&("ä".repeat(MOST) + "…  x\n")), "{text}");
        assert!(text.chars().count() < 3 * MOST);
    }
}
