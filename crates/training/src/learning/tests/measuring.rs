//! Measurements of gradients in a run, and a range test.

use super::super::*;
use super::{LSTM, Notes, TRANSFORMER, World, weights};
use crate::gradient_measurements::EstimatesConfig;
use kiln_optimization::optimizers::OptimizerConfig;

#[test]
pub(super) fn a_measured_run_that_was_stopped_ends_with_the_bits_of_one_that_was_not() {
    for accumulate in [1, 2] {
        let settings = format!("windows = \"streams\"\naccumulate = {accumulate}");
        let mut world = World::new(LSTM, &settings);
        world.estimates = EstimatesConfig { noise_every: Some(2), sharpness_every: Some(3), ..Default::default() };
        world.train("whole", &Notes::default()).unwrap();
        for stop in [3, 8] {
            let name = format!("stopped-{stop}");
            world.train(&name, &Notes { stop_after: Some(stop), ..Notes::default() }).unwrap();
            world.train(&name, &Notes::default()).unwrap();
            let ((expected_folder, expected), (folder, found)) = (world.newest("whole"), world.newest(&name));
            assert!(expected.state.noise.is_some());
            assert_eq!(found, expected, "stopped after {stop}");
            assert_eq!(weights(&folder), weights(&expected_folder), "stopped after {stop}");
        }
    }
}

#[test]
fn the_halves_of_a_batch_drop_different_numbers() {
    use kiln_data::batches::HostBatch;
    let batch = HostBatch {
        inputs: vec![0; 8],
        targets: vec![0; 8],
        weights: None,
        references: None,
        rows: 4,
        columns: 2,
        carries_state: false,
        document_starts: Default::default(),
    };
    let halves = TrainingInput { dropout_seed: Some(7), ..TrainingInput::new(batch) }.halves();
    let [upper, lower] = halves.try_into().unwrap_or_else(|_| panic!("four windows have two halves"));
    assert_eq!((upper.batch.rows(), lower.batch.rows()), (2, 2));
    assert_eq!(upper.dropout_seed, Some(7));
    assert!(lower.dropout_seed.is_some_and(|seed| seed != 7));
}

#[test]
pub(super) fn steps_with_a_measurement_are_logged_with_it() {
    for (model, windows) in [(TRANSFORMER, "random"), (LSTM, "streams")] {
        let mut world = World::new(model, &format!("windows = \"{windows}\""));
        world.run.log_every = 5;
        world.estimates = EstimatesConfig { noise_every: Some(3), sharpness_every: Some(4), ..Default::default() };
        let notes = Notes::default();
        world.train("run", &notes).unwrap();
        let steps = notes.steps.lock().unwrap();
        assert_eq!(steps.iter().map(|entry| entry.step).collect::<Vec<_>>(), [1, 3, 4, 5, 6, 8, 9, 10, 12]);
        for entry in steps.iter() {
            assert_eq!(entry.gradient_noise.is_some(), entry.step.is_multiple_of(3), "{entry:?}");
            assert_eq!(entry.sharpness.is_some(), entry.step.is_multiple_of(4), "{entry:?}");
            assert!(entry.gradient_noise.is_none_or(|noise| noise > 0.0));
            assert!(entry.noise_scale.is_none_or(|scale| scale > 0.0));
        }
        let log = std::fs::read_to_string(world.folder.path().join("run/metrics.jsonl")).unwrap();
        assert_eq!(log.matches("gradient_noise").count(), 4, "{log}");
        assert_eq!(log.matches("sharpness").count(), 3, "{log}");
    }
}

#[test]
pub(super) fn measuring_changes_no_bit_of_a_run_that_accumulates() {
    for (model, windows) in [(TRANSFORMER, "random"), (LSTM, "streams")] {
        let mut world = World::new(model, &format!("windows = \"{windows}\"\naccumulate = 3\nclip-norm = 0.5"));
        world.train("plain", &Notes::default()).unwrap();
        world.estimates = EstimatesConfig { noise_every: Some(1), sharpness_every: Some(1), ..Default::default() };
        world.train("measured", &Notes::default()).unwrap();
        let ((plain_folder, plain), (folder, measured)) = (world.newest("plain"), world.newest("measured"));
        assert_eq!(weights(&folder), weights(&plain_folder));
        assert_eq!((measured.optimizer, measured.carried), (plain.optimizer, plain.carried));
    }
}

#[test]
fn measuring_the_sharpness_changes_no_bit_and_measuring_the_noise_only_rounding() {
    let without_dropout = LSTM.replace("dropout = 0.1", "");
    for model in [LSTM, &without_dropout] {
        let mut world = World::new(model, "windows = \"streams\"");
        // Halves of unequal size.
        world.run.batch = 5;
        let (plain, halved) = (Notes::default(), Notes::default());
        world.train("plain", &plain).unwrap();
        world.estimates.sharpness_every = Some(1);
        world.train("sharpness", &Notes::default()).unwrap();
        assert_eq!(weights(&world.newest("sharpness").0), weights(&world.newest("plain").0));
        if model == LSTM {
            continue;
        }
        world.estimates.noise_every = Some(1);
        world.train("noise", &halved).unwrap();
        for (plain, halved) in plain.steps.lock().unwrap().iter().zip(halved.steps.lock().unwrap().iter()) {
            assert!((plain.train_loss - halved.train_loss).abs() < 1e-5, "{plain:?} and {halved:?}");
            assert!((plain.gradient_norm - halved.gradient_norm).abs() < 1e-5, "{plain:?} and {halved:?}");
        }
    }
}

#[test]
fn a_range_test_stops_where_a_model_diverges_and_suggests_a_rate_that_trains() {
    let mut world = World::new("[rnn]\nlayers = 1\nhidden = 16", "windows = \"streams\"");
    world.optimizer = OptimizerConfig::Sgd(Default::default());
    let config = world.config();
    let test = |range, proceed: &mut dyn FnMut(&RatePoint) -> bool| {
        let (model, train) = (world.first_model(), world.train.clone());
        find_rate(RateTest { config: &config, model, train, range }, proceed).unwrap()
    };
    let range = RateRange::new(1e-3, 1e4, 100).unwrap();
    let findings = test(range, &mut |_| true);
    let (diverged, suggestion) = (findings.stop.diverged_at().unwrap(), findings.suggestion.unwrap());
    assert!(suggestion < diverged && diverged < 1e4, "{suggestion}, {diverged}");
    assert_eq!(findings, test(range, &mut |_| true), "the same test finds something else");
    let stopped = test(range, &mut |point| point.step < 10);
    assert_eq!((stopped.stop, stopped.points.len()), (RateStop::Interrupted, 10));
    assert_eq!(stopped.points, findings.points[..10]);
}
