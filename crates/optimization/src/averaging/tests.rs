//! Averages against PyTorch's figures (scripts/reference/optimizers.py), and their restoration.

use burn::module::{Module, Param};
use burn::tensor::{Device, Tensor, TensorData};
use kiln_kernels::Guard;
use serde::Deserialize;

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
    iterates: Vec<Pair>,
    polyak: Polyak,
    exponential: Exponential,
    bias_corrected: Exponential,
}

#[derive(Deserialize)]
struct Polyak {
    start: u64,
    averages: Vec<Pair>,
}

#[derive(Deserialize)]
struct Exponential {
    decay: f64,
    averages: Vec<Pair>,
}

/// A matrix and a vector, the parameters of the fixture.
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

    fn assert_close(&self, expected: &Pair, what: &str) {
        for (found, expected) in
            [(self.matrix.val().to_data(), &expected.matrix), (self.vector.val().to_data(), &expected.vector)]
        {
            for (found, expected) in found.iter::<f64>().zip(&expected.data) {
                assert!((found - expected).abs() < 2e-6, "{what}: {found}, PyTorch has {expected}");
            }
        }
    }

    fn bits(&self) -> Vec<f32> {
        self.matrix.val().to_data().iter().chain(self.vector.val().to_data().iter()).collect()
    }
}

fn tensor<const D: usize>(array: &Array, device: &Device) -> Tensor<D> {
    let values: Vec<f32> = array.data.iter().map(|value| *value as f32).collect();
    Tensor::from_data(TensorData::new(values, array.shape.clone()), device)
}

fn fixture() -> Fixture {
    serde_json::from_str(include_str!("../../fixtures/averaging.json")).unwrap()
}

/// The averages after each step from `first` on are the expected ones, and before it there is none.
fn assert_averages(config: &AveragingConfig, first: u64, expected: &[Pair]) {
    let mut averaging = Averaging::new(Some(config));
    let mut compared = 0;
    for (index, iterate) in fixture().iterates.iter().enumerate() {
        let step = index as u64 + 1;
        let pieces = Pieces::new(iterate);
        averaging.observe_update(&pieces, step, &1.0.into());
        assert_eq!(averaging.has_average(), step >= first);
        if step >= first {
            averaging.applied(pieces.valid()).assert_close(&expected[compared], &format!("{config:?}, step {step}"));
            compared += 1;
        }
    }
    assert_eq!(compared, expected.len());
}

#[test]
fn the_plain_mean_is_pytorchs() {
    let fixture = fixture();
    let start = fixture.polyak.start;
    assert_averages(&AveragingConfig::Polyak(PolyakConfig { start }), start, &fixture.polyak.averages);
}

#[test]
fn the_exponential_mean_is_pytorchs_and_corrected_the_weighted_mean_itself() {
    let fixture = fixture();
    for (case, bias_correction) in [(fixture.exponential, false), (fixture.bias_corrected, true)] {
        let config = ExponentialConfig { decay: case.decay, bias_correction };
        assert_averages(&AveragingConfig::Exponential(config), 1, &case.averages);
    }
}

#[test]
fn the_non_monotone_mean_begins_with_the_weights_of_the_bad_evaluation() {
    let fixture = fixture();
    let mut averaging = Averaging::new(Some(&AveragingConfig::NonMonotone(NonMonotoneConfig { patience: 1 })));
    // The third loss is worse than the first; the average then begins with the third iterate, as the fixture's does.
    let losses = [2.0, 1.0, 2.5, 0.5, 9.0, 9.0, 9.0, 9.0];
    for (index, (iterate, loss)) in fixture.iterates.iter().zip(losses).enumerate() {
        let pieces = Pieces::new(iterate);
        averaging.observe_update(&pieces, index as u64 + 1, &1.0.into());
        averaging.observe_validation(&pieces, loss);
        let applied = averaging.applied(pieces.valid());
        match index.checked_sub(2) {
            Some(since) => applied.assert_close(&fixture.polyak.averages[since], &format!("iterate {index}")),
            None => assert_eq!(applied.bits(), pieces.bits(), "iterate {index}"),
        }
    }
    assert_eq!(fixture.polyak.start, 3);
}

