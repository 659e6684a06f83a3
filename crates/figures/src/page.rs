//! A report as one HTML page that needs nothing beside itself: no script, no font, no picture from elsewhere. It is
//! complete without any script.

use maud::{DOCTYPE, Markup, PreEscaped, html};

/// What the page looks like on a screen, in the dark, and on paper.
const STYLE: &str = include_str!("page.css");
/// From this many sections on, the page begins with a list of them.
const SECTIONS_TO_LIST: usize = 3;

/// A report.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Page {
    /// The heading of the page, and its name in the browser.
    pub title: String,
    /// Paragraphs before the first section.
    pub introduction: Vec<String>,
    /// The parts, in order; three or more are listed at the top.
    pub sections: Vec<Section>,
}

/// A part of a report.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Section {
    /// Its heading.
    pub heading: String,
    /// What is below the heading, in order.
    pub blocks: Vec<Block>,
}

/// What a section consists of.
#[derive(Debug, Clone, PartialEq)]
pub enum Block {
    /// A paragraph of plain text.
    Paragraph(String),
    /// A table.
    Table(Table),
    /// A picture as [`svg`](super::svg) and [`svg_grid`](super::svg_grid) draw it, which goes into the page as it is.
    Picture {
        /// The drawing.
        svg: String,
        /// The text below the picture, which a screen reader reads in its place.
        caption: String,
    },
    /// A part of the program's own making, which goes into the page as it is.
    Embedded(Embedded),
}

/// HTML with its style and its script. All of it is part of the program, so nothing that a user wrote can be in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Embedded {
    /// What stands in the section.
    pub html: &'static str,
    /// What goes into the style of the page.
    pub style: &'static str,
    /// What runs when the page is there.
    pub script: &'static str,
}

/// Rows of text below a header. Columns of numbers are aligned on their right.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Table {
    /// What is above the table; empty for nothing.
    pub caption: String,
    /// The name of each column.
    pub header: Vec<String>,
    /// The cells, row by row.
    pub rows: Vec<Vec<String>>,
}

impl Page {
    /// The page as a file.
    pub fn html(&self) -> String {
        let page = html! {
            (DOCTYPE)
            html lang="en" {
                head {
                    meta charset="utf-8";
                    meta name="viewport" content="width=device-width, initial-scale=1";
                    title { (self.title) }
                    style { (PreEscaped(STYLE)) @for part in self.embedded() { (PreEscaped(part.style)) } }
                }
                body {
                    main {
                        h1 { (self.title) }
                        @for paragraph in &self.introduction { p { (paragraph) } }
                        @if self.sections.len() >= SECTIONS_TO_LIST { (contents(&self.sections)) }
                        @for (index, section) in self.sections.iter().enumerate() {
                            section id=(identifier(index)) {
                                h2 { (section.heading) }
                                @for block in &section.blocks { (block.html()) }
                            }
                        }
                    }
                    @for part in self.embedded() { script { (PreEscaped(part.script)) } }
                }
            }
        };
        page.into_string()
    }

    fn embedded(&self) -> impl Iterator<Item = &Embedded> {
        self.sections.iter().flat_map(|section| &section.blocks).filter_map(|block| match block {
            Block::Embedded(part) => Some(part),
            _ => None,
        })
    }
}

fn contents(sections: &[Section]) -> Markup {
    html! {
        nav aria-label="Sections" {
            ol {
                @for (index, section) in sections.iter().enumerate() {
                    li { a href={ "#" (identifier(index)) } { (section.heading) } }
                }
            }
        }
    }
}

/// What links call a section.
fn identifier(index: usize) -> String {
    format!("section-{}", index + 1)
}

impl Block {
    fn html(&self) -> Markup {
        match self {
            Self::Paragraph(text) => html! { p { (text) } },
            Self::Table(table) => table.html(),
            Self::Embedded(part) => PreEscaped(part.html.to_owned()),
            Self::Picture { svg, caption } => html! {
                figure {
                    div.picture role="img" aria-label=(caption) { (PreEscaped(inline(svg))) }
                    figcaption { (caption) }
                }
            },
        }
    }
}

/// A drawing inside of HTML, where it has no namespace of its own.
fn inline(svg: &str) -> String {
    svg.replacen(" xmlns=\"http://www.w3.org/2000/svg\"", "", 1)
}

