use burn::module::Module;
use burn::tensor::{Bool, Device, Tensor};

use super::attention::{Attention, Window};
use super::block::Block;
use super::config::{FeedForwardActivation, NormKind, PositionKind, TransformerConfig};
use super::mask::causal_mask;
use super::rotary::RotaryPositions;
use crate::reference::{Fixture, objective, with_reference_weights};

/// Llama's choices at a size that fits a fixture: 4 heads of width 4, 2 key-value heads.
fn llama() -> TransformerConfig {
    TransformerConfig {
        layers: 1,
        width: 16,
        heads: 4,
        key_value_heads: Some(2),
        feed_forward: Some(12),
        position: PositionKind::Rotary,
        norm: NormKind::Rms,
        activation: FeedForwardActivation::Swiglu,
        ..TransformerConfig::default()
    }
}

/// GPT-2's choices at a size that fits a fixture.
fn gpt2() -> TransformerConfig {
    TransformerConfig {
        layers: 1,
        width: 8,
        heads: 2,
        bias: true,
        activation: FeedForwardActivation::GeluTanh,
        ..TransformerConfig::default()
    }
}

fn window(attention: &Attention, config: &TransformerConfig, rows: usize, steps: usize, device: &Device) -> Window {
    let rotary = RotaryPositions::new(steps, config.head_width(), config.rotary_base, device);
    let rotation = (config.position == PositionKind::Rotary).then(|| rotary.at(0, steps));
    Window { rows, steps, start: 0, mask: attention.mask(0, steps, steps, device), rotation }
}

/// Output and all gradients of one part, against the fixture.
fn check_part<M: Module>(
    part: M,
    fixture_name: &str,
    names: &[&str],
    attention: impl Fn(&M) -> &Attention,
    config: &TransformerConfig,
    forward: impl Fn(&M, Tensor<2>, &Window) -> Tensor<2>,
) {
    let device = Device::flex().autodiff();
    let fixture = Fixture::read(fixture_name);
    let part = with_reference_weights(part, names);
    let input = fixture.input::<3>("x", &device);
    let [rows, steps, width] = input.dims();
    let window = window(attention(&part), config, rows, steps, &device);

    let output = forward(&part, input.clone().reshape([rows * steps, width]), &window).reshape([rows, steps, width]);

    fixture.check_output("output", &output);
    let gradients = objective(output, 0).backward();
    fixture.check_gradient("x", &input, &gradients);
    fixture.check_parameter_gradients(&part, 1, &gradients);

    // Without autodiff the attention may take Burn's fused operation instead.
    let (part, plain) = (part.valid(), Device::flex());
    let window = self::window(attention(&part), config, rows, steps, &plain);
    let output = forward(&part, input.inner().reshape([rows * steps, width]), &window);
    fixture.check_output("output", &output.reshape([rows, steps, width]));
}

fn check_attention(config: &TransformerConfig, fixture_name: &str, names: &[&str]) {
    let attention = Attention::init(config, &Device::flex().autodiff());
    check_part(
        attention,
        fixture_name,
        names,
        |part| part,
        config,
        |part, input, window| part.forward(input, window, None).0,
    );
}

fn check_block(config: &TransformerConfig, fixture_name: &str, names: &[&str]) {
    let block = Block::init(config, &Device::flex().autodiff());
    check_part(
        block,
        fixture_name,
        names,
        |part| &part.attention,
        config,
        |part, input, window| part.forward(input, window, None).0,
    );
}

const GPT2_BLOCK: [&str; 12] = [
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

const LLAMA_BLOCK: [&str; 6] = [
    "attention_norm.weight",
    "attention.query_key_value.weight",
    "attention.output.weight",
    "feed_forward_norm.weight",
    "feed_forward.input.weight",
    "feed_forward.output.weight",
];

#[test]
fn attention_agrees_with_pytorch() {
    let names = ["query_key_value.weight", "query_key_value.bias", "output.weight", "output.bias"];
    check_attention(&gpt2(), "attention", &names);
}

#[test]
fn grouped_query_attention_with_rotary_positions_agrees_with_pytorch() {
    check_attention(&llama(), "attention_grouped_rotary", &["query_key_value.weight", "output.weight"]);
}

#[test]
fn attention_with_query_key_norm_and_soft_cap_agrees_with_pytorch() {
    let config = TransformerConfig { query_key_norm: true, attention_soft_cap: Some(2.0), ..llama() };
    let names = ["query_key_value.weight", "output.weight", "query_norm.weight", "key_norm.weight"];
    check_attention(&config, "attention_query_key_norm", &names);
}

#[test]
fn a_gpt2_block_agrees_with_pytorch() {
    check_block(&gpt2(), "gpt2_block", &GPT2_BLOCK);
}

#[test]
fn a_gpt2_block_with_exact_gelu_agrees_with_pytorch() {
    let config = TransformerConfig { activation: FeedForwardActivation::Gelu, ..gpt2() };
    check_block(&config, "gpt2_block_erf", &GPT2_BLOCK);
}

#[test]
fn a_llama_block_agrees_with_pytorch() {
    check_block(&llama(), "llama_block", &LLAMA_BLOCK);
}

#[test]
fn the_mask_forbids_exactly_the_later_keys() {
    let device = Device::flex();
    let allowed: Tensor<2, Bool> = causal_mask(2, 2, 5, 2, &device).greater_equal_elem(0.0);
    let row = |last: usize| (0..5).map(|key| key <= last).collect::<Vec<bool>>();
    let expected = [row(2), row(3), row(2), row(3)].concat();
    assert_eq!(allowed.to_data().iter::<bool>().collect::<Vec<bool>>(), expected);
}
