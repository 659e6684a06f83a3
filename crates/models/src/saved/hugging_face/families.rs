//! The architectures, each as options.

use serde_json::{Value, json};

use super::config::{Foreign, Names, WITHOUT_EFFECT};
use super::error::HuggingFaceError;
use super::keys::{Keys, wrong};
use super::rotation::Rotation;
use crate::transformer::{
    AttentionBias, AttentionLayer, FeedForwardActivation, NormKind, NormPlacement, PositionKind, QueryKeyNormSpan,
    RotaryScaling, TransformerConfig,
};

/// Several times those of the deepest model.
const MOST_LAYERS: usize = 4096;

/// What a `config.json` of the architecture `kind` describes; `None` if there is no such architecture here.
pub(super) fn read(kind: &str, keys: &Keys<'_>) -> Result<Option<Foreign>, HuggingFaceError> {
    Ok(Some(match kind {
        "gpt2" => gpt2(keys)?,
        "gpt_neox" => gpt_neox(keys)?,
        "llama" => llama(keys, &LLAMA)?,
        "mistral" => mistral(keys)?,
        "qwen2" => qwen(keys, &Defaults { key_value_heads: Some(32), context: 32_768, ..LLAMA })?
            .with(|config| config.attention_bias = Some(AttentionBias::QueryKeyValue)),
        "qwen3" => {
            qwen(keys, &Defaults { key_value_heads: Some(32), head_width: Some(128), context: 32_768, ..LLAMA })?
                .with(|config| config.query_key_norm = true)
        }
        "gemma" => gemma(keys, &Defaults { key_value_heads: Some(16), ..GEMMA })?,
        "gemma2" => gemma2(keys)?,
        "gemma3_text" => gemma3_text(keys)?,
        "gemma3" => gemma3(keys)?,
        "olmo2" => olmo2(keys)?,
        "smollm3" => smollm3(keys)?,
        "phi3" => phi3(keys)?,
        "stablelm" => stablelm(keys)?,
        _ => return Ok(None),
    }))
}

impl Foreign {
    pub(in crate::saved) fn of(config: TransformerConfig, vocabulary: usize, context: usize, names: Names) -> Self {
        let family = String::new();
        Self { family, config, vocabulary, context, names, has_norms_less_one: false, other_parts: &[], warning: None }
    }

    fn with(mut self, change: impl FnOnce(&mut TransformerConfig)) -> Self {
        change(&mut self.config);
        self
    }
}

/// How many layers, before anything is made for each of them.
fn layers(keys: &Keys<'_>, key: &str, absent: Option<usize>) -> Result<usize, HuggingFaceError> {
    let layers = keys.size_or(key, absent)?;
    let problem = format!("and {MOST_LAYERS} are the most");
    if layers > MOST_LAYERS { Err(wrong(key, &json!(layers), &problem)) } else { Ok(layers) }
}

fn gpt2(keys: &Keys<'_>) -> Result<Foreign, HuggingFaceError> {
    keys.only("scale_attn_weights", &json!(true))?;
    keys.only("scale_attn_by_inverse_layer_idx", &json!(false))?;
    keys.only("add_cross_attention", &json!(false))?;
    let config = TransformerConfig {
        layers: layers(keys, "n_layer", None)?,
        heads: keys.size("n_head")?,
        width: keys.size("n_embd")?,
        feed_forward: keys.whole("n_inner")?,
        activation: gelu(keys, "activation_function", FeedForwardActivation::GeluTanh)?,
        norm_epsilon: keys.number("layer_norm_epsilon")?.unwrap_or(1e-5),
        bias: true,
        tied: keys.flag("tie_word_embeddings", true)?,
        ..TransformerConfig::default()
    };
    let (vocabulary, context) = (keys.size("vocab_size")?, keys.size("n_positions")?);
    Ok(Foreign::of(config, vocabulary, context, Names::Gpt2))
}

