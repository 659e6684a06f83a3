//! Optimizers and clipping against PyTorch's figures (scripts/reference/optimizers.py).

use burn::module::{Module, Param};
use burn::optim::GradientsParams;
use burn::tensor::{Device, Tensor, TensorData};
use serde::Deserialize;
use std::collections::BTreeMap;

use super::*;

#[derive(Deserialize)]
struct Array {
    shape: Vec<usize>,
    data: Vec<f64>,
}

#[derive(Deserialize)]
struct Pair {
    matrix: Array,
    vector: Array,
}

#[derive(Deserialize)]
struct Fixture {
    initial: Pair,
    rates: Vec<f64>,
    gradients: Vec<Pair>,
    cases: BTreeMap<String, Case>,
}

#[derive(Deserialize)]
struct Case {
    settings: BTreeMap<String, serde_json::Value>,
    steps: Vec<Pair>,
}

#[derive(Deserialize)]
struct ClippingFixture {
    cases: BTreeMap<String, ClippingCase>,
}

#[derive(Deserialize)]
struct ClippingCase {
    max_norm: f64,
    gradients: Pair,
    norm: f64,
    clipped: Pair,
}

/// A matrix and a vector, the parameters of the fixtures.
#[derive(Module, Debug)]
struct Pieces {
    matrix: Param<Tensor<2>>,
    vector: Param<Tensor<1>>,
}

impl Pieces {
    fn new(values: &Pair) -> Self {
        let device = Device::flex().autodiff();
        Self {
            matrix: Param::from_tensor(tensor(&values.matrix, &device)),
            vector: Param::from_tensor(tensor(&values.vector, &device)),
        }
    }

    fn gradients(&self, values: &Pair) -> GradientsParams {
        let device = Device::flex();
        let mut gradients = GradientsParams::new();
        gradients.register::<2>(self.matrix.id, tensor(&values.matrix, &device));
        gradients.register::<1>(self.vector.id, tensor(&values.vector, &device));
        gradients
    }

    fn assert_close(&self, expected: &Pair, what: &str) {
        assert_close(&self.matrix.val().to_data(), &expected.matrix, what);
        assert_close(&self.vector.val().to_data(), &expected.vector, what);
    }
}

fn tensor<const D: usize>(array: &Array, device: &Device) -> Tensor<D> {
    let values: Vec<f32> = array.data.iter().map(|value| *value as f32).collect();
    Tensor::from_data(TensorData::new(values, array.shape.clone()), device)
}

/// Single precision: relative 2e-6 of values near 1.
fn assert_close(found: &TensorData, expected: &Array, what: &str) {
    for (index, (found, expected)) in found.iter::<f64>().zip(&expected.data).enumerate() {
        assert!((found - expected).abs() < 2e-6, "{what}[{index}] is {found}, PyTorch has {expected}");
    }
}

fn fixture() -> Fixture {
    serde_json::from_str(include_str!("../../fixtures/optimizers.json")).unwrap()
}

/// The configuration that means what the case's PyTorch settings mean.
fn configured(name: &str, settings: &BTreeMap<String, serde_json::Value>) -> OptimizerConfig {
    let number = |key: &str| settings.get(key).and_then(serde_json::Value::as_f64).unwrap_or(0.0);
    if name.starts_with("adam") {
        let betas = settings["betas"].as_array().unwrap();
        OptimizerConfig::Adamw(AdamConfig {
            betas: [betas[0].as_f64().unwrap(), betas[1].as_f64().unwrap()],
            epsilon: number("eps"),
            weight_decay: number("weight_decay"),
        })
    } else {
        OptimizerConfig::Sgd(SgdConfig {
            momentum: number("momentum"),
            nesterov: settings.get("nesterov").and_then(serde_json::Value::as_bool).unwrap_or(false),
            weight_decay: number("weight_decay"),
        })
    }
}

#[test]
fn every_optimizer_takes_pytorchs_steps() {
    let fixture = fixture();
    let mut compared = 0;
    for (name, case) in &fixture.cases {
        let mut optimizer = configured(name, &case.settings).build();
        let mut pieces = Pieces::new(&fixture.initial);
        for (step, expected) in case.steps.iter().enumerate() {
            let gradients = pieces.gradients(&fixture.gradients[step]);
            pieces = optimizer.update(pieces, gradients, 1.0, fixture.rates[step]);
            pieces.assert_close(expected, &format!("{name}, step {step}"));
            compared += 1;
        }
    }
    assert!(compared >= 6 * 6, "only {compared} steps were compared");
}

