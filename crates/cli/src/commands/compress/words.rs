//! What was made smaller, and which parts suffer most.

use std::io::Write as _;
use std::path::Path;

use comfy_table::{CellAlignment, ContentArrangement, Table, presets};
use kiln_compression::{Outcome, PartOutcome};
use kiln_models::saved::SavedModel;
use serde_json::json;

use crate::sizes::bytes;

/// Parts of the largest error that are named.
const NAMED: usize = 5;

/// Prints it.
///
/// # Errors
/// Stdout is gone.
pub(super) fn print(
    outcome: &Outcome,
    before: usize,
    saved: &SavedModel,
    folder: &Path,
    as_json: bool,
) -> anyhow::Result<()> {
    let after = saved.model.bytes_of_matrices();
    let mut stdout = std::io::stdout().lock();
    if as_json {
        let what = json!({
            "run": folder.display().to_string(),
            "steps": saved.description.compressed,
            "bytes_a_token_before": before,
            "bytes_a_token": after,
            "zeros": outcome.zeros,
            "ranks": outcome.ranks,
            "parts": outcome.parts,
        });
        return Ok(writeln!(stdout, "{what}")?);
    }
    for step in &saved.description.compressed {
        writeln!(stdout, "{step}")?;
    }
    writeln!(
        stdout,
        "matrices that a token is multiplied with: {} before, {} now, {:.2} times smaller",
        bytes(before as u64),
        bytes(after as u64),
        before as f64 / after.max(1) as f64
    )?;
    if !outcome.zeros.is_empty() {
        let shares = outcome.zeros.iter().map(|(_, share)| *share);
        let (least, most) = shares.fold((1.0_f64, 0.0_f64), |(least, most), share| (least.min(share), most.max(share)));
        writeln!(stdout, "zeros: {:.1} to {:.1} % of the numbers of a matrix", 100.0 * least, 100.0 * most)?;
    }
    if let Some(worst) = outcome.ranks.iter().max_by(|a, b| a.relative_error.total_cmp(&b.relative_error)) {
        let (ranks, name, rank) = (outcome.ranks.len(), &worst.name, worst.rank);
        let error = 100.0 * worst.relative_error;
        writeln!(
            stdout,
            "{ranks} products of two thin matrices; most lost `{name}`: {error:.1} % at a rank of {rank}"
        )?;
    }
    if outcome.parts.is_empty() {
        return Ok(());
    }
    let mut parts: Vec<&PartOutcome> = outcome.parts.iter().collect();
    parts.sort_by(|left, right| right.relative_error.total_cmp(&left.relative_error));
    let shown = parts.len().min(NAMED);
    writeln!(stdout, "\nthe {shown} of {} parts whose outputs changed most:", parts.len())?;
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled);
    table.set_header(["part", "format", "bits a number", "error of its outputs"]);
    for part in &parts[..shown] {
        table.add_row([
            part.name.clone(),
            part.format.name().to_lowercase(),
            format!("{:.2}", part.bytes as f64 * 8.0 / part.elements as f64),
            format!("{:.2} %", 100.0 * part.relative_error),
        ]);
    }
    for column in [2, 3] {
        if let Some(column) = table.column_mut(column) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    Ok(writeln!(stdout, "{table}")?)
}
