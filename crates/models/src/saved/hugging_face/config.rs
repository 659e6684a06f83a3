//! `config.json`, as the options of the one transformer.

use serde_json::{Value, json};

use super::error::HuggingFaceError;
use super::keys::{Keys, wrong};
use crate::family::Family;
use crate::transformer::{
    AttentionBias, FeedForwardActivation, LinearScaling, Llama3Scaling, NormKind, PositionKind, RotaryScaling,
    TransformerConfig, YarnScaling,
};

/// How the tensors of an architecture are called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::saved) enum Names {
    /// Radford et al. 2019.
    Gpt2,
    /// Touvron et al. 2023 and what was named after it.
    Llama,
}

/// What a `config.json` describes.
#[derive(Debug, Clone)]
pub(in crate::saved) struct Foreign {
    /// The `model_type`.
    pub(in crate::saved) family: String,
    pub(in crate::saved) config: TransformerConfig,
    /// Rows of the table of tokens; the tokenizer may have fewer.
    pub(in crate::saved) vocabulary: usize,
    /// The longest window.
    pub(in crate::saved) context: usize,
    pub(in crate::saved) names: Names,
    /// What the user should know.
    pub(in crate::saved) warning: Option<String>,
}

/// The longest text that is read with a model that has angles for places: as many places, or as many angles. Their table
/// is made when the model is opened, and no weight bounds it.
const MOST_PLACES: usize = 1 << 20;
const MOST_ANGLES: usize = 1 << 26;

const KNOWN: &str = "gpt2, llama, mistral, qwen2 and qwen3";

/// Keys that change nothing when a model is used here: where it comes from, how it was trained, how it is run
/// elsewhere, and its special tokens, which are the tokenizer's.
const WITHOUT_EFFECT: [&str; 32] = [
    "architectures",
    "attention_dropout",
    "attn_pdrop",
    "auto_map",
    "bos_token_id",
    "dtype",
    "embd_pdrop",
    "eos_token_id",
    "gradient_checkpointing",
    "initializer_range",
    "is_llama_config",
    "model_type",
    "n_ctx",
    "output_past",
    "pad_token_id",
    "pretraining_tp",
    "reorder_and_upcast_attn",
    "resid_pdrop",
    "summary_activation",
    "summary_first_dropout",
    "summary_proj_to_labels",
    "summary_type",
    "summary_use_proj",
    "task_specific_params",
    "torch_dtype",
    "transformers.js_config",
    "transformers_version",
    "unk_token_id",
    "unsloth_fixed",
    "unsloth_version",
    "use_cache",
    "use_mrope",
];

impl Foreign {
    /// Reads the table of a `config.json`.
    ///
    /// # Errors
    /// An architecture or a key that isn't known, and values that make no sense.
    pub(in crate::saved) fn new(config: &Value) -> Result<Self, HuggingFaceError> {
        let table = config.as_object().ok_or_else(|| HuggingFaceError::Config("is no table".to_owned()))?;
        let keys = Keys::new(table);
        let kind = keys.text("model_type")?.ok_or_else(|| HuggingFaceError::MissingKey("model_type".to_owned()))?;
        let mut foreign = match kind.as_str() {
            "gpt2" => gpt2(&keys)?,
            "llama" => llama(&keys, |_| {})?,
            "mistral" => mistral(&keys)?,
            "qwen2" => qwen(&keys, |config| config.attention_bias = Some(AttentionBias::QueryKeyValue))?,
            "qwen3" => qwen(&keys, |config| config.query_key_norm = true)?,
            _ => return Err(HuggingFaceError::UnknownArchitecture { found: kind, known: KNOWN.to_owned() }),
        };
        keys.finish(&WITHOUT_EFFECT)?;
        foreign.family = kind;
        match foreign.config.validate().first() {
            None => Ok(foreign.with_bounded_context()),
            Some(violation) => {
                Err(HuggingFaceError::Config(format!("gives `{}`, which {}", violation.key, violation.message)))
            }
        }
    }
}

impl Foreign {
    fn with_bounded_context(self) -> Self {
        let most = MOST_PLACES.min(MOST_ANGLES / self.config.head_width().max(1)).max(1);
        if self.config.position != PositionKind::Rotary || self.context <= most {
            return self;
        }
        let warning = format!("it was made for texts of {} tokens, and {most} are the longest here", self.context);
        Self { context: most, warning: Some(warning), ..self }
    }

    /// Makes sure that there may be as many layers as the configuration says, before anything is made for each.
    pub(in crate::saved) fn check_layers(&self, tensors: usize) -> Result<(), HuggingFaceError> {
        let layers = self.config.layers;
        if layers > tensors { Err(HuggingFaceError::FewerTensors { layers, tensors }) } else { Ok(()) }
    }
}

fn gpt2(keys: &Keys<'_>) -> Result<Foreign, HuggingFaceError> {
    keys.only("scale_attn_weights", &json!(true))?;
    keys.only("scale_attn_by_inverse_layer_idx", &json!(false))?;
    keys.only("add_cross_attention", &json!(false))?;
    let activation = match keys.text("activation_function")?.as_deref() {
        None | Some("gelu_new" | "gelu_pytorch_tanh") => FeedForwardActivation::GeluTanh,
        Some("gelu") => FeedForwardActivation::Gelu,
        Some("relu2") => FeedForwardActivation::ReluSquared,
        Some(other) => return Err(wrong("activation_function", &json!(other), "which is not supported")),
    };
    let config = TransformerConfig {
        layers: keys.size("n_layer")?,
        heads: keys.size("n_head")?,
        width: keys.size("n_embd")?,
        feed_forward: keys.whole("n_inner")?,
        activation,
        norm_epsilon: keys.number("layer_norm_epsilon")?.unwrap_or(1e-5),
        bias: true,
        tied: keys.flag("tie_word_embeddings", true)?,
        ..TransformerConfig::default()
    };
    let (vocabulary, context) = (keys.size("vocab_size")?, keys.size("n_positions")?);
    Ok(Foreign { family: String::new(), config, vocabulary, context, names: Names::Gpt2, warning: None })
}

