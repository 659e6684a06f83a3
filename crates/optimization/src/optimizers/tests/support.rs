//! The fixture of the optimizers (scripts/reference/optimizers.py), and modules and settings after it.

use std::collections::BTreeMap;

use burn::module::{Module, Param, ParamId};
use burn::optim::GradientsParams;
use burn::tensor::{DType, Device, Tensor, TensorData};
use kiln_parameters::Role;
use serde::Deserialize;

use crate::optimizers::*;

/// A parameter of this path and shape.
pub(super) fn parameter(path: &str, shape: &[usize]) -> kiln_parameters::Parameter {
    let role = if shape.len() > 1 { Role::HiddenMatrix } else { Role::Bias };
    let (path, shape, id) = (path.to_string(), shape.to_vec(), ParamId::new());
    kiln_parameters::Parameter { path, id, role, dtype: DType::F32, shape, is_trained: true }
}

#[derive(Deserialize)]
pub(super) struct Array {
    pub(super) shape: Vec<usize>,
    pub(super) data: Vec<f64>,
}

#[derive(Deserialize)]
pub(super) struct Pair {
    pub(super) matrix: Array,
    pub(super) vector: Array,
}

impl Pair {
    /// Every number changed.
    pub(super) fn map(&self, change: impl Fn(f64) -> f64) -> Self {
        let of = |array: &Array| Array {
            shape: array.shape.clone(),
            data: array.data.iter().copied().map(&change).collect(),
        };
        Self { matrix: of(&self.matrix), vector: of(&self.vector) }
    }
}

#[derive(Deserialize)]
pub(super) struct Fixture {
    pub(super) initial: Pair,
    pub(super) rates: Vec<f64>,
    pub(super) gradients: Vec<Pair>,
    pub(super) cases: BTreeMap<String, Case>,
}

#[derive(Deserialize)]
pub(super) struct Case {
    settings: Settings,
    pub(super) steps: Vec<Pair>,
    /// The weights to evaluate with, where they are others.
    pub(super) evaluation: Option<Vec<Pair>>,
}

/// Names as in the reference.
#[derive(Deserialize)]
struct Settings {
    weight_decay: f64,
    #[serde(default)]
    betas: [f64; 2],
    #[serde(default)]
    eps: f64,
    #[serde(default)]
    alpha: f64,
    #[serde(default)]
    momentum: f64,
    #[serde(default)]
    nesterov: bool,
    #[serde(default)]
    centered: bool,
    adjustment: Option<MuonAdjustment>,
    #[serde(default)]
    rest_rate: f64,
}

pub(super) fn fixture() -> Fixture {
    serde_json::from_str(include_str!("../../../fixtures/optimizers.json")).unwrap()
}

impl Case {
    /// The configuration that means what the settings of the case `name` mean.
    pub(super) fn config(&self, name: &str) -> OptimizerConfig {
        let Settings { weight_decay, betas, eps: epsilon, alpha, momentum, nesterov, centered, .. } = self.settings;
        if name.starts_with("adamw") {
            OptimizerConfig::Adamw(AdamwConfig { betas, epsilon, weight_decay })
        } else if name.starts_with("adam") {
            OptimizerConfig::Adam(AdamConfig { betas, epsilon, weight_decay })
        } else if name.starts_with("sgd") {
            OptimizerConfig::Sgd(SgdConfig { momentum, nesterov, weight_decay })
        } else if name.starts_with("rmsprop") {
            OptimizerConfig::Rmsprop(RmspropConfig { decay: alpha, epsilon, momentum, centered, weight_decay })
        } else if name.starts_with("lion") {
            OptimizerConfig::Lion(LionConfig { betas, weight_decay })
        } else if name.starts_with("muon") {
            OptimizerConfig::Muon(MuonConfig {
                momentum,
                nesterov,
                adjustment: self.settings.adjustment.unwrap(),
                weight_decay,
                rest_rate: self.settings.rest_rate,
                rest_betas: betas,
                rest_epsilon: epsilon,
            })
        } else if name == "schedule_free_sgd" {
            OptimizerConfig::ScheduleFreeSgd(ScheduleFreeSgdConfig { momentum, weight_decay })
        } else {
            assert_eq!(name, "schedule_free_adamw");
            OptimizerConfig::ScheduleFreeAdamw(ScheduleFreeAdamwConfig { betas, epsilon, weight_decay })
        }
    }
}

/// A matrix and a vector, the parameters of the fixture.
#[derive(Module, Debug)]
pub(super) struct Pieces {
    pub(super) matrix: Param<Tensor<2>>,
    pub(super) vector: Param<Tensor<1>>,
}

impl Pieces {
    pub(super) fn new(values: &Pair) -> Self {
        let device = Device::flex().autodiff();
        Self {
            matrix: Param::from_tensor(single(&values.matrix, &device)),
            vector: Param::from_tensor(single(&values.vector, &device)),
        }
    }

    pub(super) fn gradients(&self, values: &Pair) -> GradientsParams {
        let device = Device::flex();
        let mut gradients = GradientsParams::new();
        gradients.register::<2>(self.matrix.id, single(&values.matrix, &device));
        gradients.register::<1>(self.vector.id, single(&values.vector, &device));
        gradients
    }

    /// Single precision: 2e-6 for values near 1.
    pub(super) fn assert_close(&self, expected: &Pair, what: &str) {
        assert_close(&self.matrix.val().to_data(), &expected.matrix.data, 2e-6, what);
        assert_close(&self.vector.val().to_data(), &expected.vector.data, 2e-6, what);
    }
}

/// The numbers in single precision, as models have them.
fn single<const D: usize>(array: &Array, device: &Device) -> Tensor<D> {
    let values: Vec<f32> = array.data.iter().map(|value| *value as f32).collect();
    Tensor::from_data(TensorData::new(values, array.shape.clone()), device)
}

/// A flat vector in double precision.
pub(super) fn double(values: &[f64]) -> Tensor<1> {
    let data = TensorData::new(values.to_vec(), [values.len()]);
    Tensor::from_data(data, (&Device::flex(), DType::F64))
}

pub(super) fn assert_close(found: &TensorData, expected: &[f64], tolerance: f64, what: &str) {
    assert_eq!(found.num_elements(), expected.len(), "{what}");
    for (index, (found, expected)) in found.iter::<f64>().zip(expected).enumerate() {
        assert!((found - expected).abs() < tolerance, "{what}[{index}] is {found}, should be {expected}");
    }
}
