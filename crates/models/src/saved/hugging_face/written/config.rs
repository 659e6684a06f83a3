//! The options of the one transformer, as the `config.json` of a family that has them all.

use serde_json::{Map, Value, json};

use super::super::HuggingFaceError;
use super::super::config::Foreign;
use crate::transformer::{AttentionBias, FeedForwardActivation, RotaryScaling, TransformerConfig};

/// Writes the `config.json` of a family.
type Write = fn(&Model<'_>) -> Value;

/// The families that can be written, the plainest first.
const FAMILIES: [(&str, Write); 4] = [("gpt2", gpt2), ("llama", llama), ("qwen2", qwen2), ("qwen3", qwen3)];

/// What is to be written.
struct Model<'a> {
    config: &'a TransformerConfig,
    vocabulary: usize,
    context: usize,
}

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
    let wanted = plain(config);
    let mut nearest: Option<(usize, &str, String)> = None;
    for (family, write) in FAMILIES {
        // Biases of zero are no biases.
        let with_biases = TransformerConfig { bias: true, attention_bias: None, ..wanted.clone() };
        let wanted =
            if family == "gpt2" && !config.bias && config.attention_bias.is_none() { &with_biases } else { &wanted };
        let json = write(&Model { config: wanted, vocabulary, context });
        let Ok(foreign) = Foreign::new(&json) else { continue };
        let differing = differing(wanted, &plain(&foreign.config));
        let Some(option) = differing.first() else { return Ok((json, foreign)) };
        if nearest.as_ref().is_none_or(|(count, _, _)| differing.len() < *count) {
            nearest = Some((differing.len(), family, option.clone()));
        }
    }
    let (family, option) = nearest.map_or(("gpt2", "family".to_owned()), |(_, family, option)| (family, option));
    Err(HuggingFaceError::NoFamily { family: family.to_owned(), option })
}

/// The same model with every option said, and without what only training uses.
fn plain(config: &TransformerConfig) -> TransformerConfig {
    let biases = match config.attention_biases() {
        [false, _] => AttentionBias::None,
        [true, false] => AttentionBias::QueryKeyValue,
        [true, true] => AttentionBias::All,
    };
    TransformerConfig {
        key_value_heads: Some(config.key_value_heads()),
        head_width: Some(config.head_width()),
        feed_forward: Some(config.feed_forward_width()),
        attention_bias: Some(biases),
        dropout: 0.0,
        ..config.clone()
    }
}

/// The options that differ, as a configuration calls them.
fn differing(wanted: &TransformerConfig, found: &TransformerConfig) -> Vec<String> {
    let table = |config: &TransformerConfig| match serde_json::to_value(config) {
        Ok(Value::Object(table)) => table,
        _ => Map::new(),
    };
    let (wanted, found) = (table(&plain(wanted)), table(found));
    let is_rotary = wanted.get("position").is_some_and(|position| position == "rotary");
    let keys = wanted.keys().chain(found.keys()).filter(|key| wanted.get(*key) != found.get(*key));
    let mut keys: Vec<String> = keys.filter(|key| is_rotary || *key != "rotary-base").cloned().collect();
    keys.sort();
    keys.dedup();
    keys
}

fn gpt2(model: &Model<'_>) -> Value {
    let Model { config, vocabulary, context } = model;
    let activation = match config.activation {
        FeedForwardActivation::GeluTanh => "gelu_new",
        FeedForwardActivation::ReluSquared => "relu2",
        _ => "gelu",
    };
    json!({
        "model_type": "gpt2",
        "architectures": ["GPT2LMHeadModel"],
        "vocab_size": vocabulary,
        "n_positions": context,
        "n_embd": config.width,
        "n_layer": config.layers,
        "n_head": config.heads,
        "n_inner": config.feed_forward_width(),
        "activation_function": activation,
        "layer_norm_epsilon": config.norm_epsilon,
        "tie_word_embeddings": config.tied,
        "embd_pdrop": 0.0, "attn_pdrop": 0.0, "resid_pdrop": 0.0,
    })
}

/// What Llama and its descendants share.
fn llama(model: &Model<'_>) -> Value {
    let Model { config, vocabulary, context } = model;
    let mut json = json!({
        "model_type": "llama",
        "architectures": ["LlamaForCausalLM"],
        "vocab_size": vocabulary,
        "max_position_embeddings": context,
        "hidden_size": config.width,
        "intermediate_size": config.feed_forward_width(),
        "num_hidden_layers": config.layers,
        "num_attention_heads": config.heads,
        "num_key_value_heads": config.key_value_heads(),
        "head_dim": config.head_width(),
        "rms_norm_eps": config.norm_epsilon,
        "rope_theta": config.rotary_base,
        "hidden_act": "silu",
        "tie_word_embeddings": config.tied,
    });
    if let Some(scaling) = config.rotary_scaling.as_ref().and_then(rope_scaling) {
        json["rope_scaling"] = scaling;
    }
    if config.attention_biases() == [true, true] {
        json["attention_bias"] = json!(true);
    }
    json
}

/// Without the keys that Llama alone has, and with another name.
fn descendant(model: &Model<'_>, model_type: &str, class: &str) -> Value {
    let mut json = llama(model);
    json["model_type"] = json!(model_type);
    json["architectures"] = json!([class]);
    json
}

fn qwen2(model: &Model<'_>) -> Value {
    descendant(model, "qwen2", "Qwen2ForCausalLM")
}

fn qwen3(model: &Model<'_>) -> Value {
    descendant(model, "qwen3", "Qwen3ForCausalLM")
}

fn rope_scaling(scaling: &RotaryScaling) -> Option<Value> {
    Some(match scaling {
        RotaryScaling::Linear(linear) => json!({ "rope_type": "linear", "factor": linear.factor }),
        RotaryScaling::Llama3(llama) => json!({
            "rope_type": "llama3",
            "factor": llama.factor,
            "low_freq_factor": llama.low_frequency_factor,
            "high_freq_factor": llama.high_frequency_factor,
            "original_max_position_embeddings": llama.original_context,
        }),
        RotaryScaling::Yarn(yarn) => {
            let mut json = json!({
                "rope_type": "yarn",
                "factor": yarn.factor,
                "original_max_position_embeddings": yarn.original_context,
                "beta_fast": yarn.fast,
                "beta_slow": yarn.slow,
            });
            if let Some(factor) = yarn.attention_factor {
                json["attention_factor"] = json!(factor);
            }
            json
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transformer::{NormKind, PositionKind};

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
