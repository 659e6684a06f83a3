//! The options of the one transformer, as the `config.json` of a family that has them all.

use serde_json::{Map, Value};

use super::super::HuggingFaceError;
use super::super::config::Foreign;
use super::families::{FAMILIES, Model};
use crate::transformer::{AttentionBias, AttentionLayer, NormKind, PositionKind, QueryKeyNormSpan, TransformerConfig};

/// The `config.json` of the model, and what is read back from it.
///
/// Each family's file is read again: only one that describes the very same options is taken.
///
/// # Errors
/// No family has all of the options; the one that most of them fit is named, with an option that it lacks.
pub(in crate::saved) fn described(
    config: &TransformerConfig,
    vocabulary: usize,
    context: usize,
) -> Result<(Value, Foreign), HuggingFaceError> {
    let mut nearest: Option<(usize, &str, String)> = None;
    for family in FAMILIES {
        let mut wanted = config.clone();
        if family.has_biases && !config.bias && config.attention_bias.is_none() {
            // Biases of zero are no biases.
            wanted.bias = true;
        }
        if family.name == "stablelm" {
            wanted.norm_bias = Some(true);
        }
        let wanted = plain(&wanted);
        let json = (family.write)(&Model { config: &wanted, vocabulary, context });
        let Ok(foreign) = Foreign::new(&json) else { continue };
        let differing = differing(&wanted, &foreign.config, 1e-12);
        let Some(option) = differing.first() else { return Ok((json, foreign)) };
        if nearest.as_ref().is_none_or(|(count, _, _)| differing.len() < *count) {
            nearest = Some((differing.len(), family.name, option.clone()));
        }
    }
    let (family, option) = nearest.map_or(("gpt2", "family".to_owned()), |(_, family, option)| (family, option));
    Err(HuggingFaceError::NoFamily { family: family.to_owned(), option })
}

/// The same model with every option said, and without those that change nothing or that only training uses.
fn plain(config: &TransformerConfig) -> TransformerConfig {
    let biases = match config.attention_biases() {
        [false, _] => AttentionBias::None,
        [true, false] => AttentionBias::QueryKeyValue,
        [true, true] => AttentionBias::All,
    };
    let is_rotary = config.position == PositionKind::Rotary;
    let layers: Vec<AttentionLayer> = (0..config.layers).map(|layer| config.layer(layer)).collect();
    let has_local = layers.contains(&AttentionLayer::Local);
    let has_one_base = config.rotary_scaling.is_none() && config.local_rotary_base == Some(config.rotary_base);
    let defaults = TransformerConfig::default();
    TransformerConfig {
        key_value_heads: Some(config.key_value_heads()),
        head_width: Some(config.head_width()),
        feed_forward: Some(config.feed_forward_width()),
        attention_bias: Some(biases),
        norm_bias: (config.norm == NormKind::Layer).then(|| config.has_norm_biases()),
        rotary_base: if is_rotary { config.rotary_base } else { defaults.rotary_base },
        rotary_fraction: if is_rotary { config.rotary_fraction } else { defaults.rotary_fraction },
        local_rotary_base: config.local_rotary_base.filter(|_| has_local && !has_one_base),
        attention_window: config.attention_window.filter(|_| has_local),
        layer_pattern: Some(layers),
        query_key_norm_over: if config.query_key_norm { config.query_key_norm_over } else { QueryKeyNormSpan::Head },
        dropout: 0.0,
        ..config.clone()
    }
}

/// The options that differ, as a configuration calls them; numbers by more than the part `tolerance`.
pub(in crate::saved) fn differing(
    wanted: &TransformerConfig,
    found: &TransformerConfig,
    tolerance: f64,
) -> Vec<String> {
    let table = |config: &TransformerConfig| match serde_json::to_value(plain(config)) {
        Ok(Value::Object(table)) => table,
        _ => Map::new(),
    };
    let (wanted, found) = (table(wanted), table(found));
    let is_same = |key: &String| is_near(wanted.get(key), found.get(key), tolerance);
    let mut keys: Vec<String> = wanted.keys().chain(found.keys()).filter(|key| !is_same(key)).cloned().collect();
    keys.sort();
    keys.dedup();
    keys
}

fn is_near(left: Option<&Value>, right: Option<&Value>, tolerance: f64) -> bool {
    match (left, right) {
        (Some(Value::Object(left)), Some(Value::Object(right))) => {
            left.len() == right.len() && left.iter().all(|(key, value)| is_near(Some(value), right.get(key), tolerance))
        }
        (Some(Value::Number(left)), Some(Value::Number(right))) => {
            let (left, right) = (left.as_f64().unwrap_or_default(), right.as_f64().unwrap_or_default());
            (left - right).abs() <= tolerance * left.abs()
        }
        _ => left == right,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transformer::FeedForwardActivation;

    fn family(config: &TransformerConfig) -> Result<String, String> {
        described(config, 61, 64).map(|(_, foreign)| foreign.family).map_err(|error| error.to_string())
    }

    #[test]
    fn each_model_becomes_the_family_that_has_its_options() {
        let rms = TransformerConfig {
            position: PositionKind::Rotary,
            norm: NormKind::Rms,
            activation: FeedForwardActivation::Swiglu,
            ..TransformerConfig::default()
        };
        let with = |change: fn(&mut TransformerConfig)| {
            let mut config = rms.clone();
            change(&mut config);
            family(&config)
        };
        assert_eq!(family(&TransformerConfig::default()).as_deref(), Ok("gpt2"));
        assert_eq!(family(&TransformerConfig { bias: true, ..TransformerConfig::default() }).as_deref(), Ok("gpt2"));
        assert_eq!(with(|_| {}).as_deref(), Ok("llama"));
        assert_eq!(with(|config| config.attention_bias = Some(AttentionBias::All)).as_deref(), Ok("llama"));
        assert_eq!(with(|config| config.attention_bias = Some(AttentionBias::QueryKeyValue)).as_deref(), Ok("qwen2"));
        assert_eq!(with(|config| config.query_key_norm = true).as_deref(), Ok("qwen3"));
        assert_eq!(with(|config| config.key_value_heads = Some(2)).as_deref(), Ok("llama"));
    }

    #[test]
    fn an_option_that_no_family_has_is_named() {
        let config = TransformerConfig { logit_soft_cap: Some(30.0), ..TransformerConfig::default() };
        let error = family(&config).unwrap_err();
        assert!(error.contains("`logit-soft-cap`"), "{error}");
        let config = TransformerConfig { norm: NormKind::Rms, ..TransformerConfig::default() };
        let error = family(&config).unwrap_err();
        assert!(error.contains("`norm`") || error.contains("`bias`"), "{error}");
    }
}
