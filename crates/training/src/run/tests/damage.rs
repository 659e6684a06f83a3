//! A checkpoint in which any bit is another one, any file is cut, or files have changed places.

use std::fs;
use std::path::{Path, PathBuf};

use kiln_storage::{
    StorageError, Which, checkpoint_folder, create_folder_durably, find_checkpoint, newest_whole, verify_checkpoint,
};

use super::fixture::{checkpoint, description, numbers, run_folder, scratch, snapshot};
use super::memory::MemoryFiles;
use crate::run::RunFolder;

const NAMES: [&str; 5] =
    ["manifest.json", "model.safetensors", "optimizer.safetensors", "recurrent-state.safetensors", "training.json"];

/// A checkpoint of 64 KiB in memory: the file system, its folder.
fn in_memory() -> (MemoryFiles, PathBuf) {
    let (files, run) = (MemoryFiles::new(), Path::new("/run"));
    create_folder_durably(&files, run).unwrap();
    let mut checkpoint = checkpoint(2, 2);
    checkpoint.optimizer.insert("weight/large".to_string(), numbers(2, 15_000));
    let saved = run_folder(&files, run).save(&snapshot(checkpoint), 2).unwrap();
    verify_checkpoint(&files, &saved.folder).unwrap();
    (files, saved.folder)
}

/// Flips every bit of the places that are `part` modulo `parts`; how many were noticed, and how many not.
fn flip_bits(part: usize, parts: usize) -> (u64, u64) {
    let (files, folder) = in_memory();
    let (mut noticed, mut missed) = (0, 0);
    for path in NAMES.map(|name| folder.join(name)) {
        for place in (0..files.content(&path).len()).skip(part).step_by(parts) {
            for bit in 0..8 {
                files.damage(&path, |content| content[place] ^= 1 << bit);
                let result = verify_checkpoint(&files, &folder);
                *(if result.is_err() { &mut noticed } else { &mut missed }) += 1;
                files.damage(&path, |content| content[place] ^= 1 << bit);
            }
        }
    }
    verify_checkpoint(&files, &folder).unwrap();
    (noticed, missed)
}

#[test]
fn every_bit_of_a_checkpoint_counts() {
    const PARTS: usize = 2;
    let totals = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..PARTS).map(|part| scope.spawn(move || flip_bits(part, PARTS))).collect();
        workers.into_iter().map(|worker| worker.join().unwrap()).fold((0, 0), |sum, one| (sum.0 + one.0, sum.1 + one.1))
    });
    println!("{} bits flipped, {} not noticed", totals.0 + totals.1, totals.1);
    assert!(totals.0 > 500_000 && totals.1 == 0, "{totals:?}");
}

#[test]
fn every_cut_of_a_file_and_every_longer_file_is_noticed() {
    let (files, folder) = in_memory();
    let mut cuts = 0;
    for path in NAMES.map(|name| folder.join(name)) {
        let whole = files.content(&path);
        for length in (0..whole.len()).rev() {
            files.damage(&path, |content| content.truncate(length));
            assert!(verify_checkpoint(&files, &folder).is_err(), "{} cut to {length} bytes", path.display());
            cuts += 1;
        }
        files.damage(&path, |content| content.extend(whole.iter().chain(b"x")));
        assert!(verify_checkpoint(&files, &folder).is_err(), "{} is a byte longer", path.display());
        files.damage(&path, |content| content.truncate(whole.len()));
        verify_checkpoint(&files, &folder).unwrap();
    }
    println!("{cuts} cuts");
    assert!(cuts > 60_000, "{cuts}");
}

/// A run with two checkpoints, the newer of which is then changed.
fn changed(change: impl FnOnce(&Path, &Path)) {
    let scratch = scratch();
    let run = scratch.path().join("run");
    let folder = RunFolder::open(&run, true, description()).unwrap();
    for step in [1, 2] {
        folder.save(&snapshot(checkpoint(step, step)), 2).unwrap();
    }
    let (older, newer) = (checkpoint_folder(&run, 1), checkpoint_folder(&run, 2));
    change(&older, &newer);
    // Its error names the other one that is whole; a run resumes from that one and says why.
    let error = find_checkpoint(&run, Which::Last).unwrap_err();
    assert!(matches!(error, StorageError::Damaged { other: Some(1), .. }), "{error}");
    let found = newest_whole(&run).unwrap();
    assert_eq!(found.manifest.step, 1);
    assert!(found.warning.unwrap().contains("step-00000002"));
    assert_eq!(folder.newest().unwrap().unwrap().1, checkpoint(1, 1));
}

#[test]
fn a_file_that_the_manifest_does_not_list_is_not_read() {
    let scratch = scratch();
    let run = scratch.path().join("run");
    let folder = RunFolder::open(&run, true, description()).unwrap();
    let saved = folder.save(&snapshot(checkpoint(1, 1)), 2).unwrap();
    fs::copy(saved.folder.join("optimizer.safetensors"), saved.folder.join("training-weights.safetensors")).unwrap();
    assert_eq!(folder.newest().unwrap().unwrap().1, checkpoint(1, 1));
}

#[test]
fn files_that_changed_places_or_come_from_another_checkpoint_are_noticed_and_the_older_one_is_offered() {
    let mut cases = 0;
    for (index, first) in NAMES.iter().enumerate() {
        for second in &NAMES[index + 1..] {
            changed(|_, newer| {
                fs::rename(newer.join(first), newer.join("aside")).unwrap();
                fs::rename(newer.join(second), newer.join(first)).unwrap();
                fs::rename(newer.join("aside"), newer.join(second)).unwrap();
            });
            cases += 1;
        }
    }
    // Every choice of files that come from the older one; the weights are the same in both and not among them.
    let differing: Vec<&str> = NAMES.into_iter().filter(|name| *name != "model.safetensors").collect();
    for choice in 1_u32..1 << differing.len() {
        changed(|older, newer| {
            for name in differing.iter().enumerate().filter(|(n, _)| choice >> n & 1 == 1).map(|(_, name)| name) {
                fs::copy(older.join(name), newer.join(name)).unwrap();
            }
        });
        cases += 1;
    }
    println!("{cases} cases");
    assert_eq!(cases, 25);
}
