//! Aligned columns, two spaces apart, by the width that a terminal gives each character.

use std::io::{self, Write};

use unicode_width::UnicodeWidthStr;

const GAP: &str = "  ";

/// On which side of its column a text stands.
#[derive(Clone, Copy, PartialEq)]
pub enum Side {
    Left,
    Right,
}

/// Writes `rows` with every column as wide as its widest text. Nothing follows the last text of a line.
pub fn write<const N: usize>(
    out: &mut impl Write,
    indent: &str,
    sides: [Side; N],
    rows: &[[String; N]],
) -> io::Result<()> {
    let width = |column: usize| {
        rows.iter()
            .map(|row| row[column].width())
            .max()
            .unwrap_or(0)
    };
    let widths: [usize; N] = std::array::from_fn(width);
    for row in rows {
        let mut line = String::from(indent);
        for ((text, side), width) in row.iter().zip(sides).zip(widths) {
            if width == 0 {
                continue;
            }
            let padding = " ".repeat(width - text.width());
            let (before, after) = match side {
                Side::Left => ("", padding.as_str()),
                Side::Right => (padding.as_str(), ""),
            };
            line.extend([before, text, after, GAP]);
        }
        writeln!(out, "{}", line.trim_end())?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written<const N: usize>(sides: [Side; N], rows: &[[&str; N]]) -> String {
        let rows: Vec<[String; N]> = rows.iter().map(|row| row.map(String::from)).collect();
        let mut out = Vec::new();
        write(&mut out, " ", sides, &rows).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn columns_are_aligned_on_their_sides() {
        let rows = [["Kites", "2.5"], ["A", "10.0"]];
        assert_eq!(
            written([Side::Left, Side::Right], &rows),
            " Kites   2.5\n A      10.0\n"
        );
    }

    #[test]
    fn wide_characters_take_two_columns_and_marks_none() {
        let rows = [["雪の駅", "1"], ["Señor", "2"], ["Sen\u{303}or", "3"]];
        let expected = " 雪の駅  1\n Señor   2\n Sen\u{303}or   3\n";
        assert_eq!(written([Side::Left, Side::Left], &rows), expected);
    }

    #[test]
    fn empty_columns_vanish() {
        assert_eq!(
            written([Side::Left; 3], &[["a", "", "b"], ["c", "", ""]]),
            " a  b\n c\n"
        );
    }
}
