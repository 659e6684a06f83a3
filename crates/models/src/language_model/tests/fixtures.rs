//! Whole models against PyTorch: logits, loss and the gradient of every parameter.

use burn::tensor::Device;
use kiln_kernels::Draws;

use crate::ModelConfig;
use crate::recurrent::{GruConfig, LstmConfig, RnnConfig};
use crate::reference::{Fixture, with_reference_weights};
use crate::transformer::{FeedForwardActivation, NormKind, PositionKind, TransformerConfig};

const BIASED_BLOCK: [&str; 12] = [
    "attention_norm.weight",
    "attention_norm.bias",
    "attention.query_key_value.weight",
    "attention.query_key_value.bias",
    "attention.output.weight",
    "attention.output.bias",
    "feed_forward_norm.weight",
    "feed_forward_norm.bias",
    "feed_forward.input.weight",
    "feed_forward.input.bias",
    "feed_forward.output.weight",
    "feed_forward.output.bias",
];

const BLOCK: [&str; 6] = [
    "attention_norm.weight",
    "attention.query_key_value.weight",
    "attention.output.weight",
    "feed_forward_norm.weight",
    "feed_forward.input.weight",
    "feed_forward.output.weight",
];

/// The names of two blocks or layers between those of what stands before and after them.
fn names(before: &[&str], prefix: &str, repeated: &[&str], after: &[&str]) -> Vec<String> {
    let own = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
    let blocks = (0..2).flat_map(|index| repeated.iter().map(move |name| format!("{prefix}.{index}.{name}")));
    own(before).into_iter().chain(blocks).chain(own(after)).collect()
}

fn check(config: ModelConfig, fixture_name: &str, names: &[String]) {
    let device = Device::flex().autodiff();
    let fixture = Fixture::read(fixture_name);
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let model = with_reference_weights(config.init(5, 6, 1, &device), &names);

    let (logits, _) = model.forward(fixture.tokens("tokens", &device), None);

    fixture.check_output("logits", &logits);
    let (tokens, targets) = (fixture.tokens("tokens", &device), fixture.tokens("targets", &device));
    let loss = model.losses(tokens, targets, None, &mut Draws::none()).0.mean();
    fixture.check_output("loss", &loss);
    fixture.check_parameter_gradients(&model, 0, &loss.backward());
}

#[test]
fn an_elman_language_model_agrees_with_pytorch() {
    let config = RnnConfig { hidden: 4, embedding: Some(3), ..RnnConfig::default() };
    let names = names(
        &["embedding.weight"],
        "layers",
        &["input_weight", "hidden_weight", "bias"],
        &["output.weight", "output.bias"],
    );
    check(ModelConfig::Rnn(config), "rnn_language_model", &names);
}

#[test]
fn an_lstm_language_model_agrees_with_pytorch() {
    let config = LstmConfig { hidden: 4, embedding: Some(3), ..LstmConfig::default() };
    let names = names(
        &["embedding.weight"],
        "layers",
        &["input_weight", "hidden_weight", "bias"],
        &["output.weight", "output.bias"],
    );
    check(ModelConfig::Lstm(config), "lstm_language_model", &names);
}

#[test]
fn a_gru_language_model_with_tied_head_agrees_with_pytorch() {
    let config = GruConfig { hidden: 4, tied: true, ..GruConfig::default() };
    let names = names(
        &["embedding.weight"],
        "layers",
        &["input_weight", "hidden_weight", "bias", "hidden_bias"],
        &["output.bias"],
    );
    check(ModelConfig::Gru(config), "gru_language_model", &names);
}

#[test]
fn gpt2_agrees_with_pytorch() {
    let config = TransformerConfig {
        layers: 2,
        heads: 2,
        width: 8,
        bias: true,
        activation: FeedForwardActivation::GeluTanh,
        ..TransformerConfig::default()
    };
    let embeddings = ["token_embedding.weight", "position_embedding.weight"];
    let names = names(&embeddings, "blocks", &BIASED_BLOCK, &["final_norm.weight", "final_norm.bias"]);
    check(ModelConfig::Transformer(config), "gpt2_language_model", &names);
}

#[test]
fn nanogpt_agrees_with_pytorch() {
    let config = TransformerConfig { layers: 2, heads: 2, width: 8, ..TransformerConfig::default() };
    let embeddings = ["token_embedding.weight", "position_embedding.weight"];
    let names = names(&embeddings, "blocks", &BLOCK, &["final_norm.weight"]);
    check(ModelConfig::Transformer(config), "nanogpt_language_model", &names);
}

/// Llama's choices at the fixtures' size.
fn llama() -> TransformerConfig {
    TransformerConfig {
        layers: 2,
        heads: 4,
        key_value_heads: Some(2),
        width: 16,
        feed_forward: Some(12),
        position: PositionKind::Rotary,
        norm: NormKind::Rms,
        activation: FeedForwardActivation::Swiglu,
        tied: false,
        ..TransformerConfig::default()
    }
}

#[test]
fn llama_agrees_with_pytorch() {
    let names = names(&["token_embedding.weight"], "blocks", &BLOCK, &["final_norm.weight", "output.weight"]);
    check(ModelConfig::Transformer(llama()), "llama_language_model", &names);
}

#[test]
fn a_model_with_norms_caps_and_squared_relu_agrees_with_pytorch() {
    let config = TransformerConfig {
        feed_forward: Some(24),
        activation: FeedForwardActivation::ReluSquared,
        tied: true,
        query_key_norm: true,
        attention_soft_cap: Some(2.0),
        logit_soft_cap: Some(3.0),
        ..llama()
    };
    let block = [
        "attention_norm.weight",
        "attention.query_key_value.weight",
        "attention.output.weight",
        "attention.query_norm.weight",
        "attention.key_norm.weight",
        "feed_forward_norm.weight",
        "feed_forward.input.weight",
        "feed_forward.output.weight",
    ];
    let names = names(&["token_embedding.weight"], "blocks", &block, &["final_norm.weight"]);
    check(ModelConfig::Transformer(config), "capped_language_model", &names);
}
