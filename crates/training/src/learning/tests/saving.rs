//! Disks that are slow, full, not to be written, or gone while a run trains.

use std::fs;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Condvar, PoisonError};
use std::time::Duration;

use super::*;
use crate::config::OnSaveError;
use crate::run::tests::trouble::{BROKEN, DENIED, FULL, READ_ONLY, Trouble};

/// A world with checkpoints after steps 4, 8 and 12, and one evaluation, after step 12.
fn world() -> World {
    let mut world = World::new(LSTM, "windows = \"streams\"");
    world.run.evaluate_every = 100;
    world
}

impl World {
    fn path(&self) -> std::path::PathBuf {
        self.folder.path().join("run")
    }
}

/// Everything that a run reports.
#[derive(Clone, Default)]
struct Story(Arc<Mutex<Vec<String>>>);

impl Story {
    /// Notes that write it down and do something then.
    fn notes(&self, then: impl Fn(&str) + Send + Sync + 'static) -> Notes {
        let reported = Arc::clone(&self.0);
        let hears = move |words: &str| {
            reported.lock().unwrap().push(words.to_string());
            then(words);
        };
        Notes { hears: Some(Arc::new(hears)), ..Notes::default() }
    }

    fn place(&self, words: &str) -> usize {
        let story = self.0.lock().unwrap();
        story.iter().position(|line| line == words).unwrap_or_else(|| panic!("{words} is not in {story:?}"))
    }

    fn warnings(&self) -> Vec<String> {
        self.0.lock().unwrap().iter().filter(|words| words.starts_with("warning")).cloned().collect()
    }
}

#[test]
fn training_continues_while_a_checkpoint_is_flushed_and_reports_it_when_it_is_there() {
    let mut world = world();
    let gate = Arc::new((Mutex::new(false), Condvar::new()));
    let closed = Arc::clone(&gate);
    let waited_in_vain = Arc::new(AtomicBool::new(false));
    let gave_up = Arc::clone(&waited_in_vain);
    world.files = Some(TroubledFiles::new(move |_, call, path| {
        if call == "sync" && path.to_string_lossy().contains("step-00000004") {
            let open = closed.0.lock().unwrap_or_else(PoisonError::into_inner);
            let waited = closed.1.wait_timeout_while(open, Duration::from_secs(60), |open| !*open);
            gave_up.store(waited.unwrap_or_else(PoisonError::into_inner).1.timed_out(), Ordering::SeqCst);
        }
        None
    }));
    let story = Story::default();
    let notes = story.notes(move |words| {
        if words == "step 7" {
            *gate.0.lock().unwrap_or_else(PoisonError::into_inner) = true;
            gate.1.notify_all();
        }
    });
    world.train("run", &notes).unwrap();
    assert!(!waited_in_vain.load(Ordering::SeqCst), "training waited for the disk");
    // One at a time: the next checkpoint waits for this one.
    let places = ["step 7", "saved 4", "step 9", "saved 8", "saved 12"].map(|words| story.place(words));
    assert!(places.is_sorted(), "{:?}", story.0.lock().unwrap());
}

#[test]
fn a_disk_that_fails_for_a_while_costs_checkpoints_and_nothing_else() {
    let undisturbed = world();
    undisturbed.train("run", &Notes::default()).unwrap();
    for (call, trouble, cause) in [
        ("write", Trouble::Error(FULL), "No space left on device"),
        ("create folder", Trouble::Error(READ_ONLY), "Read-only file system"),
        ("create file", Trouble::Error(DENIED), "Permission denied"),
        ("sync", Trouble::Error(BROKEN), "Input/output error"),
        ("rename", Trouble::Error(FULL), "No space left on device"),
        ("sync", Trouble::Panic, "the thread that writes it failed"),
    ] {
        let mut world = world();
        world.files = Some(TroubledFiles::new(move |_, made, path| {
            let path = path.to_string_lossy();
            let is_met = made == call && (path.contains("step-00000004") || path.contains("step-00000008"));
            is_met.then_some(trouble)
        }));
        let story = Story::default();
        world.train("run", &story.notes(|_| {})).unwrap();
        let warnings = story.warnings();
        assert_eq!(warnings.len(), 2, "{warnings:?}");
        let path = world.path().to_string_lossy().into_owned();
        assert!(warnings.iter().all(|words| words.contains(cause) && words.contains(&path)), "{warnings:?}");
        assert_eq!(kiln_storage::steps(&world.path()).unwrap(), [12], "{call}: {trouble:?}");
        let (folder, found) = world.newest("run");
        let (expected_folder, expected) = undisturbed.newest("run");
        assert_eq!((found, weights(&folder)), (expected, weights(&expected_folder)), "{call}: {trouble:?}");
        // The next start leaves nothing half written.
        world.files = None;
        world.train("run", &Notes::default()).unwrap();
        assert!(kiln_storage::list_leftovers(&world.path()).unwrap().is_empty());
    }
}

