//! The power fails after every single call of some saves, and takes what was not flushed, in part or as a whole.

use std::path::Path;
use std::sync::Arc;

use kiln_storage::{create_folder_durably, list_leftovers};

use super::fixture::{assert_none_in_part, checkpoint, description, run_folder, scratch, snapshot, whole};
use super::memory::{Image, Loss, MemoryFiles, restore};
use crate::run::{Checkpoint, Metrics, RunFolder, Saver};

const RUN: &str = "/runs/run";

/// How far a checkpoint is: later ones are greater, and of one step the one that knows of its evaluation.
fn rank(checkpoint: &Checkpoint) -> u64 {
    2 * checkpoint.state.step + u64::from(checkpoint.state.evaluated.is_some())
}

/// A life of a run: five checkpoints, the last of which is written twice, since an evaluation came after it; two stay,
/// and the best one. The marks are the ranks of the last one that was reported as saved.
fn life() -> MemoryFiles {
    let files = MemoryFiles::new();
    create_folder_durably(&files, Path::new(RUN)).unwrap();
    let folder = Arc::new(run_folder(&files, Path::new(RUN)));
    let mut log = folder.open_log(0).unwrap();
    let mut saver = Saver::new(folder, 2);
    for (step, best, evaluated) in [(1, 1, None), (2, 2, None), (3, 2, None), (4, 4, None), (4, 4, Some(4))] {
        if evaluated.is_none() {
            log.append(&super::entry(step)).unwrap();
        }
        let mut checkpoint = checkpoint(step, best);
        checkpoint.state.evaluated = evaluated;
        if step == 1 {
            // Before the first evaluation there is no best one, whose naming would flush the folder too.
            checkpoint.state.best = None;
        }
        let rank = rank(&checkpoint);
        saver.begin(snapshot(checkpoint), log.file());
        saver.wait().unwrap().unwrap().tidied.unwrap();
        files.mark(rank);
    }
    log.append(&super::entry(5)).unwrap();
    files
}

/// What the next process finds: at least the checkpoint of rank `saved`. Gives the rank of the one that it goes on
/// from.
fn recover(image: &Image, saved: u64, what: &str) -> u64 {
    let scratch = scratch();
    restore(image, scratch.path());
    let run = scratch.path().join("runs/run");
    let folder = RunFolder::open(&run, true, description()).unwrap();
    assert_eq!(list_leftovers(&run).unwrap(), Vec::<std::path::PathBuf>::new(), "{what}");
    assert_none_in_part(&run, what);
    // Checkpoints of two steps were reported as saved, hence as many are whole.
    assert!(whole(&run).len() as u64 >= (saved / 2).min(2), "{what}: only {:?} are whole", whole(&run));
    let Some((_, found)) = folder.newest().unwrap_or_else(|error| panic!("{what}: {error}")) else {
        assert_eq!(saved, 0, "{what}: nothing is left");
        return 0;
    };
    assert!(rank(&found) >= saved, "{what}: {saved} was saved, {} is found", rank(&found));
    let step = found.state.step;
    assert_eq!(found.optimizer, checkpoint(step, step).optimizer, "{what}");
    // Its log is there up to its step, and is cut there.
    drop(folder.open_log(step).unwrap_or_else(|error| panic!("{what}: {error}")));
    let logged: Vec<u64> =
        Metrics::read(&folder.metrics_path()).unwrap().steps.iter().map(|entry| entry.step).collect();
    assert_eq!(logged, (1..=step).collect::<Vec<u64>>(), "{what}");
    rank(&found)
}

#[test]
fn after_every_loss_of_power_the_last_saved_checkpoint_is_there_or_a_later_one() {
    let history = life().take_history();
    let (mut images, mut later) = (0, 0);
    for (number, (call, saved, disk)) in history.iter().enumerate() {
        let losses = [Loss::All, Loss::None, Loss::LastBlocks, Loss::Content];
        let some = (0..16).map(|seed| Loss::Some(number as u64 * 16 + seed));
        for loss in losses.into_iter().chain(some) {
            let found = recover(&disk.after(loss), *saved, &format!("call {number}, {call}, loss of {loss:?}"));
            images += 1;
            later += u64::from(found > *saved);
        }
    }
    println!(
        "{} calls, {images} losses of power, after {later} a later checkpoint than the last one reported",
        history.len()
    );
    assert!(images > 1000 && later > 0, "{images} images, {later} later");
}
