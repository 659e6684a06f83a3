//! What Muon does with matrices, and which it takes for its own.

use burn::tensor::Tensor;
use kiln_parameters::Role;

use super::support::{assert_close, double, fixture};
use crate::optimizers::muon::orthogonalised;
use crate::optimizers::*;

#[test]
fn a_tall_matrix_is_treated_as_its_transpose() {
    let gradients = &fixture().gradients[1].matrix;
    let wide: Tensor<2> = double(&gradients.data).reshape([2, 3]);
    let expected: Vec<f64> = orthogonalised(wide.clone()).into_data().iter().collect();
    let found = orthogonalised(wide.transpose()).transpose().into_data();
    assert_close(&found, &expected, 1e-14, "transposed");
}

/// For a diagonal matrix the iteration is its polynomial, applied to each singular value by itself.
#[test]
fn singular_values_follow_the_published_polynomial() {
    let values = [3.0_f64, 1.0, 0.2];
    let norm = values.iter().map(|value| value * value).sum::<f64>().sqrt();
    let expected =
        values.map(|value| (0..5).fold(value / norm, |s: f64, _| 3.4445 * s - 4.7750 * s.powi(3) + 2.0315 * s.powi(5)));
    let mut diagonal = [0.0; 9];
    for (index, value) in values.into_iter().enumerate() {
        diagonal[4 * index] = value;
    }
    let found = orthogonalised(double(&diagonal).reshape([3, 3])).into_data().iter().collect::<Vec<f64>>();
    for (index, value) in expected.into_iter().enumerate() {
        assert!((found[4 * index] - value).abs() < 1e-12, "{} instead of {value}", found[4 * index]);
        // The authors' bound on where a singular value that is not tiny ends.
        assert!((0.6..1.3).contains(&value), "{value}");
    }
    assert!(found.iter().enumerate().all(|(index, value)| index % 4 == 0 || value.abs() < 1e-15));
}

#[test]
fn a_matrix_without_a_gradient_only_decays() {
    let rule = OptimizerConfig::Muon(MuonConfig::default()).rule();
    let parameter = Parameter { path: "layers.0.weight", shape: &[2, 2], role: Role::HiddenMatrix, step: 1 };
    let updated = rule.update(parameter, double(&[1.0; 4]), double(&[0.0; 4]), &mut Slots::default(), &Rate::Same(0.5));
    assert_close(&updated.into_data(), &[0.95; 4], 1e-15, "decayed");
}