#[test]
fn a_checkpoint_is_of_its_step_however_late_it_is_written() {
    use crate::learning::gradients::Measure;
    use crate::learning::update::{Step, Updater};
    use crate::run::{LoopState, Snapshot};

    let mut world = world();
    world.averaging = Some(AveragingConfig::Polyak(PolyakConfig { start: 2 }));
    let mut updater = Updater::new(&world.config(), world.first_model(), world.train.clone()).unwrap();
    let advance = |updater: &mut Updater, steps: std::ops::RangeInclusive<u64>| {
        for step in steps {
            let made = updater.update(step, (step - 1) * updater.accumulate, Measure::default()).unwrap();
            assert!(matches!(made, Step::Made(_)));
        }
    };
    advance(&mut updater, 1..=3);
    let description = ModelDescription::new(world.model.clone(), &world.tokenizer, world.run.context);
    let folder = RunFolder::open(&world.path(), false, description.clone()).unwrap();
    let state = LoopState { step: 3, ..LoopState::default() };
    // What is there after step 3, every byte of it touched at once.
    let (expected_weights, expected) = updater.checkpoint(&state).unwrap();
    let touched = format!("{expected_weights:?}{expected:?}");
    assert!(expected.carried.is_some() && expected.training_weights.is_some() && !expected.optimizer.is_empty());

    let (weights, checkpoint) = updater.checkpoint(&state).unwrap();
    let snapshot = Snapshot::new(weights, &description, checkpoint).unwrap();
    advance(&mut updater, 4..=6);
    folder.save(&snapshot, 3).unwrap();
    let (path, saved) = world.newest("run");
    assert_eq!(saved, expected);
    let saved_weights = kiln_storage::read_safetensors(&path.join("model.safetensors")).unwrap().tensors;
    assert_eq!(saved_weights, expected_weights);
    assert_eq!(format!("{saved_weights:?}{saved:?}"), touched);
    assert_ne!(updater.checkpoint(&state).unwrap().1.optimizer, expected.optimizer, "nothing has moved since");
}

/// Fails every writing of the checkpoint of a step.
fn full_at(step: &'static str) -> Option<TroubledFiles> {
    Some(TroubledFiles::new(move |_, call, path| {
        (call == "write" && path.to_string_lossy().contains(step)).then_some(Trouble::Error(FULL))
    }))
}

#[test]
fn a_last_state_that_cannot_be_saved_is_an_error_that_says_so() {
    let mut world = world();
    world.files = full_at("step-00000012");
    let story = Story::default();
    let Err(error) = world.train("run", &story.notes(|_| {})) else { panic!("it says that all went well") };
    assert!(matches!(error, TrainError::NotSaved { step: 12, .. }), "{error}");
    let words = error.to_string();
    assert!(words.contains("after step 12") && words.contains("No space left on device"), "{words}");
    assert_eq!(world.newest("run").1.state.step, 8);
}

#[test]
fn a_run_that_is_to_stop_at_an_error_of_saving_does_so_at_the_first() {
    let mut world = world();
    world.run.on_save_error = OnSaveError::Stop;
    world.files = full_at("step-00000004");
    let story = Story::default();
    let Err(error) = world.train("run", &story.notes(|_| {})) else { panic!("it went on") };
    assert!(matches!(error, TrainError::Checkpoint(_)), "{error}");
    assert!(error.to_string().contains("No space left on device"), "{error}");
    // The error is noticed before the next one is begun, at the latest.
    assert!(!story.0.lock().unwrap().contains(&"step 9".to_string()));
    assert!(kiln_storage::steps(&world.path()).unwrap().is_empty());

    world.files = Some(TroubledFiles::new(|_, call, path| {
        (call == "write" && path.ends_with("metrics.jsonl")).then_some(Trouble::Error(FULL))
    }));
    let Err(error) = world.train("run", &Notes::default()) else { panic!("it went on without its log") };
    assert!(matches!(error, TrainError::Folder(_)), "{error}");
}

#[test]
fn a_log_that_cannot_be_written_is_reported_once_and_its_other_lines_are_whole() {
    let mut world = world();
    let written = Mutex::new(0);
    // The third line is torn, the fourth and fifth fail at once; later the seventh. Every line is one writing.
    world.files = Some(TroubledFiles::new(move |_, call, path| {
        if call != "write" || !path.ends_with("metrics.jsonl") {
            return None;
        }
        let mut written = written.lock().unwrap();
        *written += 1;
        match *written {
            3 => Some(Trouble::ShortWrite),
            4..=6 | 8 => Some(Trouble::Error(FULL)),
            _ => None,
        }
    }));
    let story = Story::default();
    world.train("run", &story.notes(|_| {})).unwrap();
    let logged: Vec<u64> =
        Metrics::read(&world.path().join("metrics.jsonl")).unwrap().steps.iter().map(|entry| entry.step).collect();
    assert_eq!(logged, [1, 2, 6, 8, 9, 10, 11, 12]);
    let warnings = story.warnings();
    assert!(warnings.len() == 2 && warnings.iter().all(|words| words.contains("metrics.jsonl")), "{warnings:?}");
}

#[test]
fn a_folder_that_vanishes_is_not_made_again_and_is_used_when_it_comes_back() {
    for comes_back in [true, false] {
        let world = world();
        let (run, elsewhere) = (world.path(), world.folder.path().join("elsewhere"));
        let story = Story::default();
        let notes = story.notes(move |words| match words {
            "saved 4" => fs::rename(&run, &elsewhere).unwrap(),
            words if comes_back && words.starts_with("warning") => fs::rename(&elsewhere, &run).unwrap(),
            _ => {}
        });
        let outcome = world.train("run", &notes).map(|outcome| outcome.step);
        let warnings = story.warnings();
        assert!(warnings[0].contains("checkpoints") && warnings[0].contains("No such file"), "{warnings:?}");
        if comes_back {
            assert_eq!((outcome.unwrap(), warnings.len()), (12, 1));
            assert_eq!(kiln_storage::steps(&world.path()).unwrap(), [4, 12]);
        } else {
            let Err(TrainError::NotSaved { step: 12, source }) = outcome else { panic!("{outcome:?}") };
            assert!(source.to_string().contains("No such file"), "{source}");
            assert!(!world.path().exists());
        }
    }
}
