//! A trained model made smaller: its numbers packed into fewer bits, some of them left out.
//!
//! ```
//! use burn::tensor::Device;
//! use kiln_compression::{Calibration, CompressConfig, QuantizeConfig, compress};
//! use kiln_models::{GruConfig, ModelConfig};
//! use kiln_packed::Format;
//!
//! let mut description = ModelConfig::Gru(GruConfig { layers: 1, hidden: 32, ..GruConfig::default() });
//! let mut model = description.init(32, 16, 1, &Device::flex());
//! let before = model.bytes_of_matrices();
//! let quantize = Some(QuantizeConfig::to(Format::Q4_0));
//! let config = CompressConfig { quantize, ..CompressConfig::default() };
//! let outcome = compress(&mut model, &mut description, 16, &config, &Calibration::none(), &mut |_| true)?;
//! assert!(model.bytes_of_matrices() * 5 < before);
//! assert_eq!(outcome.parts.len(), 4, "table, two matrices of the layer, head");
//! # Ok::<(), kiln_compression::CompressionError>(())
//! ```

mod calibration;
mod config;
mod error;
mod low_rank;
mod outcome;
mod prune;
mod quantize;
#[cfg(test)]
mod tests;

use kiln_models::{LanguageModel, ModelConfig};

pub use calibration::Calibration;
pub use config::{CompressConfig, Method, QuantizeConfig};
pub use error::CompressionError;
pub use low_rank::LowRankConfig;
pub use outcome::{Outcome, PartOutcome, RankOutcome, Stage};
pub use prune::{Across, PruneConfig, Score};

/// Makes a model smaller, one step after the other; `description` is what `kiln_models` makes such a model by, and
/// changes with it. `proceed` is called with how far it is, and stops it by `false`.
///
/// # Errors
/// See [`CompressionError`]; the model is then of no use.
pub fn compress(
    model: &mut LanguageModel,
    description: &mut ModelConfig,
    context: usize,
    config: &CompressConfig,
    calibration: &Calibration,
    proceed: &mut dyn FnMut(Stage<'_>) -> bool,
) -> Result<Outcome, CompressionError> {
    let mut outcome = Outcome::default();
    if let Some(config) = &config.prune {
        if !proceed(Stage { what: "pruning", done: 0, all: 1 }) {
            return Err(CompressionError::Stopped);
        }
        outcome.zeros = prune::prune(model, description, context, config, calibration)?;
    }
    if let Some(config) = &config.low_rank {
        outcome.ranks = low_rank::factor(model, config, calibration, proceed)?;
    }
    if let Some(quantize) = &config.quantize {
        outcome.parts = quantize::quantize(model, quantize, calibration, proceed)?;
    }
    Ok(outcome)
}
