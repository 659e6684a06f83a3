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
/// GPTQ goes through the model layer by layer: the inputs of a layer are those that the packed layers below it make.
pub(crate) fn quantize(
    model: &mut LanguageModel,
    config: &QuantizeConfig,
    calibration: &Calibration,
    proceed: &mut dyn FnMut(Stage<'_>) -> bool,
) -> Result<Vec<PartOutcome>, CompressionError> {
    let formats = formats(model, config)?;
    let what = match config.method {
        Method::Nearest => "rounding to the nearest",
        Method::Importance => "rounding by importance",
        Method::Gptq => "GPTQ",
    };
    if config.method != Method::Nearest && calibration.is_empty() {
        return Err(CompressionError::NoCalibration { what });
    }
    let mut packing = Packing { what, method: config.method, formats, outcomes: Vec::new(), proceed };
    let every: BTreeSet<String> = packing.formats.keys().cloned().collect();
    match config.method {
        Method::Nearest => packing.pack(model, &every, BTreeMap::new())?,
        Method::Importance => {
            let seen = calibration.observe(model, Sums::Squares)?;
            packing.pack(model, &every, seen)?;
        }
        Method::Gptq => {
            let mut walk = calibration.walk(model);
            let mut left = every;
            for layer in 0..model.layers() {
                let prefix = model.layer_prefix(layer);
                let names = left.extract_if(.., |name| name.starts_with(&prefix)).collect();
                let seen = walk.observe(model, Some(layer), &names, Sums::Products)?;
                packing.pack(model, &names, seen)?;
                walk.go_on(model, layer);
            }
            let seen = walk.observe(model, None, &left, Sums::Products)?;
            packing.pack(model, &left, seen)?;
        }
    }
    Ok(packing.outcomes)
}

/// What is being done.
struct Packing<'a> {
    what: &'static str,
    method: Method,
    formats: BTreeMap<String, Format>,
    outcomes: Vec<PartOutcome>,
    proceed: &'a mut dyn FnMut(Stage<'_>) -> bool,
}

impl Packing<'_> {
    /// Packs the matrices of these names.
    fn pack(
        &mut self,
        model: &mut LanguageModel,
        names: &BTreeSet<String>,
        mut seen: BTreeMap<String, InputSums>,
    ) -> Result<(), CompressionError> {
        for mut matrix in model.matrices().into_iter().filter(|matrix| names.contains(&matrix.name)) {
            let stage = Stage { what: self.what, done: self.outcomes.len(), all: self.formats.len() };
            if !(self.proceed)(stage) {
                return Err(CompressionError::Stopped);
            }
            let seen = seen.remove(&matrix.name);
            let format = self.formats[&matrix.name];
            self.outcomes.push(pack(&mut matrix, format, self.method, seen)?);
        }
        Ok(())
    }
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
