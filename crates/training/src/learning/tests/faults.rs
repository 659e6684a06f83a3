//! Numbers that are not finite, put in on purpose.

use std::collections::BTreeMap;

use burn::tensor::TensorData;

use super::injection::Site;
use super::*;
use crate::learning::gradients::Measure;
use crate::learning::update::{Step, Updater};
use crate::run::LoopState;

const SITES: [(Site, f64); 6] = [
    (Site::Loss, f64::NAN),
    (Site::Loss, f64::INFINITY),
    (Site::Gradient, f64::NAN),
    (Site::Gradient, f64::NEG_INFINITY),
    (Site::State, f64::NAN),
    (Site::State, f64::INFINITY),
];

/// A world that carries its state, with a checkpoint after every fourth of 24 steps.
fn world(model: &str) -> World {
    let mut world = World::new(model, "windows = \"streams\"\naccumulate = 2\nclip-norm = 0.5\nkeep = 20");
    world.run.steps = 24;
    world
}

fn updater(world: &World, faults: Injection) -> Updater {
    let mut updater = Updater::new(&world.config(), world.first_model(), world.train.clone()).unwrap();
    updater.faults = Box::new(faults);
    updater
}

/// Everything that an update changes.
fn everything(updater: &Updater) -> [BTreeMap<String, TensorData>; 3] {
    let (weights, checkpoint) = updater.checkpoint(&LoopState::default()).unwrap();
    [weights, checkpoint.optimizer, checkpoint.carried.unwrap_or_default()]
}

#[test]
fn a_number_that_is_not_finite_changes_neither_weights_nor_state() {
    let world = world(LSTM);
    let mut skipped = 0;
    for trial in 0..50_u64 {
        // Any step but the first, which has no state to spoil.
        let (bad, injected) = (2 + trial * 7 % 9, SITES[trial as usize % SITES.len()]);
        let mut updater = updater(&world, Injection::plan(move |step| (step == bad).then_some(injected)));
        for step in 1..=bad {
            let before = everything(&updater);
            let first_batch = (step - 1) * updater.accumulate;
            let outcome = updater.update(step, first_batch, Measure::default()).unwrap();
            let after = everything(&updater);
            match outcome {
                Step::Made(_) => assert!(step < bad && after != before, "trial {trial}, step {step}"),
                Step::Skipped(fault) => {
                    assert_eq!(step, bad, "trial {trial}");
                    assert!(!fault.value.is_finite());
                    if injected.0 == Site::State {
                        // What was carried in is what the test spoiled.
                        assert_eq!(after[..2], before[..2], "trial {trial}: {injected:?}");
                    } else {
                        assert_eq!(after, before, "trial {trial}: {injected:?}");
                    }
                    skipped += 1;
                }
            }
        }
    }
    assert_eq!(skipped, 50);
}

#[test]
pub(super) fn one_infinite_gradient_costs_one_step_and_nothing_after_it() {
    let mut world = world(TRANSFORMER);
    world.run.windows = kiln_data::batches::Windows::Shuffled;
    world.estimates = toml::from_str("noise-every = 1").unwrap();
    world.faults = Some(Injection::plan(|step| (step == 7).then_some((Site::Gradient, f64::INFINITY))));
    let notes = Notes::default();
    world.train("run", &notes).unwrap();
    let steps: Vec<u64> = notes.steps.lock().unwrap().iter().map(|entry| entry.step).collect();
    assert_eq!(steps, (1..=24).filter(|&step| step != 7).collect::<Vec<u64>>());
    let state = world.newest("run").1.state;
    assert_eq!((state.step, state.faults.skipped, state.faults.in_a_row, state.faults.rollbacks.len()), (24, 1, 0, 0));
    assert_eq!(state.tokens, 23 * world.run.tokens_per_step());
    assert!(state.noise.unwrap().noise_scale().is_none_or(f64::is_finite));
    let skips = Metrics::read(&world.folder.path().join("run/metrics.jsonl")).unwrap().skips;
    assert_eq!((skips.len(), skips[0].step, skips[0].batches), (1, 7, [12, 13]));
    assert_eq!((skips[0].skipped.as_str(), skips[0].value.as_str()), ("gradient norm", "inf"));
}