fn gelu(keys: &Keys<'_>, key: &str, absent: FeedForwardActivation) -> Result<FeedForwardActivation, HuggingFaceError> {
    match keys.text(key)?.as_deref() {
        None => Ok(absent),
        Some("gelu_new" | "gelu_fast" | "gelu_pytorch_tanh") => Ok(FeedForwardActivation::GeluTanh),
        Some("gelu") => Ok(FeedForwardActivation::Gelu),
        Some("relu") => Ok(FeedForwardActivation::Relu),
        Some("relu2") => Ok(FeedForwardActivation::ReluSquared),
        Some(other) => Err(wrong(key, &json!(other), "which is not supported")),
    }
}

fn gpt_neox(keys: &Keys<'_>) -> Result<Foreign, HuggingFaceError> {
    let context = keys.whole("max_position_embeddings")?.unwrap_or(2048);
    let base = keys.number("rotary_emb_base")?.unwrap_or(1e4);
    let rotation = Rotation::plain(base, keys.number("rotary_pct")?.unwrap_or(0.25)).read(keys, context)?;
    let config = TransformerConfig {
        layers: layers(keys, "num_hidden_layers", None)?,
        heads: keys.size("num_attention_heads")?,
        width: keys.size("hidden_size")?,
        feed_forward: Some(keys.size("intermediate_size")?),
        position: PositionKind::Rotary,
        rotary_base: rotation.base,
        rotary_fraction: rotation.fraction,
        rotary_scaling: rotation.scaling,
        norm_epsilon: keys.number("layer_norm_eps")?.unwrap_or(1e-5),
        activation: gelu(keys, "hidden_act", FeedForwardActivation::Gelu)?,
        parallel_residual: keys.flag("use_parallel_residual", true)?,
        bias: true,
        attention_bias: (!keys.flag("attention_bias", true)?).then_some(AttentionBias::None),
        tied: keys.flag("tie_word_embeddings", false)?,
        ..TransformerConfig::default()
    };
    let foreign = Foreign::of(config, keys.size("vocab_size")?, context, Names::GptNeox);
    Ok(Foreign { warning: rotation.warning, ..foreign })
}

/// What an architecture takes where a key is missing; `None` where the key must be there.
struct Defaults {
    layers: Option<usize>,
    heads: Option<usize>,
    /// `None`: as many as heads.
    key_value_heads: Option<usize>,
    width: Option<usize>,
    /// `None`: `width` / `heads`.
    head_width: Option<usize>,
    feed_forward: Option<usize>,
    vocabulary: Option<usize>,
    context: usize,
    /// The context before it was stretched, in architectures that say it beside the rotation.
    original_context: Option<usize>,
    epsilon: f64,
    activation: FeedForwardActivation,
    rotary_base: f64,
    tied: bool,
}

const LLAMA: Defaults = Defaults {
    layers: None,
    heads: None,
    key_value_heads: None,
    width: None,
    head_width: None,
    feed_forward: None,
    vocabulary: None,
    context: 2048,
    original_context: None,
    epsilon: 1e-6,
    activation: FeedForwardActivation::Swiglu,
    rotary_base: 1e4,
    tied: false,
};

const GEMMA: Defaults = Defaults {
    key_value_heads: Some(4),
    head_width: Some(256),
    context: 8192,
    activation: FeedForwardActivation::GegluTanh,
    tied: true,
    ..LLAMA
};

/// What Llama and its descendants share, but for the rotation.
fn unrotated_llama(keys: &Keys<'_>, defaults: &Defaults) -> Result<Foreign, HuggingFaceError> {
    if defaults.activation == FeedForwardActivation::Swiglu {
        keys.only("hidden_act", &json!("silu"))?;
    }
    keys.only("rope_interleaved", &json!(false))?;
    keys.only("mlp_bias", &json!(false))?;
    let config = TransformerConfig {
        layers: layers(keys, "num_hidden_layers", defaults.layers)?,
        heads: keys.size_or("num_attention_heads", defaults.heads)?,
        key_value_heads: keys.whole_or("num_key_value_heads", defaults.key_value_heads)?,
        width: keys.size_or("hidden_size", defaults.width)?,
        head_width: keys.whole_or("head_dim", defaults.head_width)?,
        feed_forward: Some(keys.size_or("intermediate_size", defaults.feed_forward)?),
        position: PositionKind::Rotary,
        norm: NormKind::Rms,
        norm_epsilon: keys.number("rms_norm_eps")?.unwrap_or(defaults.epsilon),
        activation: defaults.activation,
        attention_bias: keys.flag("attention_bias", false)?.then_some(AttentionBias::All),
        tied: keys.flag("tie_word_embeddings", defaults.tied)?,
        ..TransformerConfig::default()
    };
    let vocabulary = keys.size_or("vocab_size", defaults.vocabulary)?;
    let context = keys.whole("max_position_embeddings")?.unwrap_or(defaults.context);
    Ok(Foreign::of(config, vocabulary, context, Names::Llama))
}

