//! A rate that is ten times too high for a moment.

use super::injection::Site;
use super::*;
use kiln_optimization::schedules::PiecewiseConfig;

/// The first step with the high rate, how many have it, and within how many the loss must be back.
const FIRST: u64 = 100;
const LENGTH: u64 = 5;
const RECOVERY: u64 = 200;

/// Mean and standard deviation.
fn moments(losses: &[f64]) -> (f64, f64) {
    let mean = losses.iter().sum::<f64>() / losses.len() as f64;
    let variance = losses.iter().map(|loss| (loss - mean).powi(2)).sum::<f64>() / (losses.len() - 1) as f64;
    (mean, variance.sqrt())
}

#[test]
fn training_comes_back_from_a_spike_of_the_rate() {
    for seed in 0..20 {
        let mut world = World::new(TRANSFORMER, "windows = \"random\"\nclip-norm = 1.0");
        world.run.steps = FIRST + RECOVERY;
        world.run.evaluate_every = 1000;
        world.run.checkpoint_every = 1000;
        let (rates, boundaries) = (vec![0.01, 0.1, 0.01], vec![FIRST, FIRST + LENGTH]);
        world.schedule = ScheduleConfig::Piecewise(PiecewiseConfig { rates, boundaries, warmup: 0 });
        world.seed = seed;
        let notes = Notes::default();
        world.train("run", &notes).unwrap();
        let losses: Vec<f64> = notes.steps.lock().unwrap().iter().map(|entry| entry.train_loss).collect();
        let first = FIRST as usize;
        let (mean, deviation) = moments(&losses[first - 30..first]);
        let highest = losses[first..first + 20].iter().copied().fold(0.0, f64::max);
        assert!(highest > mean + 2.0 * deviation, "seed {seed}: no spike: {highest}, before {mean} +- {deviation}");
        let (after, _) = moments(&losses[losses.len() - 30..]);
        assert!(after < mean, "seed {seed}: {after} after the spike, {mean} before");
    }
}

/// The log of a run in which one gradient is thrown far off at step 50, between the steps 49 and 56 that are logged.
fn thrown_off(stop_after: Option<u64>) -> Metrics {
    let mut world = World::new(LSTM, "windows = \"random\"\nclip-norm = 1.0");
    (world.run.steps, world.run.log_every) = (60, 7);
    world.faults = Some(Injection::plan(|step| (step == 50).then_some((Site::Gradient, 1e4))));
    if stop_after.is_some() {
        world.train("run", &Notes { stop_after, ..Notes::default() }).unwrap();
    }
    world.train("run", &Notes::default()).unwrap();
    Metrics::read(&world.folder.path().join("run/metrics.jsonl")).unwrap()
}

#[test]
pub(super) fn a_spike_is_logged_between_the_logged_steps_and_found_again_after_a_resumption() {
    let log = thrown_off(None);
    assert!(log.steps.iter().all(|entry| entry.step != 50), "{log:?}");
    let spike = log.spikes.iter().find(|spike| spike.step == 50).expect("it is logged");
    assert_eq!((spike.spike.as_str(), spike.value.round()), ("gradient norm", 1e4));
    assert!(spike.usual < 10.0 && spike.deviations >= 7.0, "{spike:?}");
    // After step 49 no more is known of the steps before than what is saved.
    for stop in [21, 49] {
        assert_eq!(thrown_off(Some(stop)).spikes, log.spikes, "stopped after {stop}");
    }
}