/// Steps 6 to 13 go wrong the first time.
fn eight_in_a_row() -> Injection {
    let mut left = 8;
    Injection::plan(move |step| {
        if step < 6 || left == 0 {
            return None;
        }
        left -= 1;
        Some((Site::Gradient, f64::NAN))
    })
}

#[test]
pub(super) fn eight_in_a_row_go_back_to_the_last_checkpoint_and_on_with_later_data() {
    for model in [LSTM, TRANSFORMER] {
        let mut world = world(model);
        world.faults = Some(eight_in_a_row());
        world.train("run", &Notes::default()).unwrap();
        world.faults = None;
        let (folder, checkpoint) = world.newest("run");
        let faults = &checkpoint.state.faults;
        assert_eq!((checkpoint.state.step, faults.skipped, faults.in_a_row, faults.batches_passed), (24, 0, 0, 16));
        let rollback = &faults.rollbacks[0];
        assert_eq!((faults.rollbacks.len(), rollback.from, rollback.to, rollback.batches_passed), (1, 13, 5, 16));
        // The same by hand: a run that was stopped after step 5 resumes with the data eight steps later.
        world.train("by-hand", &Notes { stop_after: Some(5), ..Notes::default() }).unwrap();
        world
            .train_changed("by-hand", &Notes::default(), |checkpoint| checkpoint.state.faults.batches_passed = 16)
            .unwrap();
        assert_eq!(weights(&world.newest("by-hand").0), weights(&folder), "{model}");
    }
}

#[test]
pub(super) fn a_run_that_is_stopped_during_faults_goes_back_like_one_that_is_not() {
    let mut world = world(LSTM);
    // What is saved after step 7, during faults, is no checkpoint of the run that is not stopped.
    for stop in [5, 7, 8, 12] {
        let (whole, parts) = (format!("whole-{stop}"), format!("stopped-{stop}"));
        world.faults = Some(eight_in_a_row());
        world.train(&whole, &Notes::default()).unwrap();
        world.faults = Some(eight_in_a_row());
        world.train(&parts, &Notes { stop_after: Some(stop), ..Notes::default() }).unwrap();
        world.train(&parts, &Notes::default()).unwrap();
        let ((expected_folder, expected), (folder, found)) = (world.newest(&whole), world.newest(&parts));
        assert_eq!(found, expected, "stopped after {stop}");
        assert_eq!(weights(&folder), weights(&expected_folder), "stopped after {stop}");
        let kept = |name: &str| kiln_storage::steps(&world.folder.path().join(name)).unwrap();
        assert_eq!(kept(&parts), kept(&whole), "stopped after {stop}");
        let log = |name: &str| Metrics::read(&world.folder.path().join(name).join("metrics.jsonl")).unwrap();
        let steps = |name: &str| log(name).steps.iter().map(|entry| entry.step).collect::<Vec<u64>>();
        assert_eq!(steps(&parts), steps(&whole));
        assert_eq!(log(&parts).rollbacks, log(&whole).rollbacks);
    }
}

/// Stopped during faults, with no more than the fewest checkpoints kept: those before the faults stay.
#[test]
pub(super) fn checkpoints_saved_during_faults_displace_no_others() {
    let mut world = world(LSTM);
    world.run.keep = 2;
    // Without an evaluation there is no best one, which would stay in any case.
    world.run.evaluate_every = 100;
    world.faults = Some(eight_in_a_row());
    world.train("whole", &Notes::default()).unwrap();
    world.faults = Some(eight_in_a_row());
    for stop in [7, 9, 11] {
        world.train("parts", &Notes { stop_after: Some(stop), ..Notes::default() }).unwrap();
    }
    world.train("parts", &Notes::default()).unwrap();
    let ((expected_folder, expected), (folder, found)) = (world.newest("whole"), world.newest("parts"));
    assert_eq!(found, expected);
    assert_eq!(weights(&folder), weights(&expected_folder));
}