/// The same with one rotation of whole heads.
fn llama(keys: &Keys<'_>, defaults: &Defaults) -> Result<Foreign, HuggingFaceError> {
    let foreign = partly_rotated_llama(keys, defaults, 1.0)?;
    if foreign.config.rotary_fraction != 1.0 {
        let fraction = json!(foreign.config.rotary_fraction);
        return Err(wrong("partial_rotary_factor", &fraction, "and only 1 is supported in this architecture"));
    }
    Ok(foreign)
}

fn partly_rotated_llama(keys: &Keys<'_>, defaults: &Defaults, fraction: f64) -> Result<Foreign, HuggingFaceError> {
    let foreign = unrotated_llama(keys, defaults)?;
    let original_context = match defaults.original_context {
        Some(absent) => keys.whole_or("original_max_position_embeddings", Some(absent))?,
        None => None,
    };
    let plain = Rotation { original_context, ..Rotation::plain(defaults.rotary_base, fraction) };
    let Rotation { base, fraction, scaling, longest, warning, .. } = plain.read(keys, foreign.context)?;
    let foreign = Foreign { warning, context: longest.unwrap_or(foreign.context), ..foreign };
    Ok(foreign.with(|config| {
        (config.rotary_base, config.rotary_fraction, config.rotary_scaling) = (base, fraction, scaling);
    }))
}

fn mistral(keys: &Keys<'_>) -> Result<Foreign, HuggingFaceError> {
    let foreign = llama(keys, &Defaults { key_value_heads: Some(8), context: 131_072, ..LLAMA })?;
    let window = keys.whole_or("sliding_window", Some(4096))?;
    Ok(foreign.with(|config| config.attention_window = window))
}

fn qwen(keys: &Keys<'_>, defaults: &Defaults) -> Result<Foreign, HuggingFaceError> {
    let foreign = llama(keys, defaults)?;
    let window = keys.whole_or("sliding_window", Some(4096))?;
    let is_used = keys.flag("use_sliding_window", false)?;
    let window = window.filter(|_| is_used);
    let first = keys.count("max_window_layers")?.unwrap_or(28);
    with_layers(foreign, keys, window, |layer| window.is_some() && layer >= first)
}

/// Sets which layers have a window, by `layer_types` or, where they are missing, by a rule.
fn with_layers(
    foreign: Foreign,
    keys: &Keys<'_>,
    window: Option<usize>,
    is_local: impl Fn(usize) -> bool,
) -> Result<Foreign, HuggingFaceError> {
    let kind = |value: &Value| match value.as_str()? {
        "full_attention" => Some(AttentionLayer::Global),
        "sliding_attention" => Some(AttentionLayer::Local),
        _ => None,
    };
    let problem = "of which only \"full_attention\" and \"sliding_attention\" are supported";
    let by_rule = |layer| if is_local(layer) { AttentionLayer::Local } else { AttentionLayer::Global };
    let layers = foreign.config.layers;
    let kinds =
        keys.list("layer_types", kind, problem)?.unwrap_or_else(|| (0..layers).map(by_rule).collect::<Vec<_>>());
    if kinds.len() != layers {
        let problem = format!("where `num_hidden_layers` is {layers}");
        return Err(wrong("layer_types", &json!(format!("{} layers", kinds.len())), &problem));
    }
    if !kinds.contains(&AttentionLayer::Local) {
        return Ok(foreign);
    }
    let window = window.ok_or_else(|| HuggingFaceError::MissingKey("sliding_window".to_owned()))?;
    Ok(foreign.with(|config| {
        config.attention_window = Some(window);
        config.layer_pattern = kinds.contains(&AttentionLayer::Global).then(|| shortest_period(kinds));
    }))
}

