//! The `config.json` of each family that can be written.

use serde_json::{Value, json};

use crate::transformer::{AttentionLayer, FeedForwardActivation, RotaryScaling, TransformerConfig};

/// What is to be written.
pub(super) struct Model<'a> {
    pub(super) config: &'a TransformerConfig,
    pub(super) vocabulary: usize,
    pub(super) context: usize,
}

/// Writes the `config.json` of a family.
type Write = fn(&Model<'_>) -> Value;

/// A family that can be written.
pub(super) struct Family {
    pub(super) name: &'static str,
    pub(super) write: Write,
    /// Whether biases of zero are written where the model has none.
    pub(super) has_biases: bool,
}

const fn family(name: &'static str, write: Write) -> Family {
    Family { name, write, has_biases: false }
}

/// The families, the plainest first.
pub(super) const FAMILIES: [Family; 13] = [
    Family { has_biases: true, ..family("gpt2", gpt2) },
    family("llama", llama),
    family("mistral", mistral),
    family("qwen2", qwen2),
    family("qwen3", qwen3),
    family("smollm3", smollm3),
    family("olmo2", olmo2),
    family("gemma", gemma),
    family("gemma2", gemma2),
    family("gemma3_text", gemma3),
    family("phi3", phi3),
    family("stablelm", stablelm),
    Family { has_biases: true, ..family("gpt_neox", gpt_neox) },
];

fn gpt2(model: &Model<'_>) -> Value {
    let Model { config, vocabulary, context } = model;
    let activation = match config.activation {
        FeedForwardActivation::GeluTanh => "gelu_new",
        FeedForwardActivation::Relu => "relu",
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

/// What all but GPT-2 share.
fn rotary(model: &Model<'_>, model_type: &str, class: &str) -> Value {
    let Model { config, vocabulary, context } = model;
    let mut json = json!({
        "model_type": model_type,
        "architectures": [class],
        "vocab_size": vocabulary,
        "max_position_embeddings": context,
        "hidden_size": config.width,
        "intermediate_size": config.feed_forward_width(),
        "num_hidden_layers": config.layers,
        "num_attention_heads": config.heads,
        "rope_theta": config.rotary_base,
        "tie_word_embeddings": config.tied,
        // Some classes have numbers of their own, which may be above those of this tokenizer.
        "bos_token_id": null, "eos_token_id": null, "pad_token_id": null,
    });
    if let Some(scaling) = config.rotary_scaling.as_ref().map(|scaling| rope_scaling(scaling, *context)) {
        json["rope_scaling"] = scaling;
    }
    json
}

/// What Llama and its descendants share.
fn descendant(model: &Model<'_>, model_type: &str, class: &str) -> Value {
    let mut json = rotary(model, model_type, class);
    json["num_key_value_heads"] = json!(model.config.key_value_heads());
    json["head_dim"] = json!(model.config.head_width());
    json["rms_norm_eps"] = json!(model.config.norm_epsilon);
    json["hidden_act"] = json!("silu");
    json
}

fn with_attention_bias(mut json: Value, model: &Model<'_>) -> Value {
    if model.config.attention_biases() == [true, true] {
        json["attention_bias"] = json!(true);
    }
    json
}

fn with_layer_types(mut json: Value, model: &Model<'_>) -> Value {
    let config = model.config;
    let kind = |layer| match config.layer(layer) {
        AttentionLayer::Local => "sliding_attention",
        _ => "full_attention",
    };
    json["layer_types"] = (0..config.layers).map(kind).collect();
    json["sliding_window"] = json!(config.attention_window);
    json
}

fn llama(model: &Model<'_>) -> Value {
    with_attention_bias(descendant(model, "llama", "LlamaForCausalLM"), model)
}

fn mistral(model: &Model<'_>) -> Value {
    let mut json = descendant(model, "mistral", "MistralForCausalLM");
    json["sliding_window"] = json!(model.config.attention_window);
    json
}

fn qwen(model: &Model<'_>, model_type: &str, class: &str) -> Value {
    let json = descendant(model, model_type, class);
    if model.config.attention_window.is_none() {
        return json;
    }
    let mut json = with_layer_types(json, model);
    json["use_sliding_window"] = json!(true);
    json
}

fn qwen2(model: &Model<'_>) -> Value {
    qwen(model, "qwen2", "Qwen2ForCausalLM")
}

fn qwen3(model: &Model<'_>) -> Value {
    with_attention_bias(qwen(model, "qwen3", "Qwen3ForCausalLM"), model)
}

fn smollm3(model: &Model<'_>) -> Value {
    let config = model.config;
    let mut json = with_attention_bias(descendant(model, "smollm3", "SmolLM3ForCausalLM"), model);
    let is_rotated = |layer| u8::from(config.layer(layer) != AttentionLayer::Unrotated);
    json["no_rope_layers"] = (0..config.layers).map(is_rotated).collect();
    json["use_sliding_window"] = json!(false);
    json
}

fn olmo2(model: &Model<'_>) -> Value {
    with_attention_bias(descendant(model, "olmo2", "Olmo2ForCausalLM"), model)
}

fn with_gelu(mut json: Value, model: &Model<'_>) -> Value {
    json["hidden_act"] = json!("gelu_pytorch_tanh");
    json["hidden_activation"] = json!("gelu_pytorch_tanh");
    with_attention_bias(json, model)
}

fn gemma(model: &Model<'_>) -> Value {
    with_gelu(descendant(model, "gemma", "GemmaForCausalLM"), model)
}

fn later_gemma(model: &Model<'_>, model_type: &str, class: &str) -> Value {
    let config = model.config;
    let json = with_gelu(descendant(model, model_type, class), model);
    let mut json = with_layer_types(json, model);
    // The whole number whose root it was, in spite of two roundings: no other can be written.
    let scalar = config.attention_scale.map_or(config.head_width() as f64, |scale| (scale * scale).recip().round());
    json["query_pre_attn_scalar"] = json!(scalar as u64);
    json["attn_logit_softcapping"] = json!(config.attention_soft_cap);
    json["final_logit_softcapping"] = json!(config.logit_soft_cap);
    json
}

fn gemma2(model: &Model<'_>) -> Value {
    later_gemma(model, "gemma2", "Gemma2ForCausalLM")
}

fn gemma3(model: &Model<'_>) -> Value {
    let mut json = later_gemma(model, "gemma3_text", "Gemma3ForCausalLM");
    json["rope_local_base_freq"] = json!(model.config.local_rotary_base.unwrap_or(model.config.rotary_base));
    json
}

fn phi3(model: &Model<'_>) -> Value {
    let mut json = descendant(model, "phi3", "Phi3ForCausalLM");
    json["partial_rotary_factor"] = json!(model.config.rotary_fraction);
    json["original_max_position_embeddings"] = json!(model.context);
    json["sliding_window"] = json!(model.config.attention_window);
    json
}

fn stablelm(model: &Model<'_>) -> Value {
    let config = model.config;
    let mut json = rotary(model, "stablelm", "StableLmForCausalLM");
    json["num_key_value_heads"] = json!(config.key_value_heads());
    json["hidden_act"] = json!("silu");
    json["partial_rotary_factor"] = json!(config.rotary_fraction);
    json["layer_norm_eps"] = json!(config.norm_epsilon);
    json["use_qkv_bias"] = json!(config.attention_biases()[0]);
    json["use_parallel_residual"] = json!(false);
    json["qk_layernorm"] = json!(false);
    json
}

fn gpt_neox(model: &Model<'_>) -> Value {
    let config = model.config;
    let mut json = rotary(model, "gpt_neox", "GPTNeoXForCausalLM");
    json["rotary_pct"] = json!(config.rotary_fraction);
    json["rotary_emb_base"] = json!(config.rotary_base);
    json["layer_norm_eps"] = json!(config.norm_epsilon);
    json["hidden_act"] = json!(if config.activation == FeedForwardActivation::GeluTanh { "gelu_new" } else { "gelu" });
    json["use_parallel_residual"] = json!(config.parallel_residual);
    json["attention_bias"] = json!(config.attention_biases()[0]);
    json
}

fn rope_scaling(scaling: &RotaryScaling, context: usize) -> Value {
    match scaling {
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
        // Longer texts are none of the model's.
        RotaryScaling::LongRope(long) => json!({
            "rope_type": "longrope",
            "short_factor": long.factors,
            "long_factor": long.factors,
            "attention_factor": long.attention_factor,
            "factor": 1.0,
            "original_max_position_embeddings": context,
        }),
    }
}
