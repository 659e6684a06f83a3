//! A run that was stopped ends with the bits of one that was not: random configurations, stops at any moment, chains of
//! stops.

use std::cell::Cell;

use super::*;
use crate::learning::monitor::Monitor;
use kiln_data::batches::mix;

/// Draws that repeat themselves, from a seed.
struct Draws(u64, u64);

impl Draws {
    fn below(&mut self, end: usize) -> usize {
        self.1 += 1;
        (mix(self.0, self.1) % end as u64) as usize
    }

    fn one<'a>(&mut self, choices: &[&'a str]) -> &'a str {
        choices[self.below(choices.len())]
    }
}

const MODELS: [&str; 4] = [
    "[rnn]\nlayers = 2\nhidden = 12\nembedding = 8\ndropout = 0.2",
    "[lstm]\nlayers = 2\nhidden = 12\nembedding = 8\ndropout = 0.2\noutput-dropout = 0.1",
    "[gru]\nlayers = 2\nhidden = 8\nembedding = 8\ndropout = 0.2\ntied = true",
    "[transformer]\nlayers = 2\nheads = 2\nwidth = 16\ndropout = 0.1",
];
const OPTIMIZERS: [&str; 8] =
    ["adamw", "sgd", "adam", "rmsprop", "lion", "muon", "schedule-free-sgd", "schedule-free-adamw"];
const SCHEDULES: [&str; 16] = [
    "[constant]\nrate = 0.01",
    "[inverse-time]\nrate = 0.02\ntime-constant = 5.0",
    "[inverse-square-root]\nrate = 0.02",
    "[step]\nrate = 0.01\nevery = 3\nfactor = 0.5",
    "[exponential]\nrate = 0.01\nfactor = 0.9",
    "[polynomial]\nrate = 0.01",
    "[linear]\nrate = 0.01\nwarmup = 2",
    "[cosine]\nrate = 0.01\nwarmup = 3",
    "[cosine-restarts]\nrate = 0.01\nperiod = 4",
    "[one-cycle]\nrate = 0.01",
    "[noam]\nwidth = 64\nwarmup = 4",
    "[warmup-stable-decay]\nrate = 0.01\nwarmup = 2",
    "[piecewise]\nrates = [0.01, 0.005, 0.02]\nboundaries = [3, 8]",
    "[error-floor]\nrate = 0.02\nwindow = 4\nwindow-growth = 1.0\nstandard-errors = 30.0",
    "[reduce-on-plateau]\nrate = 0.02\npatience = 0\nfactor = 0.5\nthreshold = 0.5",
    "[non-monotone]\nrate = 0.02\npatience = 1\nfactor = 0.5",
];
const AVERAGES: [&str; 4] = ["", "[polyak]\nstart = 3", "[exponential]", "[non-monotone]\npatience = 1"];

#[test]
fn every_schedule_is_among_those_that_are_resumed() {
    let name = |table: &&str| table[1..].split(']').next().expect("a table has a name").to_string();
    let mut resumed: Vec<String> = SCHEDULES.iter().map(name).collect();
    let mut all: Vec<String> =
        ScheduleConfig::examples(0.01, 12).iter().map(|schedule| schedule.name().to_string()).collect();
    resumed.sort();
    all.sort();
    assert_eq!(resumed, all);
}

/// A configuration drawn at random, and its description.
pub(super) fn drawn(seed: u64) -> (World, String) {
    let mut draws = Draws(seed, 0);
    // The first sixteen seeds name every family, optimizer, schedule and average at least once.
    let at = |choices: &'static [&'static str]| choices[seed as usize % choices.len()];
    let (model, optimizer, schedule) = (at(&MODELS), at(&OPTIMIZERS), SCHEDULES[seed as usize * 7 % SCHEDULES.len()]);
    let windows = if model.starts_with("[transformer]") {
        draws.one(&["random", "shuffled"])
    } else {
        draws.one(&["streams", "shuffled", "streams"])
    };
    let run = format!(
        "windows = \"{windows}\"\naccumulate = {}\n{}",
        1 + draws.below(3),
        draws.one(&["", "clip-norm = 0.5", "clip-norm = 2.0"])
    );
    let mut world = World::new(model, &run);
    world.optimizer = toml::from_str(&format!("[{optimizer}]")).unwrap();
    world.schedule = toml::from_str(schedule).unwrap();
    // Schedule-free optimizers have averages of their own.
    let average = if optimizer.starts_with("schedule-free") { "" } else { draws.one(&AVERAGES) };
    world.averaging = (!average.is_empty()).then(|| toml::from_str(average).unwrap());
    world.estimates = toml::from_str(draws.one(&["", "noise-every = 2", "sharpness-every = 3"])).unwrap();
    world.run.evaluate_every = 1 + draws.below(5) as u64;
    world.run.checkpoint_every = 1 + draws.below(6) as u64;
    let what = format!("seed {seed}: {model}; {optimizer}; {schedule}; {average}; {run}").replace('\n', " ");
    (world, what)
}