/// What Llama and its descendants share; `change` makes the descendant.
fn llama(keys: &Keys<'_>, change: impl FnOnce(&mut TransformerConfig)) -> Result<Foreign, HuggingFaceError> {
    keys.only("hidden_act", &json!("silu"))?;
    keys.only("rope_interleaved", &json!(false))?;
    keys.only("mlp_bias", &json!(false))?;
    let context = keys.whole("max_position_embeddings")?.unwrap_or(2048);
    let (rotary_base, rotary_scaling) = rotation(keys, context)?;
    let mut config = TransformerConfig {
        layers: keys.size("num_hidden_layers")?,
        heads: keys.size("num_attention_heads")?,
        key_value_heads: keys.whole("num_key_value_heads")?,
        width: keys.size("hidden_size")?,
        head_width: keys.whole("head_dim")?,
        feed_forward: Some(keys.size("intermediate_size")?),
        position: PositionKind::Rotary,
        rotary_base,
        rotary_scaling,
        norm: NormKind::Rms,
        norm_epsilon: keys.number("rms_norm_eps")?.unwrap_or(1e-6),
        activation: FeedForwardActivation::Swiglu,
        attention_bias: keys.flag("attention_bias", false)?.then_some(AttentionBias::All),
        tied: keys.flag("tie_word_embeddings", false)?,
        ..TransformerConfig::default()
    };
    change(&mut config);
    let vocabulary = keys.size("vocab_size")?;
    Ok(Foreign { family: String::new(), config, vocabulary, context, names: Names::Llama, warning: None })
}

/// A token of Mistral sees those within a sliding window alone. In a text that is no longer than the window, these are
/// all.
fn mistral(keys: &Keys<'_>) -> Result<Foreign, HuggingFaceError> {
    let foreign = llama(keys, |_| {})?;
    Ok(match keys.whole("sliding_window")? {
        Some(window) if window < foreign.context => {
            let warning = format!("its attention has a window of {window} tokens, which is the longest text here");
            Foreign { context: window, warning: Some(warning), ..foreign }
        }
        _ => foreign,
    })
}

fn qwen(keys: &Keys<'_>, change: impl FnOnce(&mut TransformerConfig)) -> Result<Foreign, HuggingFaceError> {
    keys.only("use_sliding_window", &json!(false))?;
    let _ = (keys.get("sliding_window"), keys.get("max_window_layers"));
    let is_full = |kind: &Value| kind == &json!("full_attention");
    if let Some(kinds) = keys.get("layer_types")
        && !kinds.as_array().is_some_and(|kinds| kinds.iter().all(is_full))
    {
        return Err(wrong("layer_types", kinds, "and only full attention is supported"));
    }
    llama(keys, change)
}

/// The base of the rotation and how it is stretched, in the old form (`rope_theta`, `rope_scaling`) or in the new one
/// (`rope_parameters`).
fn rotation(keys: &Keys<'_>, context: usize) -> Result<(f64, Option<RotaryScaling>), HuggingFaceError> {
    let base = keys.number("rope_theta")?;
    let (old, new) = (keys.get("rope_scaling"), keys.get("rope_parameters"));
    let (name, table) = if new.is_some() { ("rope_parameters", new) } else { ("rope_scaling", old) };
    let Some(table) = table else { return Ok((base.unwrap_or(1e4), None)) };
    let table = table.as_object().ok_or_else(|| wrong(name, table, "which is no table"))?;
    let inner = Keys::new(table);
    let base = inner.number("rope_theta")?.or(base).unwrap_or(1e4);
    let (new_kind, old_kind) = (inner.text("rope_type")?, inner.text("type")?);
    let kind = new_kind.or(old_kind).unwrap_or_else(|| "default".to_owned());
    let needed = |key: &str| inner.number(key)?.ok_or_else(|| HuggingFaceError::MissingKey(format!("{name}.{key}")));
    let original_context = inner.whole("original_max_position_embeddings")?.unwrap_or(context);
    let scaling = match kind.as_str() {
        "default" => None,
        "linear" => Some(RotaryScaling::Linear(LinearScaling { factor: needed("factor")? })),
        "llama3" => Some(RotaryScaling::Llama3(Llama3Scaling {
            factor: needed("factor")?,
            low_frequency_factor: needed("low_freq_factor")?,
            high_frequency_factor: needed("high_freq_factor")?,
            original_context,
        })),
        "yarn" => Some(RotaryScaling::Yarn(YarnScaling {
            factor: needed("factor")?,
            original_context,
            fast: inner.number("beta_fast")?.unwrap_or(32.0),
            slow: inner.number("beta_slow")?.unwrap_or(1.0),
            attention_factor: inner.number("attention_factor")?,
        })),
        _ => return Err(wrong(&format!("{name}.rope_type"), &json!(kind), "which is not supported")),
    };
    inner.finish(&[]).map_err(|error| match error {
        HuggingFaceError::UnknownKey(key) => HuggingFaceError::UnknownKey(format!("{name}.{key}")),
        other => other,
    })?;
    Ok((base, scaling))
}
