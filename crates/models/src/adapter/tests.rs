//! Adapters against PyTorch, and against the models that they are added to.

use burn::tensor::{Int, TensorData};
use kiln_parameters::map;

use super::*;
use crate::ModelConfig;
use crate::layers::Projection;
use crate::weight::Weight;

const TRANSFORMER: &str = r#"{"transformer": {"layers": 2, "heads": 2, "width": 8, "bias": true}}"#;
const LSTM: &str = r#"{"lstm": {"layers": 2, "hidden": 6, "embedding": 5}}"#;

fn lora(settings: &str) -> AdapterConfig {
    serde_json::from_str(&format!("{{\"lora\": {{{settings}}}}}")).unwrap()
}

fn base(model: &str) -> LanguageModel {
    let config: ModelConfig = serde_json::from_str(model).unwrap();
    config.init(7, 8, 5, &Device::flex())
}

/// The adapted model with numbers in the place of the zeros that its adapters begin with.
fn trained(model: &str, settings: &str) -> LanguageModel {
    let adapted = base(model).adapted(&lora(settings), 1).unwrap();
    map(adapted, |parameter, values| {
        if !parameter.path.ends_with("adapter.up") {
            return values;
        }
        let numbers: Vec<f32> = (0..parameter.elements()).map(|index| (index as f32 * 0.7).sin() / 4.0).collect();
        Tensor::from_data(numbers.as_slice(), &values.device())
    })
}

fn logits(model: &LanguageModel) -> Vec<f32> {
    let tokens = Tensor::<2, Int>::from_data([[0, 1, 2, 3, 4], [6, 5, 4, 3, 2]], &Device::flex());
    model.forward(tokens, None).0.into_data().iter().collect()
}

fn furthest(one: &[f32], other: &[f32]) -> f32 {
    assert_eq!(one.len(), other.len());
    one.iter().zip(other).map(|(one, other)| (one - other).abs()).fold(0.0, f32::max)
}