/// Everything that a run leaves behind but the speed, which no two runs have in common.
pub(super) fn left_behind(world: &World, name: &str) -> (Checkpoint, Vec<u8>, String) {
    let (folder, checkpoint) = world.newest(name);
    let log = std::fs::read_to_string(world.folder.path().join(name).join("metrics.jsonl")).unwrap();
    let lines = log.lines().map(|line| {
        let mut line: serde_json::Value = serde_json::from_str(line).unwrap();
        line.as_object_mut().unwrap().remove("tokens_per_second");
        line.to_string() + "\n"
    });
    (checkpoint, weights(&folder), lines.collect())
}

/// 100 for a night, by `KILN_RESUME_CASES=100`.
pub(super) fn cases() -> u64 {
    std::env::var("KILN_RESUME_CASES").ok().and_then(|count| count.parse().ok()).unwrap_or(40)
}

#[test]
pub(super) fn random_configurations_resume_to_the_same_bits() {
    for seed in 0..cases() {
        let (world, what) = drawn(seed);
        world.train("whole", &Notes::default()).unwrap();
        let stop = 1 + Draws(seed, 100).below(11) as u64;
        world.train("parts", &Notes { stop_after: Some(stop), ..Notes::default() }).unwrap();
        world.train("parts", &Notes::default()).unwrap();
        assert!(left_behind(&world, "parts") == left_behind(&world, "whole"), "stopped after {stop}; {what}");
    }
}

/// Stops a run when it asks for the last time of these many.
struct StopAtQuestion {
    left: Cell<usize>,
}

impl Monitor for StopAtQuestion {
    fn begin_interval(&mut self, _step: u64) {}

    fn updated(&mut self, _entry: &StepEntry, _remaining_seconds: Option<f64>) {}

    fn evaluated(&mut self, _step: u64, _valid_loss: f64) {}

    fn should_stop(&self) -> bool {
        self.left.set(self.left.get().saturating_sub(1));
        self.left.get() == 0
    }

    fn stop_reason(&self) -> Option<String> {
        Some("test".to_string())
    }
}

#[test]
pub(super) fn a_chain_of_stops_at_any_moment_ends_with_the_same_bits() {
    for seed in 0..4 {
        let (mut world, what) = drawn(seed);
        world.run.steps = 40;
        world.run.accumulate = 3;
        world.train("whole", &Notes::default()).unwrap();
        let (mut stops, mut draws) = (0, Draws(seed, 1000));
        loop {
            // Within an accumulation or an evaluation, or between two steps: wherever the loop asks. An evaluation asks
            // up to 80 times, and is made anew if it is stopped.
            let mut monitor = StopAtQuestion { left: Cell::new(1 + draws.below(160)) };
            let mut training = world.training("parts", &Notes::default(), |_| {}).unwrap();
            if training.run(&mut monitor).unwrap() == Stop::Done {
                break;
            }
            stops += 1;
            assert!(stops < 1000, "it makes no progress: {what}");
        }
        assert!(stops >= 2, "{stops} stops: {what}");
        assert!(left_behind(&world, "parts") == left_behind(&world, "whole"), "{stops} stops: {what}");
    }
}

#[test]
pub(super) fn patience_ends_a_run_early_and_is_the_same_after_a_stop() {
    let mut world = World::new(TRANSFORMER, "windows = \"shuffled\"\npatience = 2");
    // A rate at which the validation loss soon rises.
    world.schedule = cosine(1.0);
    world.run.evaluate_every = 2;
    let outcome = world.train("whole", &Notes::default()).unwrap();
    assert_eq!(outcome.stop, Stop::Early);
    let losses: Vec<f64> = world.evaluations("whole").iter().map(|entry| entry.valid_loss).collect();
    let best = losses.iter().copied().fold(f64::INFINITY, f64::min);
    let (until_best, after) = losses.split_at(losses.len() - 2);
    assert!(until_best.last() == Some(&best) && after.iter().all(|loss| *loss >= best), "{losses:?}");
    assert_eq!(outcome.step, 2 * losses.len() as u64);
    for stop in 1..outcome.step {
        let name = format!("stopped-{stop}");
        world.train(&name, &Notes { stop_after: Some(stop), ..Notes::default() }).unwrap();
        assert_eq!(world.train(&name, &Notes::default()).unwrap().stop, Stop::Early);
        assert!(left_behind(&world, &name) == left_behind(&world, "whole"), "stopped after {stop}");
    }
}