#[test]
fn a_restored_average_goes_on_with_the_same_bits() {
    let configs = [
        AveragingConfig::Polyak(PolyakConfig { start: 2 }),
        AveragingConfig::Exponential(ExponentialConfig::default()),
        AveragingConfig::NonMonotone(NonMonotoneConfig { patience: 1 }),
    ];
    let losses = [2.0, 1.0, 2.5, 0.5, 9.0, 9.0, 9.0, 9.0];
    let iterates: Vec<Pieces> = fixture().iterates.iter().map(Pieces::new).collect();
    for config in configs {
        for stop in 0..iterates.len() {
            let mut whole = Averaging::new(Some(&config));
            let mut stopped = Averaging::new(Some(&config));
            for (index, (pieces, loss)) in iterates.iter().zip(losses).enumerate() {
                for averaging in [&mut whole, &mut stopped] {
                    averaging.observe_update(pieces, index as u64 + 1, &1.0.into());
                    averaging.observe_validation(pieces, loss);
                }
                if index == stop {
                    let (state, model) = (stopped.state(), stopped.applied(pieces.valid()));
                    stopped = Averaging::new(Some(&config));
                    stopped.restore(state, &model).unwrap();
                }
            }
            let last = iterates[iterates.len() - 1].valid();
            assert_eq!(stopped.applied(last.clone()).bits(), whole.applied(last).bits(), "{config:?}, {stop}");
            assert_eq!(stopped.state(), whole.state());
        }
    }
}

#[test]
fn another_kind_of_average_is_refused_by_name() {
    let pieces = Pieces::new(&fixture().iterates[0]);
    let mut polyak = Averaging::new(Some(&AveragingConfig::Polyak(PolyakConfig { start: 1 })));
    polyak.observe_update(&pieces, 1, &1.0.into());
    let exponential = AveragingConfig::Exponential(ExponentialConfig::default());
    for (config, words) in [(Some(&exponential), "[averaging.exponential]"), (None, "no averaging")] {
        let error = Averaging::new(config).restore(polyak.state(), &pieces.valid()).unwrap_err();
        let expected = format!("the checkpoint was made with [averaging.polyak] and cannot be resumed with {words}");
        assert_eq!(error.to_string(), expected);
    }
}

#[test]
fn mistakes_in_the_settings_are_named() {
    let keys = |config: AveragingConfig| -> Vec<String> {
        config.validate(10).into_iter().map(|violation| violation.key).collect()
    };
    assert_eq!(keys(AveragingConfig::Polyak(PolyakConfig { start: 11 })), ["polyak.start"]);
    let exponential = ExponentialConfig { decay: 1.0, bias_correction: false };
    assert_eq!(keys(AveragingConfig::Exponential(exponential)), ["exponential.decay"]);
    assert_eq!(keys(AveragingConfig::NonMonotone(NonMonotoneConfig { patience: 0 })), ["non-monotone.patience"]);
}

#[test]
fn an_average_takes_in_nothing_of_an_update_that_is_not_made() {
    let device = Device::flex();
    let guard = |loss: f32| Guard::new(Tensor::from_data([loss, 1.0], &device), None, None).into();
    let config = AveragingConfig::Exponential(ExponentialConfig { decay: 0.5, bias_correction: false });
    let (mut plain, mut guarded) = (Averaging::new(Some(&config)), Averaging::new(Some(&config)));
    for (index, iterate) in fixture().iterates.iter().enumerate() {
        let (pieces, step) = (Pieces::new(iterate), index as u64 + 1);
        let before = guarded.count();
        // Also before there is an average.
        guarded.observe_update(&pieces, step, &guard(f32::NAN));
        guarded.take_back(before);
        guarded.observe_update(&pieces, step, &guard(1.0));
        plain.observe_update(&pieces, step, &1.0.into());
        assert_eq!(guarded.count(), plain.count());
        assert_eq!(guarded.applied(pieces.valid()).bits(), plain.applied(pieces.valid()).bits(), "iterate {index}");
    }
}
