//! Widths that are solved for.

use kiln_models::{ModelConfig, PositionKind};

use crate::config::NamedModel;
use crate::error::StudyError;

/// The widest model that is tried.
const WIDEST: usize = 8192;

/// The model with another width, where the step from one width to the next is one that it can have.
fn with_width(model: &ModelConfig, steps: usize) -> ModelConfig {
    let mut model = model.clone();
    match &mut model {
        ModelConfig::Rnn(config) => config.hidden = steps,
        ModelConfig::Lstm(config) => config.hidden = steps,
        ModelConfig::Gru(config) => config.hidden = steps,
        ModelConfig::Transformer(config) => {
            // Rotated columns come in pairs.
            let pair = if config.position == PositionKind::Rotary { 2 } else { 1 };
            config.width = steps * config.heads * pair;
        }
        // Studies have none.
        ModelConfig::EncoderDecoder(_) | ModelConfig::RecurrentEncoderDecoder(_) => {}
    }
    model
}

/// The model with the width that brings `count` nearest to `wanted`; everything else is as it was.
///
/// # Errors
/// The nearest is off by more than a fifth.
pub fn sized(
    NamedModel { name, model }: &NamedModel,
    wanted: u64,
    count: impl Fn(&ModelConfig) -> u64,
) -> Result<ModelConfig, StudyError> {
    let mut best: Option<(u64, ModelConfig)> = None;
    for steps in 1..=WIDEST {
        let tried = with_width(model, steps);
        if !tried.validate().is_empty() {
            continue;
        }
        let found = count(&tried);
        let is_nearer = |(other, _): &(u64, ModelConfig)| found.abs_diff(wanted) < other.abs_diff(wanted);
        if best.as_ref().is_none_or(is_nearer) {
            best = Some((found, tried));
        }
        if found > wanted {
            break;
        }
    }
    match best {
        Some((found, model)) if found.abs_diff(wanted) * 5 <= wanted => Ok(model),
        other => {
            let nearest = other.map_or(0, |(found, _)| found);
            Err(StudyError::Size { name: name.clone(), parameters: wanted, nearest })
        }
    }
}

#[cfg(test)]
mod tests {
    use kiln_models::{LstmConfig, RnnConfig, TransformerConfig};

    use super::*;

    #[test]
    fn the_width_is_the_nearest_there_is() {
        let transformer = TransformerConfig { layers: 2, heads: 2, width: 8, ..TransformerConfig::default() };
        for model in [
            ModelConfig::Rnn(RnnConfig { layers: 2, ..RnnConfig::default() }),
            ModelConfig::Lstm(LstmConfig { layers: 1, ..LstmConfig::default() }),
            ModelConfig::Transformer(transformer),
        ] {
            let named = NamedModel { name: "a".to_owned(), model };
            let count = |model: &ModelConfig| model.parameter_count(50, 64);
            let found = sized(&named, 40_000, count).expect("there is one");
            let (own, steps) = (count(&found), |steps| count(&with_width(&named.model, steps)));
            // No other width is nearer.
            let nearest = (1..400).map(steps).min_by_key(|other| other.abs_diff(40_000)).expect("there are some");
            assert_eq!(own, nearest, "{found:?}");
            let error = sized(&named, 10, count).expect_err("that is too small");
            assert!(error.to_string().starts_with("no width of the model `a` gives about 10 parameters"), "{error}");
        }
    }
}