#[test]
fn a_fresh_adapter_changes_no_bit() {
    for model in [TRANSFORMER, LSTM] {
        let fresh = base(model).adapted(&lora(r#""rank": 3, "dropout": 0.5"#), 1).unwrap();
        assert!(logits(&fresh) == logits(&base(model)), "{model}");
    }
}

#[test]
fn lengths_begin_at_those_of_the_columns() {
    for model in [TRANSFORMER, LSTM] {
        let fresh = base(model).adapted(&lora(r#""rank": 3, "dora": true"#), 1).unwrap();
        assert!(furthest(&logits(&fresh), &logits(&base(model))) < 1e-6, "{model}");
        let lengths = kiln_parameters::catalogue(&fresh);
        let lengths: Vec<_> = lengths.iter().filter(|parameter| parameter.path.ends_with("magnitude")).collect();
        assert_eq!(lengths.len(), fresh.clone().products().len());
        // No optimizer makes them shorter by weight decay.
        assert!(lengths.iter().all(|parameter| parameter.role.is_of_adapter() && !parameter.role.is_matrix()));
    }
}

#[test]
fn one_that_was_trained_does_and_is_merged_within_the_precision_of_numbers() {
    for model in [TRANSFORMER, LSTM] {
        for settings in [
            r#""rank": 3"#,
            r#""rank": 2, "alpha": 8.0, "rank-stabilised": true, "targets": ["*.0.*"]"#,
            r#""rank": 3, "dora": true"#,
        ] {
            let adapted = trained(model, settings);
            assert!(furthest(&logits(&adapted), &logits(&base(model))) > 1e-3, "{model}");
            let merged = adapted.clone().merged();
            assert!(furthest(&logits(&merged), &logits(&adapted)) < 1e-5, "{model}");
            assert_eq!(merged.num_params(), base(model).num_params());
        }
    }
}

#[test]
fn adapters_are_added_to_packed_matrices_too() {
    for model in [TRANSFORMER, LSTM] {
        for settings in [r#""rank": 3"#, r#""rank": 3, "dora": true"#] {
            let adapted = trained(model, settings);
            let mut packed = adapted.clone();
            for matrix in packed.matrices() {
                *matrix.weight = matrix.weight.repacked(matrix.orientation, kiln_packed::Format::F32).unwrap();
            }
            assert_eq!(packed.packed_tensors().len(), packed.matrices().len());
            assert!(furthest(&logits(&packed), &logits(&adapted)) < 1e-5, "{model}");
            assert!(furthest(&logits(&packed.merged()), &logits(&adapted)) < 1e-5, "{model}");
        }
    }
}

#[test]
fn adapters_do_not_change_what_else_is_dropped_unless_they_drop() {
    // A fresh adapter adds zeros, so that the losses are the same where the same is dropped elsewhere.
    let losses = |model: LanguageModel| -> Vec<f32> {
        let window = |tokens: [[i32; 4]; 1]| Tensor::<2, Int>::from_data(tokens, &Device::flex());
        let draws = &mut Draws::from_seed(3);
        let (losses, _) = model.losses(window([[0, 1, 2, 3]]), window([[1, 2, 3, 0]]), None, draws);
        losses.into_data().iter().collect()
    };
    let dropping = TRANSFORMER.replace("\"bias\"", "\"dropout\": 0.5, \"bias\"");
    let adapted = base(&dropping).adapted(&lora(r#""rank": 2"#), 1).unwrap();
    assert!(losses(adapted) == losses(base(&dropping)));
    // One that drops numbers itself does change the losses.
    for model in [TRANSFORMER, LSTM] {
        let whole = losses(trained(model, r#""rank": 2"#));
        assert!(losses(trained(model, r#""rank": 2, "dropout": 0.5"#)) != whole, "{model}");
    }
}

#[test]
fn what_does_not_fit_is_named() {
    let error = |model: &str, settings: &str| base(model).adapted(&lora(settings), 1).unwrap_err().to_string();
    assert_eq!(
        error(LSTM, r#""rank": 1, "targets": ["layers.0.*", "*.query"]"#),
        "`adapter.lora.targets`: `*.query` fits no matrix that can have an adapter; those are `layers.0.input_weight`, \
         `layers.1.input_weight`"
    );
    assert_eq!(
        error(TRANSFORMER, r#""rank": 9, "targets": ["*feed_forward.input.weight"]"#),
        "`adapter.lora.rank` is 9, but `blocks.0.feed_forward.input.weight` has 8 inputs and 32 outputs: it can be at \
         most 8"
    );
}

/// Numbers of `scripts/reference/lora.py`.
#[derive(serde::Deserialize)]
struct Reference {
    input: Vec<f32>,
    weight: Vec<f32>,
    bias: Vec<f32>,
    factors: Vec<f32>,
    cases: Vec<Case>,
}

#[derive(serde::Deserialize)]
struct Case {
    rank: usize,
    alpha: f64,
    rank_stabilised: bool,
    down: Vec<f32>,
    up: Vec<f32>,
    output: Vec<f64>,
    input_gradient: Vec<f64>,
    down_gradient: Vec<f64>,
    up_gradient: Vec<f64>,
    lengths: Option<Vec<f32>>,
    lengths_gradient: Option<Vec<f64>>,
}

fn close(what: &str, found: Tensor<2>, expected: &[f64]) {
    let found: Vec<f64> = found.into_data().iter().collect();
    assert_eq!(found.len(), expected.len(), "{what}");
    for (found, expected) in found.iter().zip(expected) {
        assert!((found - expected).abs() < 1e-5 * expected.abs().max(1.0), "{what}: {found} {expected}");
    }
}

#[test]
fn outputs_and_gradients_are_those_of_pytorch() {
    const ROWS: usize = 4;
    const INPUTS: usize = 5;
    const OUTPUTS: usize = 6;
    let device = Device::flex().autodiff();
    let text = include_str!("../../fixtures/lora.json");
    let Reference { input, weight, bias, factors, cases } = serde_json::from_str(text).unwrap();
    let matrix =
        |numbers: &[f32], shape: [usize; 2]| Tensor::<2>::from_data(TensorData::new(numbers.to_vec(), shape), &device);
    assert_eq!(cases.len(), 6);
    for case in cases {
        let rank = case.rank;
        let config = LoraConfig {
            rank,
            alpha: Some(case.alpha),
            dropout: 0.0,
            targets: vec!["*".into()],
            rank_stabilised: case.rank_stabilised,
            dora: case.lengths.is_some(),
        };
        let magnitude = case.lengths.as_ref().map(|lengths| Tensor::from_data(lengths.as_slice(), &device));
        let adapter = Adapter {
            down: Param::from_tensor(matrix(&case.down, [INPUTS, rank])),
            up: Param::from_tensor(matrix(&case.up, [rank, OUTPUTS])),
            magnitude: magnitude.map(Param::from_tensor),
            scale: config.scale(),
            dropout: config.dropout,
        };
        let projection = Projection {
            weight: Weight::Parameter(Param::from_tensor(matrix(&weight, [INPUTS, OUTPUTS])).set_require_grad(false)),
            narrow: None,
            bias: Some(Param::from_tensor(Tensor::from_data(bias.as_slice(), &device)).set_require_grad(false)),
            adapter: Some(adapter.clone()),
        };
        let input = matrix(&input, [ROWS, INPUTS]).require_grad();
        let output = projection.forward(input.clone(), &mut Draws::none());
        close("output", output.clone(), &case.output);
        // Added to what is there already.
        let onto = projection.forward_onto(output.clone(), input.clone(), &mut Draws::none());
        close("onto", onto / 2.0, &case.output);
        let gradients = (output * matrix(&factors, [ROWS, OUTPUTS])).sum().backward();
        for (what, tensor, expected) in [
            ("input", input, &case.input_gradient),
            ("down", adapter.down.val(), &case.down_gradient),
            ("up", adapter.up.val(), &case.up_gradient),
        ] {
            close(what, tensor.grad(&gradients).unwrap(), expected);
        }
        if let (Some(magnitude), Some(expected)) = (&adapter.magnitude, &case.lengths_gradient) {
            let found: Tensor<1> = magnitude.val().grad(&gradients).unwrap();
            close("lengths", found.unsqueeze(), expected);
        }
        let Weight::Parameter(weight) = &projection.weight else { panic!("it is a parameter") };
        assert!(weight.val().grad(&gradients).is_none());
    }
}
