//! Optimizers and clipping against outside figures (scripts/reference/optimizers.py).

mod eight_bits;
mod guarded;
mod hostile;
mod muon;
mod rates;
mod schedule_free;
mod settings;
mod support;

use std::collections::BTreeMap;

use burn::module::Module;
use burn::tensor::Device;
use serde::Deserialize;

use self::support::{Pair, Pieces, fixture, parameter};
use super::*;

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

/// The names of the cases of which there must be one at least, so that none is lost.
const RULES: [&str; 8] =
    ["adamw", "adam", "sgd", "rmsprop", "lion", "muon", "schedule_free_sgd", "schedule_free_adamw"];

#[test]
fn every_optimizer_takes_the_references_steps() {
    let fixture = fixture();
    for rule in RULES {
        assert!(fixture.cases.keys().any(|name| name.starts_with(rule)), "no case of {rule}");
    }
    for (name, case) in &fixture.cases {
        let mut optimizer = case.config(name).build();
        let mut pieces = Pieces::new(&fixture.initial);
        assert_eq!(case.steps.len(), 8, "{name}");
        for (step, expected) in case.steps.iter().enumerate() {
            let gradients = pieces.gradients(&fixture.gradients[step]);
            pieces = optimizer.update(pieces, gradients, 1.0, fixture.rates[step]);
            pieces.assert_close(expected, &format!("{name}, step {step}"));
            let evaluated = optimizer.for_evaluation(pieces.valid());
            let expected = case.evaluation.as_ref().map_or(expected, |evaluation| &evaluation[step]);
            evaluated.assert_close(expected, &format!("{name}, evaluated after step {step}"));
        }
        assert_eq!(optimizer.has_evaluation_weights(), case.evaluation.is_some(), "{name}");
    }
}

/// Gradients a quarter as large, multiplied by four, are the same numbers: so must the steps be.
#[test]
fn a_scale_is_a_factor_of_every_gradient() {
    let fixture = fixture();
    for (name, case) in &fixture.cases {
        let (mut plain, mut scaled) = (case.config(name).build(), case.config(name).build());
        let (mut pieces, mut others) = (Pieces::new(&fixture.initial), Pieces::new(&fixture.initial));
        for step in 0..case.steps.len() {
            let gradients = pieces.gradients(&fixture.gradients[step]);
            pieces = plain.update(pieces, gradients, 1.0, fixture.rates[step]);
            let quarters = others.gradients(&fixture.gradients[step].map(|number| number as f32 as f64 / 4.0));
            others = scaled.update(others, quarters, 4.0, fixture.rates[step]);
            assert_eq!(pieces.matrix.val().to_data(), others.matrix.val().to_data(), "{name}, step {step}");
            assert_eq!(pieces.vector.val().to_data(), others.vector.val().to_data(), "{name}, step {step}");
        }
        assert_eq!(plain.state().unwrap(), scaled.state().unwrap(), "{name}");
    }
}

#[test]
fn a_parameter_without_a_gradient_stays_with_its_state() {
    let fixture = fixture();
    for (name, case) in &fixture.cases {
        let mut optimizer = case.config(name).build();
        let pieces = Pieces::new(&fixture.initial);
        let gradients = pieces.gradients(&fixture.gradients[0]);
        let pieces = optimizer.update(pieces, gradients, 1.0, 0.1);
        let (before, vector) = (optimizer.state().unwrap(), pieces.vector.val().to_data());
        let mut gradients = pieces.gradients(&fixture.gradients[1]);
        gradients.remove::<1>(pieces.vector.id);
        let matrix = pieces.matrix.val().to_data();
        let pieces = optimizer.update(pieces, gradients, 1.0, 0.1);
        assert_eq!(pieces.vector.val().to_data(), vector, "{name}");
        assert_ne!(pieces.matrix.val().to_data(), matrix, "{name}");
        assert!(pieces.matrix.val().is_require_grad() && pieces.vector.val().is_require_grad(), "{name}");
        let of_vector = |state: &BTreeMap<String, burn::tensor::TensorData>| {
            let of_it = state.iter().filter(|(path, _)| path.starts_with("vector/"));
            of_it.map(|(path, data)| (path.clone(), data.clone())).collect::<Vec<_>>()
        };
        assert_eq!(of_vector(&optimizer.state().unwrap()), of_vector(&before), "{name}");
    }
}

#[test]
fn a_restored_optimizer_takes_the_same_steps() {
    let fixture = fixture();
    let parameters = [parameter("matrix", &[2, 3]), parameter("vector", &[3])];
    for (name, case) in &fixture.cases {
        let config = case.config(name);
        for stop in [1, 4] {
            let mut optimizer = config.build();
            let mut pieces = Pieces::new(&fixture.initial);
            for step in 0..stop {
                let gradients = pieces.gradients(&fixture.gradients[step]);
                pieces = optimizer.update(pieces, gradients, 1.0, fixture.rates[step]);
            }
            let mut restored = config.build();
            restored.restore(optimizer.state().unwrap(), optimizer.step(), &parameters, &Device::flex()).unwrap();
            assert_eq!(restored.state().unwrap(), optimizer.state().unwrap(), "{name}");
            for step in stop..case.steps.len() {
                let gradients = pieces.gradients(&fixture.gradients[step]);
                pieces = restored.update(pieces, gradients, 1.0, fixture.rates[step]);
                pieces.assert_close(&case.steps[step], &format!("{name}, step {step}"));
            }
        }
    }
}

#[test]
fn a_state_that_does_not_fit_is_refused_by_name() {
    let fixture = fixture();
    let config = OptimizerConfig::Adamw(AdamwConfig::default());
    let mut optimizer = config.build();
    let pieces = Pieces::new(&fixture.initial);
    let gradients = pieces.gradients(&fixture.gradients[0]);
    optimizer.update(pieces, gradients, 1.0, 0.1);
    let state = optimizer.state().unwrap();
    let restore = |state, lengths: &[(&str, usize)]| {
        let parameters: Vec<_> = lengths.iter().map(|(path, length)| parameter(path, &[*length])).collect();
        config.build().restore(state, 1, &parameters, &Device::flex()).unwrap_err().to_string()
    };
    let missing = restore(state.clone(), &[("matrix", 6), ("vector", 3), ("other", 2)]);
    assert_eq!(missing, "the optimizer state lacks `other/first_moment`");
    let longer = restore(state.clone(), &[("matrix", 7), ("vector", 3)]);
    assert_eq!(longer, "the optimizer state `matrix/first_moment` has 6 numbers instead of 7");
    let left_over = restore(state, &[("matrix", 6)]);
    assert_eq!(
        left_over,
        "the optimizer state holds `vector/first_moment`, which is no slot of a parameter of this model"
    );
}

#[test]
fn gradients_are_clipped_by_their_norm_together_as_pytorch_does() {
    let fixture: ClippingFixture = serde_json::from_str(include_str!("../../../fixtures/clipping.json")).unwrap();
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