impl Table {
    fn html(&self) -> Markup {
        let columns = self.rows.iter().map(Vec::len).chain([self.header.len()]).max().unwrap_or(0);
        let classes: Vec<_> = (0..columns).map(|column| self.is_numeric(column).then_some("number")).collect();
        html! {
            div.table {
                table {
                    @if !self.caption.is_empty() { caption { (self.caption) } }
                    thead {
                        tr {
                            @for (cell, class) in self.header.iter().zip(&classes) {
                                th scope="col" class=[*class] { (cell) }
                            }
                        }
                    }
                    tbody {
                        @for row in &self.rows {
                            tr { @for (cell, class) in row.iter().zip(&classes) { td class=[*class] { (cell) } } }
                        }
                    }
                }
            }
        }
    }

    /// Whether a column has numbers and nothing else.
    fn is_numeric(&self, column: usize) -> bool {
        let mut cells = self.rows.iter().filter_map(|row| row.get(column)).filter(|cell| !cell.is_empty()).peekable();
        cells.peek().is_some() && cells.all(|cell| is_number(cell))
    }
}

fn is_number(cell: &str) -> bool {
    let number = cell.trim_start_matches(['-', '−', '+', '<', '≤', '≈', ' ']);
    number.starts_with(|character: char| character.is_ascii_digit())
        && !number.contains(|character: char| character.is_alphabetic() && character != 'e')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page() -> Page {
        let block = Block::Table(Table {
            caption: "<script>3</script>".into(),
            header: vec!["<script>4</script>".into(), "count".into()],
            rows: vec![vec!["<script>5</script>".into(), "−1.5".into()], vec!["b".into(), "≤ 2e-3".into()]],
        });
        let chart = super::super::Chart {
            title: "<script>8</script>".into(),
            x: super::super::Axis::linear("x"),
            y: super::super::Axis::linear("y"),
            series: vec![],
            note: None,
        };
        let picture = Block::Picture { svg: super::super::svg(&chart), caption: "\"<script>6</script>".into() };
        let blocks = vec![Block::Paragraph("<script>7</script>".into()), block, picture];
        Page {
            title: "<script>1</script> & more".into(),
            introduction: vec!["<script>2</script>".into()],
            sections: vec![Section { heading: "<script>9</script>".into(), blocks }; 3],
        }
    }

    #[test]
    fn all_text_is_escaped() {
        let html = page().html();
        assert!(!html.contains("<script"), "{html}");
        for number in 1..=9 {
            assert!(html.contains(&format!("&lt;script&gt;{number}&lt;/script&gt;")), "{number}");
        }
        assert!(html.contains("<title>&lt;script&gt;1&lt;/script&gt; &amp; more</title>"));
        assert!(html.contains("aria-label=\"&quot;&lt;script&gt;6"));
    }

    #[test]
    fn nothing_is_fetched_from_elsewhere() {
        let html = page().html();
        for resource in ["http", "src=", "@import", "url(", "<link"] {
            assert!(!html.contains(resource), "{resource}");
        }
    }

    #[test]
    fn links_lead_to_sections() {
        let html = page().html();
        for section in 1..=3 {
            assert!(html.contains(&format!("href=\"#section-{section}\"")));
            assert_eq!(html.matches(&format!("id=\"section-{section}\"")).count(), 1);
        }
        assert!(!Page { sections: vec![], ..page() }.html().contains("<nav"));
    }

    #[test]
    fn an_embedded_part_brings_its_style_and_its_script() {
        let part = Embedded { html: "<i id=\"part\"></i>", style: "#part { color: red }", script: "go()" };
        let blocks = vec![Block::Embedded(part)];
        let html = Page { sections: vec![Section { heading: "one".into(), blocks }], ..page() }.html();
        for (before, after) in [
            ("#part { color: red }</style>", "</head>"),
            ("<h2>one</h2><i id=\"part\"></i>", "</section>"),
            ("<script>go()</script>", "</body>"),
        ] {
            let rest = html.split_once(before).unwrap_or_else(|| panic!("{before} is not in {html}")).1;
            assert!(rest.starts_with(after) || rest.contains(after), "{after} does not follow {before}");
        }
    }

    #[test]
    fn columns_of_numbers_are_aligned() {
        let html = page().html();
        assert!(html.contains("<td class=\"number\">−1.5</td>"), "{html}");
        assert!(html.contains("<td>b</td>"));
    }
}
