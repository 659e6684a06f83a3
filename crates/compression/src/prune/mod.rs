//! Parts of a model left out: layers, heads, neurons, single numbers.

mod config;
mod parameters;
mod structure;
#[cfg(test)]
mod tests;
mod zeros;

use kiln_models::{LanguageModel, ModelConfig};

pub use config::{Across, PruneConfig, Score};

use self::structure::Structure;
use crate::calibration::Calibration;
use crate::error::CompressionError;

/// Leaves parts of a model out; the share of zeros of each matrix in which there are some is returned.
pub(crate) fn prune(
    model: &mut LanguageModel,
    description: &mut ModelConfig,
    context: usize,
    config: &PruneConfig,
    calibration: &Calibration,
) -> Result<Vec<(String, f64)>, CompressionError> {
    if config.needs_calibration() && calibration.is_empty() {
        let what = if config.score == Score::Wanda { "Wanda's score" } else { "the choice of layers" };
        return Err(CompressionError::NoCalibration { what });
    }
    config.restructure(Structure { model, config: description, context, calibration })?;
    if config.makes_zeros() { zeros::make_zeros(model, config, calibration) } else { Ok(Vec::new()) }
}