#[test]
pub(super) fn weights_that_went_bad_are_replaced_and_never_saved() {
    let mut world = world(TRANSFORMER);
    let mut spoiled = false;
    world.faults = Some(Injection::plan(move |step| {
        (step == 7 && !std::mem::replace(&mut spoiled, true)).then_some((Site::Weight, f64::NAN))
    }));
    world.train("run", &Notes::default()).unwrap();
    let (_, checkpoint) = world.newest("run");
    assert_eq!((checkpoint.state.step, checkpoint.state.faults.rollbacks.len()), (24, 1));
    assert_finite(&world, "run");
}

#[test]
pub(super) fn after_three_returns_it_stops_with_a_report() {
    let mut world = world(TRANSFORMER);
    world.faults = Some(Injection::plan(|step| (step > 9).then_some((Site::Loss, f64::NAN))));
    let Err(error) = world.train("run", &Notes::default()) else { panic!("it went on without finite losses") };
    let message = error.to_string();
    let TrainError::Diverged(Divergence { step, in_a_row, rollbacks, .. }) = error else { panic!("{message}") };
    assert_eq!((step, in_a_row, rollbacks), (17, 8, 3));
    for words in ["step 17", "the loss is NaN", "8 steps in a row", "3 times"] {
        assert!(message.contains(words), "{message}");
    }
    let rollbacks = Metrics::read(&world.folder.path().join("run/metrics.jsonl")).unwrap().rollbacks;
    let passed: Vec<u64> = rollbacks.iter().map(|entry| entry.rolled_back.batches_passed).collect();
    // From step 17 back to step 8 or 9, each time nine (or eight) steps of two batches further on.
    let first = passed[0];
    assert_eq!(passed, [first, 2 * first, 3 * first]);
    assert!(world.newest("run").1.state.step <= 10);
    assert_finite(&world, "run");
}

#[test]
pub(super) fn a_validation_loss_that_is_not_finite_goes_back_like_a_fault_of_training() {
    let mut world = world(TRANSFORMER);
    world.faults = Some(Injection::of_validation(15));
    world.train("run", &Notes::default()).unwrap();
    let state = world.newest("run").1.state;
    let [rollback] = &state.faults.rollbacks[..] else { panic!("{:?}", state.faults) };
    assert_eq!((state.step, rollback.what.as_str(), rollback.from), (24, "validation loss", 15));
    assert!(rollback.to < 15 && state.best.is_some_and(|best| best.loss.is_finite()), "{state:?}");
    let evaluations = Metrics::read(&world.folder.path().join("run/metrics.jsonl")).unwrap().evaluations;
    let evaluated: Vec<_> = evaluations.iter().map(|entry| (entry.step, entry.valid_loss.is_finite())).collect();
    assert_eq!(evaluated, [5, 10, 15, 20, 24].map(|step| (step, true)));
}

#[test]
pub(super) fn without_a_checkpoint_there_is_nothing_to_go_back_to() {
    let mut world = world(TRANSFORMER);
    world.run.checkpoint_every = 100;
    world.run.evaluate_every = 100;
    world.faults = Some(Injection::plan(|step| (step > 2).then_some((Site::Gradient, f64::INFINITY))));
    let Err(TrainError::Diverged(Divergence { step, what, rollbacks, .. })) = world.train("run", &Notes::default())
    else {
        panic!("it went on without finite gradients")
    };
    assert_eq!((step, what, rollbacks), (10, "gradient norm", 0));
}

/// Whether all weights of all checkpoints are finite numbers.
fn assert_finite(world: &World, name: &str) {
    let run = world.folder.path().join(name);
    let steps = kiln_storage::steps(&run).unwrap();
    assert!(steps.len() > 1);
    for step in steps {
        let file = kiln_storage::checkpoint_folder(&run, step).join("model.safetensors");
        for (name, data) in kiln_storage::read_safetensors(&file).unwrap().tensors {
            assert!(data.iter::<f32>().all(f32::is_finite), "step {step}: {name}");
        }
    }
}
