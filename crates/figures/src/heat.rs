//! Tables of shades: how much one thing has of another, cell by cell. A cell says what it is where the pointer rests on
//! it, in a browser.

use std::fmt::Write as _;

use super::style::WIDTH;
use super::text::widest;

/// Between panels.
const GUTTER: f64 = 22.0;
/// The size of a panel's title.
const TITLE: u32 = 22;
/// The largest cell.
const LARGEST_CELL: f64 = 44.0;
/// The shade of 1, of which a cell of 0 has none.
const SHADE: [f64; 3] = [0.0, 86.0, 140.0];
/// From dark to light on a terminal.
const LETTERS: [char; 5] = [' ', '░', '▒', '▓', '█'];

/// Rows of cells.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Heat {
    /// Above it.
    pub title: String,
    /// The names of the rows; empty for none.
    pub rows: Vec<String>,
    /// The names of the columns; empty for none.
    pub columns: Vec<String>,
    /// The cells, row by row; nothing where there is none.
    pub cells: Vec<Vec<Option<Cell>>>,
}

/// A cell.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Cell {
    /// How dark it is, from 0 to 1.
    pub share: f64,
    /// A letter or two in it; empty for nothing.
    pub letter: String,
    /// What it says where the pointer rests.
    pub words: String,
}

/// Tables side by side, `columns` in a row, as an SVG file.
pub fn heat_svg(tables: &[Heat], columns: usize, title: &str) -> String {
    let columns = columns.clamp(1, tables.len().max(1));
    let room = (WIDTH - GUTTER * (columns as f64 + 1.0)) / columns as f64;
    let (mut body, mut top) = (String::new(), GUTTER);
    if !title.is_empty() {
        top += 34.0;
        let _ = write!(body, "{}", label(WIDTH / 2.0, 38.0, 26.0, "middle", title));
    }
    for row in tables.chunks(columns) {
        let mut height = 0.0_f64;
        for (index, table) in row.iter().enumerate() {
            let left = GUTTER + index as f64 * (room + GUTTER);
            height = height.max(draw(&mut body, table, left, top, room));
        }
        top += height + GUTTER;
    }
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {top:.0}\" width=\"{WIDTH}\" \
         height=\"{top:.0}\" font-family=\"sans-serif\" fill=\"#1a1a1a\">\
         <rect width=\"100%\" height=\"100%\" fill=\"#ffffff\"/>{body}</svg>"
    )
}

/// Draws a table and gives its height.
fn draw(body: &mut String, table: &Heat, left: f64, top: f64, room: f64) -> f64 {
    let wide = table.cells.iter().map(Vec::len).max().unwrap_or(0).max(1) as f64;
    let names = |names: &[String], size: f64| {
        if names.is_empty() {
            0.0
        } else {
            widest(&names.iter().map(|name| shown(name)).collect::<Vec<_>>(), size as u32) + 6.0
        }
    };
    // The names take the more room the larger the cells are.
    let size_in = |cell: f64| (0.8 * cell).clamp(8.0, 18.0);
    let cell_beside = |cell: f64| ((room - names(&table.rows, size_in(cell))) / wide).min(LARGEST_CELL);
    let cell = cell_beside(cell_beside(LARGEST_CELL));
    let size = size_in(cell);
    let heading = if table.title.is_empty() { 0.0 } else { 30.0 };
    let (left, first) = (left + names(&table.rows, size), top + heading + names(&table.columns, size));
    if heading > 0.0 {
        let _ = write!(body, "{}", label(left, top + 0.8 * f64::from(TITLE), f64::from(TITLE), "start", &table.title));
    }
    for (index, name) in table.columns.iter().enumerate() {
        let x = left + (index as f64 + 0.5) * cell + 0.35 * size;
        let _ = write!(
            body,
            "<text transform=\"translate({x:.1},{:.1}) rotate(-90)\" font-size=\"{size:.0}\">{}</text>",
            first - 4.0,
            escaped(&shown(name))
        );
    }
    for (row, cells) in table.cells.iter().enumerate() {
        let y = first + row as f64 * cell;
        if let Some(name) = table.rows.get(row) {
            let _ = write!(body, "{}", label(left - 5.0, y + 0.5 * cell + 0.35 * size, size, "end", &shown(name)));
        }
        for (column, entry) in cells.iter().enumerate() {
            if let Some(entry) = entry {
                square(body, entry, [left + column as f64 * cell, y, cell]);
            }
        }
    }
    heading + names(&table.columns, size) + table.cells.len() as f64 * cell
}

