//! Numbers packed into fewer bits.

mod factor;
mod gptq;
mod rounding;

use std::collections::{BTreeMap, BTreeSet};

use kiln_models::{InputSums, LanguageModel, Matrix, Sums};
use kiln_packed::Format;

use crate::calibration::Calibration;
use crate::config::{Method, QuantizeConfig};
use crate::error::CompressionError;
use crate::outcome::{PartOutcome, Stage};
use rounding::{error_of, rounded};

/// Packs all matrices.
///
/// With GPTQ the model is calibrated block by block: the inputs of a block are those that the packed blocks before it
/// make.
pub(crate) fn quantize(
    model: &mut LanguageModel,
    config: &QuantizeConfig,
    calibration: &Calibration,
    proceed: &mut dyn FnMut(Stage<'_>) -> bool,
) -> Result<Vec<PartOutcome>, CompressionError> {
    let formats = formats(model, config)?;
    let (what, sums) = match config.method {
        Method::Nearest => ("rounding to the nearest", None),
        Method::Importance => ("rounding by importance", Some(Sums::Squares)),
        Method::Gptq => ("GPTQ", Some(Sums::Products)),
    };
    if sums.is_some() && calibration.is_empty() {
        return Err(CompressionError::NoCalibration { what });
    }
    let mut outcomes = Vec::new();
    let all = formats.len();
    for names in stages(model, config.method) {
        let mut seen = match sums {
            Some(sums) => calibration.observe(model, &names, sums)?,
            None => BTreeMap::new(),
        };
        for mut matrix in model.matrices().into_iter().filter(|matrix| names.contains(&matrix.name)) {
            if !proceed(Stage { what, done: outcomes.len(), all }) {
                return Err(CompressionError::Stopped);
            }
            let format = formats[&matrix.name];
            let seen = seen.remove(&matrix.name);
            outcomes.push(pack(&mut matrix, format, config.method, seen)?);
        }
    }
    Ok(outcomes)
}

fn pack(
    matrix: &mut Matrix<'_>,
    format: Format,
    method: Method,
    seen: Option<InputSums>,
) -> Result<PartOutcome, CompressionError> {
    let numbers = matrix.rows();
    let [_, inputs] = matrix.sizes();
    // A table that isn't the head too is multiplied with nothing.
    let seen = seen.filter(|seen| seen.tokens > 0);
    let packed = match (&seen, method) {
        (Some(seen), Method::Gptq) if !format.is_float() => gptq::packed(format, inputs, &numbers, seen)?,
        (Some(seen), _) if !format.is_float() => rounded(format, inputs, &numbers, Some(&seen.squares))?,
        _ => rounded(format, inputs, &numbers, None)?,
    };
    let outcome = PartOutcome {
        name: matrix.name.clone(),
        format,
        elements: numbers.len(),
        bytes: packed.bytes(),
        relative_error: error_of(&packed, &numbers, seen.as_ref())?,
    };
    matrix.pack(packed)?;
    Ok(outcome)
}

/// Which matrices are observed together.
fn stages(model: &mut LanguageModel, method: Method) -> Vec<BTreeSet<String>> {
    let names = model.matrices().into_iter().map(|matrix| matrix.name);
    if method != Method::Gptq {
        return vec![names.collect()];
    }
    // The table first, if it is only looked up; blocks in their order; then the head, which may be the table.
    let mut stages: Vec<(String, BTreeSet<String>)> = Vec::new();
    let mut last = BTreeSet::new();
    for name in names {
        let mut parts = name.split('.');
        let block = match (parts.next(), parts.next()) {
            (Some("blocks" | "layers"), Some(index)) => index.to_owned(),
            _ => {
                last.insert(name);
                continue;
            }
        };
        match stages.last_mut().filter(|(known, _)| *known == block) {
            Some((_, names)) => _ = names.insert(name),
            None => stages.push((block, BTreeSet::from([name]))),
        }
    }
    stages.into_iter().map(|(_, names)| names).chain([last]).collect()
}

/// The format of each matrix.
fn formats(model: &mut LanguageModel, config: &QuantizeConfig) -> Result<BTreeMap<String, Format>, CompressionError> {
    let general = config.format().unwrap_or(Format::Q8_0);
    let matrices = model.matrices();
    let patterns: Vec<_> = config.patterns().collect();
    if let Some((pattern, _)) =
        patterns.iter().find(|(pattern, _)| !matrices.iter().any(|matrix| pattern.matches(&matrix.name)))
    {
        let names: Vec<&str> = matrices.iter().map(|matrix| matrix.name.as_str()).collect();
        let (pattern, parts) = (pattern.as_str().to_owned(), few(&names));
        return Err(CompressionError::Pattern { pattern, parts });
    }
    let is_coarse = !general.is_float() && general.block_bytes() * 8 < 6 * general.block();
    let mut formats = BTreeMap::new();
    for matrix in &matrices {
        let named = patterns.iter().rev().find(|(pattern, _)| pattern.matches(&matrix.name));
        let is_at_an_end = matrix.is_table() || matrix.name == "output.weight";
        let [_, inputs] = matrix.sizes();
        let format = match named {
            Some((_, format)) => *format,
            None if is_at_an_end && is_coarse => Format::Q8_0,
            None => general,
        };
        if format.row_bytes(inputs).is_none() {
            return Err(CompressionError::Block { part: matrix.name.clone(), inputs, format });
        }
        formats.insert(matrix.name.clone(), format);
    }
    Ok(formats)
}

/// Some names, where there are many.
fn few(names: &[&str]) -> String {
    let shown: Vec<String> = names.iter().take(6).map(|name| format!("`{name}`")).collect();
    let more = names.len().saturating_sub(shown.len());
    if more == 0 { shown.join(", ") } else { format!("{} and {more} more", shown.join(", ")) }
}
