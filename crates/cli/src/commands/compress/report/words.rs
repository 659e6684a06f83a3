//! A report in words: its table, and what its columns are.

use comfy_table::{CellAlignment, ContentArrangement, Table, presets};
use kiln_training::comparison::Mean;

use super::measuring::{Measured, Row};
use crate::sizes::bytes;

/// The columns, in order.
pub(super) const COLUMNS: [&str; 11] = [
    "variant",
    "loss",
    "more than the original",
    "perplexity",
    "KL divergence",
    "same likeliest",
    "a token reads",
    "file",
    "memory",
    "tokens/s",
    "front",
];

/// What they are, a paragraph each.
pub(super) const LEGEND: [&str; 5] = [
    "Losses are nats per token over the whole text; ± is a standard error, from how windows of the text differ. \
     How much more it is than that of the original is the mean of differences token by token, whose error is \
     smaller than that of the losses.",
    "The Kullback-Leibler divergence, nats per token, says how far the distribution of each next token is from \
     that of the original; “same likeliest” is the share of tokens before which both hold the same one for the \
     likeliest.",
    "A token reads the matrices that it is multiplied with. The file is that of the weights, and the memory that \
     of all weights while they are read with, without what is remembered of a text. What zeros leave out is not \
     made use of: a pruned matrix takes as many bytes as before.",
    "Tokens a second is the median of several rounds of writing on the processor, one text at a time. The \
     variants are timed one after the other, so nothing else should run meanwhile.",
    "Those on a front are as good as any: none of the others has a lower loss and is smaller (size) or faster \
     (speed).",
];

/// The cells of a row; of one that could not be made, its name alone.
pub(super) fn cells(row: &Row) -> Vec<String> {
    let mut cells = vec![row.variant.clone()];
    if let Some(measured) = &row.measured {
        let Measured { comparison, bytes_a_token, file_bytes, memory_bytes, tokens_per_second, .. } = measured;
        cells.extend([
            with_error(comparison.loss, 4),
            with_error(comparison.difference, 5),
            format!("{:.4}", comparison.evaluation.perplexity),
            with_error(comparison.divergence, 6),
            with_error(comparison.agreement.percent(), 2) + " %",
            bytes(*bytes_a_token),
            bytes(*file_bytes),
            bytes(*memory_bytes),
            format!("{tokens_per_second:.0}"),
            front(measured).to_owned(),
        ]);
    }
    cells
}

/// Which fronts it is on.
pub(super) fn front(measured: &Measured) -> &'static str {
    match (measured.is_on_front_of_size, measured.is_on_front_of_speed) {
        (true, true) => "both",
        (true, false) => "size",
        (false, true) => "speed",
        (false, false) => "",
    }
}

/// Why some variants could not be made.
pub(super) fn problems(rows: &[Row]) -> Vec<String> {
    rows.iter().filter_map(|row| Some(format!("{}: {}", row.variant, row.problem.as_ref()?))).collect()
}

/// What came out of one of them, while others are still to come.
pub(super) fn line(row: &Row) -> String {
    let what = match (&row.measured, &row.problem) {
        (Some(measured), _) => {
            let (loss, speed) = (measured.comparison.loss.mean, measured.tokens_per_second);
            format!("loss {loss:.4}, {}, {speed:.0} tokens/s", bytes(measured.file_bytes))
        }
        (None, problem) => format!("not made: {}", problem.as_deref().unwrap_or_default()),
    };
    format!("{}, {}: {what}", row.model, row.variant)
}

/// The rows of each model, a table each.
pub(super) fn tables(models: &[Vec<Row>]) -> String {
    let mut text = String::new();
    for rows in models {
        let mut table = Table::new();
        table.load_style(presets::ASCII_MARKDOWN).set_content_arrangement(ContentArrangement::Disabled);
        table.set_header(COLUMNS);
        table.add_rows(rows.iter().filter(|row| row.measured.is_some()).map(cells));
        for index in 1..COLUMNS.len() - 1 {
            if let Some(column) = table.column_mut(index) {
                column.set_cell_alignment(CellAlignment::Right);
            }
        }
        let name = rows.first().map_or("", |row| &row.model);
        text += &format!("{name}\n\n{table}\n\n");
        text.extend(problems(rows).into_iter().map(|problem| format!("not made: {problem}\n")));
        text += if problems(rows).is_empty() { "" } else { "\n" };
    }
    text
}

fn with_error(mean: Mean, decimals: usize) -> String {
    let error = mean.standard_error.map_or_else(String::new, |error| format!(" ± {error:.decimals$}"));
    format!("{:.decimals$}{error}", mean.mean)
}