fn square(body: &mut String, entry: &Cell, [x, y, cell]: [f64; 3]) {
    let share = if entry.share.is_finite() { entry.share.clamp(0.0, 1.0) } else { 0.0 };
    let channel = |full: f64| (255.0 + (full - 255.0) * share).round();
    let [red, green, blue] = SHADE.map(|full| channel(full) as u8);
    let _ = write!(
        body,
        "<rect x=\"{x:.1}\" y=\"{y:.1}\" width=\"{cell:.1}\" height=\"{cell:.1}\" \
         fill=\"#{red:02x}{green:02x}{blue:02x}\" stroke=\"#e4e4e4\"><title>{}</title></rect>",
        escaped(&entry.words)
    );
    if !entry.letter.trim().is_empty() {
        let colour = if share > 0.55 { "#ffffff" } else { "#1a1a1a" };
        let size = 0.7 * cell;
        let _ = write!(
            body,
            "<text x=\"{:.1}\" y=\"{:.1}\" font-size=\"{size:.0}\" text-anchor=\"middle\" fill=\"{colour}\" \
             pointer-events=\"none\">{}</text>",
            x + 0.5 * cell,
            y + 0.5 * cell + 0.35 * size,
            escaped(&shown(&entry.letter))
        );
    }
}

/// The same on a terminal, a letter a cell and two columns wide.
pub fn heat_terminal(table: &Heat) -> String {
    let name = |row: usize| table.rows.get(row).map(|name| shown(name)).unwrap_or_default();
    let wide = (0..table.cells.len()).map(|row| name(row).chars().count()).max().unwrap_or(0);
    let mut text = format!("{}\n", table.title);
    for (row, cells) in table.cells.iter().enumerate() {
        let letter = |cell: &Option<Cell>| match cell {
            Some(cell) => LETTERS[((cell.share.clamp(0.0, 1.0) * 4.999) as usize).min(4)],
            None => ' ',
        };
        let cells: String = cells.iter().map(letter).flat_map(|letter| [letter, letter]).collect();
        let _ = writeln!(text, "{:>wide$} {}", name(row), cells.trim_end());
    }
    text
}

fn label(x: f64, y: f64, size: f64, anchor: &str, text: &str) -> String {
    format!("<text x=\"{x:.1}\" y=\"{y:.1}\" font-size=\"{size:.0}\" text-anchor=\"{anchor}\">{}</text>", escaped(text))
}

/// White space that can be seen.
fn shown(text: &str) -> String {
    let visible = |letter: char| match letter {
        ' ' => '␣',
        '\n' => '⏎',
        '\t' => '⇥',
        letter if letter.is_control() => '?',
        letter => letter,
    };
    text.chars().map(visible).collect()
}

fn escaped(text: &str) -> String {
    let escape = |letter: char| match letter {
        '&' => "&amp;".to_owned(),
        '<' => "&lt;".to_owned(),
        '>' => "&gt;".to_owned(),
        '"' => "&quot;".to_owned(),
        letter if letter.is_control() => " ".to_owned(),
        letter => letter.to_string(),
    };
    text.chars().map(escape).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> Heat {
        let cell = |share: f64| Some(Cell { share, letter: "<".into(), words: format!("{share} & more") });
        Heat {
            title: "a head".into(),
            rows: vec!["a".into(), " ".into()],
            columns: vec!["a".into(), "\n".into()],
            cells: vec![vec![cell(1.0), None], vec![cell(0.5), cell(0.0)]],
        }
    }

    #[test]
    fn a_cell_is_as_dark_as_its_share_and_says_what_it_is() {
        let svg = heat_svg(&[table()], 2, "maps");
        for fill in ["\"#00568c\" stroke", "\"#80abc6\" stroke", "\"#ffffff\" stroke"] {
            assert_eq!(svg.matches(fill).count(), 1, "{fill} in {svg}");
        }
        assert_eq!(svg.matches("<title>0.5 &amp; more</title>").count(), 1);
        assert!(!svg.contains("<<") && svg.contains("⏎") && svg.contains("␣"));
    }

    #[test]
    fn a_terminal_has_a_letter_for_each_fifth() {
        assert_eq!(heat_terminal(&table()), "a head\na ██\n␣ ▒▒\n");
    }
}
