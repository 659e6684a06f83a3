use burn::module::Module;
use burn::tensor::{Device, Tensor};
use kiln_kernels::Draws;

use super::attention::Attention;
use super::block::Block;
use super::config::TransformerConfig;
use super::options::{FeedForwardActivation, NormKind, PositionKind};
use super::rotary::RotaryPositions;
use super::window::Window;
use crate::initializer::Initializer;
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

fn rotary(config: &TransformerConfig, steps: usize) -> Option<RotaryPositions> {
    let is_rotary = config.position == PositionKind::Rotary;
    is_rotary.then(|| RotaryPositions::new(steps, config.head_width(), config.rotary_base, None))
}

/// Output and all gradients of one part, against the fixture.
fn check_part<M: Module>(
    part: M,
    fixture_name: &str,
    names: &[&str],
    config: &TransformerConfig,
    forward: impl Fn(&M, Tensor<2>, &Window<'_>) -> Tensor<2>,
) {
    let device = Device::flex().autodiff();
    let fixture = Fixture::read(fixture_name);
    let part = with_reference_weights(part, names);
    let input = fixture.input::<3>("x", &device);
    let [rows, steps, width] = input.dims();
    let tables = rotary(config, steps);
    let (starts, lengths) = (vec![0; rows], vec![steps; rows]);
    let window = |rotary| Window { rows, steps, starts: &starts, lengths: &lengths, rotary, local_rotary: None };
    let window = window(tables.as_ref().map(|tables| tables.tables(steps, &device)));

    let output = forward(&part, input.clone().reshape([rows * steps, width]), &window).reshape([rows, steps, width]);

    fixture.check_output("output", &output);
    let gradients = objective(output, 0).backward();
    fixture.check_gradient("x", &input, &gradients);
    fixture.check_parameter_gradients(&part, 1, &gradients);

    let (starts, lengths) = (vec![0; rows], vec![steps; rows]);
    let window = |rotary| Window { rows, steps, starts: &starts, lengths: &lengths, rotary, local_rotary: None };
    let window = window(tables.map(|tables| tables.tables(steps, &Device::flex())));
    let output = forward(&part.valid(), input.inner().reshape([rows * steps, width]), &window);
    fixture.check_output("output", &output.reshape([rows, steps, width]));
}

fn check_attention(config: &TransformerConfig, fixture_name: &str, names: &[&str]) {
    let attention = Attention::init(config, 0, &mut Initializer::random(1, &Device::flex().autodiff()));
    check_part(attention, fixture_name, names, config, |part, input, window| {
        part.output.forward(part.forward(input, window, None, &mut Draws::none()).0, &mut Draws::none())
    });
}

fn check_block(config: &TransformerConfig, fixture_name: &str, names: &[&str]) {
    let block = Block::init(config, 0, &mut Initializer::random(1, &Device::flex().autodiff()));
    check_part(block, fixture_name, names, config, |part, input, window| {
        part.forward(input, window, None, &mut Draws::none()).0
    });
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
fn tables_grow_with_what_is_read_and_end_with_the_context() {
    let device = Device::flex();
    // A pair that turns by one radian for each token, and one by a tenth.
    let rotary = RotaryPositions::new(100, 4, 100.0, None);
    let table =
        |end: usize| rotary.tables(end, &device).map(|table| table.into_data().iter::<f32>().collect::<Vec<_>>());
    let [cosines, sines] = table(1);
    assert_eq!((cosines.len(), sines.len()), (2 * 64, 2 * 64));
    let expected = |position: f64| [position, position / 10.0];
    for (position, found) in sines.chunks(2).enumerate() {
        assert!(
            found.iter().zip(expected(position as f64)).all(|(found, angle)| (found - angle.sin() as f32).abs() < 1e-6)
        );
    }
    assert_eq!(table(65)[0].len(), 2 * 100);
    assert_eq!(table(65)[0][..2 * 64], cosines);
    // Shorter ones stay as they are.
    assert_eq!(table(3)[0].len(), 2 * 100);
    // Padding beyond the context.
    let [cosines, _] = table(103);
    assert_eq!(cosines[2 * 102..], cosines[2 * 99..2 * 100]);
    // Those that take no gradients are not those that do.
    assert!(rotary.tables(3, &device.clone().autodiff())[0].device().is_autodiff());
    assert!(!rotary.tables(3, &device)[0].device().is_autodiff());
}
