//! What a comparison of two runs finds.

use std::path::{Path, PathBuf};

use super::fixture::{checkpoint, description, numbers, scratch, snapshot};
use crate::run::{Checkpoint, Comparison, RunFolder, StepEntry};

/// A run with one checkpoint and these lines of the log.
fn run(folder: &Path, name: &str, checkpoint: Checkpoint, entries: &[StepEntry]) -> PathBuf {
    let path = folder.join(name);
    let folder = RunFolder::open(&path, true, description()).unwrap();
    let mut log = folder.open_log(0).unwrap();
    entries.iter().for_each(|entry| log.append(entry).unwrap());
    folder.save(&snapshot(checkpoint), 2).unwrap();
    path
}

/// Everything that differs between a run of 20 steps and one that was changed.
fn differences(change: impl FnOnce(&mut Checkpoint, &mut Vec<StepEntry>)) -> (Vec<String>, Comparison) {
    let folder = scratch();
    let entries = vec![super::entry(10), super::entry(20)];
    let (mut changed, mut changed_entries) = (checkpoint(20, 10), entries.clone());
    change(&mut changed, &mut changed_entries);
    let first = run(folder.path(), "first", checkpoint(20, 10), &entries);
    let second = run(folder.path(), "second", changed, &changed_entries);
    let comparison = Comparison::of(&first, &second).unwrap();
    (comparison.differences.iter().map(ToString::to_string).collect(), comparison)
}

#[test]
fn equal_runs_have_no_difference_but_their_speed() {
    let (found, comparison) = differences(|_, entries| entries[1].tokens_per_second *= 2.0);
    assert_eq!(found, [""; 0]);
    assert_eq!((comparison.lines, comparison.loss.map(|(_, gap)| gap)), (2, Some(0.0)));
    assert!(comparison.bytes > 2000, "{}", comparison.bytes);
}

#[test]
fn a_single_bit_of_a_single_number_is_found_and_named() {
    let (found, _) = differences(|checkpoint, _| {
        let mut values = numbers(20, 300).try_to_vec::<f32>().unwrap();
        values[17] = f32::from_bits(values[17].to_bits() ^ 1);
        let data = burn::tensor::TensorData::new(values, [300]);
        checkpoint.optimizer.insert("weight/second".to_string(), data);
    });
    let [found] = &found[..] else { panic!("{found:?}") };
    assert!(found.starts_with("optimizer.safetensors: 1 numbers of `weight/second`, the first at index 17"), "{found}");
}

#[test]
fn another_state_of_the_loop_is_found_and_named() {
    let (found, _) = differences(|checkpoint, _| checkpoint.state.tokens += 1);
    assert_eq!(found, ["training.json:  tokens: 320 and 321"]);
    let (found, _) = differences(|checkpoint, _| checkpoint.carried = None);
    assert_eq!(found, ["recurrent-state.safetensors: is missing in the second run"]);
    let (found, _) = differences(|checkpoint, _| *checkpoint = super::fixture::checkpoint(30, 10));
    assert_eq!(found, ["checkpoints: the newest is of step 20, and of step 30"]);
    let (found, _) = differences(|checkpoint, _| checkpoint.state.best = super::fixture::checkpoint(20, 20).state.best);
    assert_eq!(found, ["training.json:  best.step: 10 and 20", "best: names nothing, and step 20"]);
}

#[test]
fn another_log_is_found_and_named() {
    let (found, comparison) = differences(|_, entries| entries[1].train_loss += 0.25);
    let [found] = &found[..] else { panic!("{found:?}") };
    assert!(found.starts_with("metrics.jsonl: line 2 train_loss: "), "{found}");
    assert_eq!(comparison.loss, Some((20, 0.25)));
    let (found, _) = differences(|_, entries| entries.truncate(1));
    assert_eq!(found, ["metrics.jsonl: 2 lines, and 1"]);
    let (found, _) = differences(|_, entries| entries.push(super::entry(20)));
    assert_eq!(found, ["metrics.jsonl: 2 lines, and 3"]);
}