/// The beginning of a list that gives all of it when it is repeated.
fn shortest_period(mut kinds: Vec<AttentionLayer>) -> Vec<AttentionLayer> {
    let repeats = |period: &usize| kinds.iter().zip(&kinds[*period..]).all(|(first, later)| first == later);
    let period = (1..kinds.len()).find(repeats).unwrap_or(kinds.len());
    kinds.truncate(period);
    kinds
}

fn gemma(keys: &Keys<'_>, defaults: &Defaults) -> Result<Foreign, HuggingFaceError> {
    let foreign = llama(keys, defaults)?;
    // Its first configurations said "gelu" and meant the tanh.
    if keys.text("hidden_act")?.as_deref() != Some("gelu") {
        keys.only("hidden_act", &json!("gelu_pytorch_tanh"))?;
    }
    as_gemma(foreign, keys)
}

/// What all Gemmas share.
fn as_gemma(foreign: Foreign, keys: &Keys<'_>) -> Result<Foreign, HuggingFaceError> {
    keys.only("hidden_activation", &json!("gelu_pytorch_tanh"))?;
    keys.only("use_bidirectional_attention", &json!(false))?;
    let foreign = Foreign { has_norms_less_one: true, ..foreign };
    Ok(foreign.with(|config| config.scaled_embeddings = true))
}

/// What the second and the third share; `soft_caps` of attention and of logits stand where keys are missing.
fn as_later_gemma(foreign: Foreign, keys: &Keys<'_>, soft_caps: [Option<f64>; 2]) -> Result<Foreign, HuggingFaceError> {
    keys.only("hidden_act", &json!("gelu_pytorch_tanh"))?;
    let scalar = keys.number("query_pre_attn_scalar")?.unwrap_or(256.0);
    let attention_soft_cap = keys.number_or("attn_logit_softcapping", soft_caps[0])?;
    let logit_soft_cap = keys.number_or("final_logit_softcapping", soft_caps[1])?;
    Ok(as_gemma(foreign, keys)?.with(|config| {
        config.norm_placement = NormPlacement::Both;
        config.attention_scale = (scalar != config.head_width() as f64).then(|| scalar.powf(-0.5));
        (config.attention_soft_cap, config.logit_soft_cap) = (attention_soft_cap, logit_soft_cap);
    }))
}

fn gemma2(keys: &Keys<'_>) -> Result<Foreign, HuggingFaceError> {
    let foreign = as_later_gemma(llama(keys, &GEMMA)?, keys, [Some(50.0), Some(30.0)])?;
    let window = keys.whole_or("sliding_window", Some(4096))?;
    keys.only("sliding_window_size", &json!(window))?;
    with_layers(foreign, keys, window, |layer| layer % 2 == 0)
}

fn gemma3_text(keys: &Keys<'_>) -> Result<Foreign, HuggingFaceError> {
    let defaults = Defaults {
        layers: Some(26),
        heads: Some(8),
        width: Some(2304),
        feed_forward: Some(9216),
        vocabulary: Some(262_208),
        context: 131_072,
        ..GEMMA
    };
    let foreign = as_later_gemma(unrotated_llama(keys, &defaults)?, keys, [None, None])?;
    let [global, local] = Rotation::of_layers(keys, foreign.context)?;
    let period = keys.whole("sliding_window_pattern")?.unwrap_or(6);
    let window = keys.whole_or("sliding_window", Some(4096))?;
    let foreign = with_layers(foreign, keys, window, |layer| !(layer + 1).is_multiple_of(period))?;
    let foreign = Foreign { warning: global.warning, ..foreign };
    Ok(foreign.with(|config| {
        config.query_key_norm = true;
        (config.rotary_base, config.rotary_scaling) = (global.base, global.scaling);
        config.local_rotary_base = config.attention_window.map(|_| local.base);
    }))
}