#[test]
fn a_restored_optimizer_takes_the_same_steps() {
    let fixture = fixture();
    for (name, case) in &fixture.cases {
        let config = configured(name, &case.settings);
        let mut optimizer = config.build();
        let mut pieces = Pieces::new(&fixture.initial);
        let half = case.steps.len() / 2;
        for step in 0..half {
            let gradients = pieces.gradients(&fixture.gradients[step]);
            pieces = optimizer.update(pieces, gradients, 1.0, fixture.rates[step]);
        }
        let lengths = BTreeMap::from([("matrix".to_string(), 6), ("vector".to_string(), 3)]);
        let mut restored = config.build();
        restored.restore(optimizer.state(), optimizer.step(), &lengths, &Device::flex()).unwrap();
        for step in half..case.steps.len() {
            let gradients = pieces.gradients(&fixture.gradients[step]);
            pieces = restored.update(pieces, gradients, 1.0, fixture.rates[step]);
            pieces.assert_close(&case.steps[step], &format!("{name}, step {step}"));
        }
    }
}

#[test]
fn a_state_that_does_not_fit_is_refused_by_name() {
    let fixture = fixture();
    let config = OptimizerConfig::Adamw(AdamConfig::default());
    let mut optimizer = config.build();
    let pieces = Pieces::new(&fixture.initial);
    let gradients = pieces.gradients(&fixture.gradients[0]);
    optimizer.update(pieces, gradients, 1.0, 0.1);
    let state = optimizer.state();
    let restore = |state, lengths: &[(&str, usize)]| {
        let lengths = lengths.iter().map(|(path, length)| ((*path).to_string(), *length)).collect();
        config.build().restore(state, 1, &lengths, &Device::flex()).unwrap_err().to_string()
    };
    let missing = restore(state.clone(), &[("matrix", 6), ("vector", 3), ("other", 2)]);
    assert_eq!(missing, "the optimizer state lacks `other/first_moment`");
    let longer = restore(state.clone(), &[("matrix", 7), ("vector", 3)]);
    assert_eq!(longer, "the optimizer state `matrix/first_moment` has 6 numbers, its parameter 7");
    let left_over = restore(state, &[("matrix", 6)]);
    assert_eq!(
        left_over,
        "the optimizer state holds `vector/first_moment`, which is no slot of a parameter of this model"
    );
}

#[test]
fn gradients_are_clipped_by_their_norm_together_as_pytorch_does() {
    let fixture: ClippingFixture = serde_json::from_str(include_str!("../../fixtures/clipping.json")).unwrap();
    for (name, case) in &fixture.cases {
        let pieces = Pieces::new(&case.gradients);
        let gradients = pieces.gradients(&case.gradients);
        let norm = global_norm(&pieces, &gradients).unwrap().0.into_scalar::<f64>();
        assert!(
            (norm - case.norm).abs() <= 1e-6 * case.norm.max(1e-6),
            "{name}: norm {norm}, PyTorch has {}",
            case.norm
        );
        let scale = clip_coefficient(norm, Some(case.max_norm));
        for (before, after) in
            [(&case.gradients.matrix, &case.clipped.matrix), (&case.gradients.vector, &case.clipped.vector)]
        {
            for (before, after) in before.data.iter().zip(&after.data) {
                assert!((before * scale - after).abs() <= 1e-6 * after.abs().max(1e-6), "{name}");
            }
        }
    }
}

#[test]
fn without_a_limit_nothing_is_scaled() {
    assert_eq!(clip_coefficient(1e9, None), 1.0);
}

#[test]
fn mistakes_in_the_settings_are_named() {
    let adamw = OptimizerConfig::Adamw(AdamConfig { betas: [1.0, 0.9], epsilon: 0.0, weight_decay: -1.0 });
    let keys: Vec<_> = adamw.validate().into_iter().map(|violation| violation.key).collect();
    assert_eq!(keys, ["adamw.betas", "adamw.epsilon", "adamw.weight-decay"]);
    let sgd = OptimizerConfig::Sgd(SgdConfig { momentum: 0.0, nesterov: true, weight_decay: f64::NAN });
    let keys: Vec<_> = sgd.validate().into_iter().map(|violation| violation.key).collect();
    assert_eq!(keys, ["sgd.nesterov", "sgd.weight-decay"]);
}
