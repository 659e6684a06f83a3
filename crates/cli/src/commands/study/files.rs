//! What a study leaves behind: figures, numbers, a report.

use std::path::Path;

use anyhow::Context;
use comfy_table::{CellAlignment, ContentArrangement, presets};
use kiln_figures::{Block, Page, Section, Table};
use kiln_storage::{DiskFiles, write_file_atomically};
use kiln_study::{Findings, Study};

use super::shown::{Numbers, Picture, Shown, show};

/// The name of the report.
pub(super) const REPORT: &str = "report.html";

/// What is said above all studies.
const INTRODUCTION: [&str; 2] = [
    "What language models do and why: models are trained, and what theory says of them is measured on them.",
    "Bands and ± are 95 % intervals of means, by Student's distribution over independent repeats: trainings with other \
     first weights and another order of the text, where there are several, else places of the text. Intervals of \
     shares are Clopper and Pearson's. What is called significant is so after Holm's correction for all comparisons of \
     a table.",
];

/// A study that was made.
pub(super) struct Part {
    name: String,
    study: Study,
    shown: Shown,
}

impl Part {
    pub(super) fn new(name: String, study: Study, findings: Findings) -> Self {
        let shown = show(&study, &findings);
        Self { name, study, shown }
    }

    /// For a terminal.
    pub(super) fn words(&self) -> String {
        let mut text = format!("{}\n\n", self.study.title);
        for table in &self.shown.tables {
            text += &format!("{}\n", plain(table));
            if !table.caption.is_empty() {
                text += &format!("{}\n", table.caption);
            }
            text.push('\n');
        }
        text.extend(self.shown.sentences.iter().map(|sentence| format!("- {sentence}\n")));
        text.push('\n');
        text
    }

    /// Writes its files; those of an earlier time are replaced.
    pub(super) fn write(&self, folder: &Path) -> anyhow::Result<()> {
        let save = |ending: &str, bytes: &[u8]| {
            let path = folder.join(format!("{}{ending}", self.name));
            write_file_atomically(&DiskFiles, &path, bytes)
        };
        save(".toml", self.study.to_toml().as_bytes())?;
        for Picture { ending, svg, .. } in &self.shown.pictures {
            save(&format!("-{ending}.svg"), svg.as_bytes())?;
        }
        for numbers in &self.shown.numbers {
            save(&format!("-{}.csv", numbers.ending), &csv(numbers)?)?;
        }
        Ok(())
    }

    fn section(&self) -> Section {
        let mut blocks: Vec<Block> = self.study.explanation.iter().cloned().map(Block::Paragraph).collect();
        blocks.extend(self.shown.sentences.iter().cloned().map(Block::Paragraph));
        let picture =
            |Picture { svg, caption, .. }: &Picture| Block::Picture { svg: svg.clone(), caption: caption.clone() };
        blocks.extend(self.shown.pictures.iter().map(picture));
        blocks.extend(self.shown.tables.iter().cloned().map(Block::Table));
        Section { heading: self.study.title.clone(), blocks }
    }
}

/// Writes the report of all studies.
pub(super) fn write_report(folder: &Path, title: &str, parts: &[Part]) -> anyhow::Result<()> {
    let page = Page {
        title: title.to_owned(),
        introduction: INTRODUCTION.map(str::to_owned).to_vec(),
        sections: parts.iter().map(Part::section).collect(),
    };
    Ok(write_file_atomically(&DiskFiles, &folder.join(REPORT), page.html().as_bytes())?)
}

fn csv(numbers: &Numbers) -> anyhow::Result<Vec<u8>> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.write_record(&numbers.header)?;
    for row in &numbers.rows {
        writer.write_record(row)?;
    }
    writer.into_inner().context("the numbers could not be put together")
}

fn plain(table: &Table) -> comfy_table::Table {
    let mut plain = comfy_table::Table::new();
    plain.load_style(presets::ASCII_MARKDOWN).set_content_arrangement(ContentArrangement::Disabled);
    plain.set_header(&table.header);
    plain.add_rows(&table.rows);
    for index in 1..table.header.len() {
        if let Some(column) = plain.column_mut(index) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    plain
}