/// The text part of a model that also reads pictures.
fn gemma3(keys: &Keys<'_>) -> Result<Foreign, HuggingFaceError> {
    for about_pictures in
        ["vision_config", "mm_tokens_per_image", "boi_token_index", "eoi_token_index", "image_token_index"]
    {
        let _ = keys.get(about_pictures);
    }
    keys.only("tie_word_embeddings", &json!(true))?;
    let text = keys.table("text_config")?.ok_or_else(|| HuggingFaceError::MissingKey("text_config".to_owned()))?;
    let foreign = gemma3_text(&text)?;
    text.finish_within("text_config", &WITHOUT_EFFECT)?;
    let other_parts =
        &["vision_tower.", "multi_modal_projector.", "model.vision_tower.", "model.multi_modal_projector."];
    let warning = "its part that reads pictures is left out: here it reads text alone".to_owned();
    Ok(Foreign { other_parts, warning: Some(warning), ..foreign })
}

fn olmo2(keys: &Keys<'_>) -> Result<Foreign, HuggingFaceError> {
    let foreign = llama(keys, &Defaults { epsilon: 1e-5, ..LLAMA })?;
    Ok(foreign.with(|config| {
        config.norm_placement = NormPlacement::After;
        config.query_key_norm = true;
        config.query_key_norm_over = QueryKeyNormSpan::AllHeads;
    }))
}

fn smollm3(keys: &Keys<'_>) -> Result<Foreign, HuggingFaceError> {
    let defaults = Defaults { key_value_heads: Some(4), context: 32_768, rotary_base: 2e6, tied: true, ..LLAMA };
    let foreign = llama(keys, &defaults)?;
    keys.only("use_sliding_window", &json!(false))?;
    let _ = (keys.get("sliding_window"), keys.get("max_window_layers"));
    let foreign = with_layers(foreign, keys, None, |_| false)?;
    let interval = keys.whole("no_rope_layer_interval")?.unwrap_or(4);
    let is_rotated = |value: &Value| value.as_u64().filter(|flag| *flag < 2).map(|flag| flag == 1);
    let layers = foreign.config.layers;
    let by_rule = || (0..layers).map(|layer| !(layer + 1).is_multiple_of(interval)).collect();
    let mut rotated = keys.list("no_rope_layers", is_rotated, "which is no list of 0 and 1")?.unwrap_or_else(by_rule);
    if rotated.len() < layers {
        let problem = format!("where `num_hidden_layers` is {layers}");
        return Err(wrong("no_rope_layers", &json!(format!("{} layers", rotated.len())), &problem));
    }
    rotated.truncate(layers);
    let kind = |rotated| if rotated { AttentionLayer::Global } else { AttentionLayer::Unrotated };
    let kinds: Vec<AttentionLayer> = rotated.into_iter().map(kind).collect();
    Ok(foreign.with(|config| {
        config.layer_pattern = kinds.contains(&AttentionLayer::Unrotated).then(|| shortest_period(kinds));
    }))
}

fn phi3(keys: &Keys<'_>) -> Result<Foreign, HuggingFaceError> {
    let foreign = partly_rotated_llama(
        keys,
        &Defaults { epsilon: 1e-5, context: 4096, original_context: Some(4096), ..LLAMA },
        1.0,
    )?;
    if foreign.config.rotary_scaling.as_ref().is_some_and(|scaling| !matches!(scaling, RotaryScaling::LongRope(_))) {
        let scaling = keys.get("rope_scaling").or(keys.get("rope_parameters")).unwrap_or(&Value::Null);
        return Err(wrong("rope_scaling", scaling, "and of this architecture only \"longrope\" is supported"));
    }
    let window = keys.whole("sliding_window")?;
    let foreign = Foreign { names: Names::Phi3, ..foreign };
    Ok(foreign.with(|config| config.attention_window = window))
}

fn stablelm(keys: &Keys<'_>) -> Result<Foreign, HuggingFaceError> {
    let defaults = Defaults { key_value_heads: Some(32), context: 4096, ..LLAMA };
    let foreign = partly_rotated_llama(keys, &defaults, 0.25)?;
    keys.only("qk_layernorm", &json!(false))?;
    keys.only("use_parallel_residual", &json!(false))?;
    let epsilon = keys.number("layer_norm_eps")?.unwrap_or(1e-5);
    let has_biases = keys.flag("use_qkv_bias", false)?;
    Ok(foreign.with(|config| {
        (config.norm, config.norm_epsilon, config.norm_bias) = (NormKind::Layer, epsilon, Some(true));
        config.attention_bias = has_biases.then_some(AttentionBias::QueryKeyValue);
    }))
}
