//! Tables and numbers for people.

use super::speed::Speed;

/// The headings of the columns that [`speed_cells`] fills.
pub(super) const SPEED_HEADINGS: [&str; 6] = ["ms", "fastest to slowest", "GFLOP/s", "of matmul", "GB/s", "of copy"];

/// A table whose first `left` columns are texts and whose others are numbers.
pub(super) fn table(left: usize, headings: &[&str], rows: &[Vec<String>]) -> String {
    let headings: Vec<String> = headings.iter().map(ToString::to_string).collect();
    let all: Vec<&Vec<String>> = std::iter::once(&headings).chain(rows).collect();
    let width = |column: usize| {
        all.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..headings.len()).map(width).collect();
    let mut text = String::new();
    for row in all {
        let cells = row.iter().zip(&widths).enumerate();
        let cells = cells.map(
            |(column, (cell, &width))| {
                if column < left { format!("{cell:width$}") } else { format!("{cell:>width$}") }
            },
        );
        text += cells.collect::<Vec<_>>().join("  ").trim_end();
        text.push('\n');
    }
    text
}

/// The cells below [`SPEED_HEADINGS`].
pub(super) fn speed_cells(speed: &Speed) -> [String; 6] {
    [
        milliseconds(speed.median_milliseconds),
        format!("{} to {}", milliseconds(speed.fastest_milliseconds), milliseconds(speed.slowest_milliseconds)),
        format!("{:.1}", speed.flops_per_second / 1e9),
        percent(speed.matmul_fraction),
        format!("{:.1}", speed.bytes_per_second / 1e9),
        percent(speed.copy_fraction),
    ]
}

/// Three digits or more.
pub(super) fn milliseconds(number: f64) -> String {
    let decimals = match number {
        number if number < 1.0 => 4,
        number if number < 10.0 => 2,
        number if number < 1000.0 => 1,
        _ => 0,
    };
    format!("{number:.decimals$}")
}

pub(super) fn percent(fraction: Option<f64>) -> String {
    fraction.map_or_else(|| "-".to_owned(), |fraction| format!("{:.1} %", 100.0 * fraction))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_stand_left_and_numbers_right() {
        let rows = [vec!["a".to_owned(), "12".to_owned()], vec!["long".to_owned(), "3".to_owned()]];
        assert_eq!(table(1, &["name", "ms"], &rows), "name  ms\na     12\nlong   3\n");
    }

    #[test]
    fn times_have_three_digits_or_more() {
        assert_eq!(
            [0.01234, 1.234, 12.34, 123.4, 1234.4].map(milliseconds),
            ["0.0123", "1.23", "12.3", "123.4", "1234"]
        );
    }
}
