//! Every call on the file system that a save consists of, failing in every way; and kills in between.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Arc;

use kiln_storage::{checkpoint_folder, list_checkpoints, list_leftovers};

use super::fixture::{Draws, checkpoint, description, run_folder, scratch, snapshot, whole};
use super::trouble::{BROKEN, DENIED, FULL, INTERRUPTED, OVER_QUOTA, READ_ONLY, Trouble, TroubledFiles};
use crate::run::{CheckpointError, RunFolder, Saved, Saver};

/// How a save ended; nothing where it panicked before it came to the saver's thread.
type Ended = Option<Result<Saved, CheckpointError>>;

/// A run with checkpoints of the steps 10 and 20.
fn prepare(run: &Path) -> RunFolder {
    let folder = RunFolder::open(run, true, description()).unwrap();
    folder.save(&snapshot(checkpoint(10, 10)), 2).unwrap();
    folder.save(&snapshot(checkpoint(20, 10)), 2).unwrap();
    folder
}

/// A line of the log and the checkpoint of step 30, which is the best and takes the place of that of step 10. Gives the
/// number of the first call of it.
fn save(files: &TroubledFiles, run: &Path) -> (usize, Ended) {
    let folder = Arc::new(run_folder(files, run));
    let mut log = folder.open_log(20).unwrap();
    let first = files.names().len();
    let ended = catch_unwind(AssertUnwindSafe(|| {
        log.append(&super::entry(30))?;
        let mut saver = Saver::new(folder, 2);
        saver.begin(snapshot(checkpoint(30, 30)), log.file());
        saver.wait().unwrap()
    }));
    (first, ended.ok())
}

#[test]
fn a_system_that_refuses_threads_still_saves() {
    let scratch = scratch();
    let run = scratch.path().join("run");
    let folder = Arc::new(prepare(&run));
    let log = folder.open_log(20).unwrap();
    let mut saver = Saver::without_threads(Arc::clone(&folder), 2);
    assert!(saver.finished().is_none());
    saver.begin(snapshot(checkpoint(30, 30)), log.file());
    let saved = saver.finished().expect("it does not wait").unwrap();
    assert_eq!((saved.step, whole(&run)), (30, vec![20, 30]));
    assert!(saver.wait().is_none());
}

/// One case: the checkpoints before it must be there in any case, and all must be well after the next start.
fn try_one(number: u64, name: &str, trouble: Trouble, lasts: bool) -> bool {
    let what = format!("call {number}, {name}: {trouble:?}, {}", if lasts { "from then on" } else { "once" });
    let scratch = scratch();
    let run = scratch.path().join("run");
    drop(prepare(&run));
    let files = TroubledFiles::new(move |call, _, _| (call == number || lasts && call > number).then_some(trouble));
    let (_, ended) = save(&files, &run);

    let before = whole(&run);
    assert!(before.len() >= 2 && before.contains(&20), "{what}: only {before:?} are whole");
    let is_saved = matches!(ended, Some(Ok(_)));
    assert!(!is_saved || before.contains(&30), "{what}: reported as saved, and is not");
    if name == "write" && (matches!(trouble, Trouble::ShortWrite | Trouble::Error(INTERRUPTED))) {
        assert!(matches!(ended, Some(Ok(Saved { tidied: Ok(()), .. }))), "{what}: {ended:?}");
    }
    let reported = match &ended {
        Some(Err(error)) => Some(error.to_string()),
        Some(Ok(Saved { tidied: Err(error), .. })) => Some(error.to_string()),
        _ => None,
    };
    let only_looks = matches!(name, "read" | "kind" | "list");
    let is_met = matches!(trouble, Trouble::Error(code) if !only_looks && (name != "write" || code != INTERRUPTED));
    assert!(!is_met || reported.is_some(), "{what}: nothing was reported");
    if let (Some(reported), Trouble::Error(code)) = (&reported, trouble) {
        let cause = io::Error::from_raw_os_error(code).to_string();
        assert!(reported.contains(&cause) && reported.contains(&*run.to_string_lossy()), "{what}: {reported}");
    }

    let folder = RunFolder::open(&run, true, description()).unwrap();
    assert_eq!(list_leftovers(&run).unwrap(), Vec::<std::path::PathBuf>::new(), "{what}");
    let (_, found) = folder.newest().unwrap().unwrap();
    assert_eq!(found, checkpoint(found.state.step, if found.state.step == 30 { 30 } else { 10 }), "{what}");
    folder.save(&snapshot(checkpoint(40, 30)), 2).unwrap().tidied.unwrap();
    assert_eq!(whole(&run).last(), Some(&40), "{what}");
    reported.is_some()
}

#[test]
fn every_call_of_a_save_may_fail_in_every_way() {
    let scratch = scratch();
    let run = scratch.path().join("run");
    drop(prepare(&run));
    let files = TroubledFiles::new(|_, _, _| None);
    let (first, ended) = save(&files, &run);
    ended.unwrap().unwrap().tidied.unwrap();
    assert_eq!(whole(&run), [20, 30]);

    let (mut cases, mut reported) = (0, 0);
    for (number, name) in files.names().into_iter().enumerate().skip(first) {
        let once = [BROKEN, FULL, OVER_QUOTA, DENIED, READ_ONLY, INTERRUPTED].map(Trouble::Error);
        let once = once.into_iter().chain([Trouble::Panic, Trouble::ShortWrite]).map(|trouble| (trouble, false));
        // A call that is always interrupted is always tried again.
        let lasting = [BROKEN, FULL, READ_ONLY].map(|code| (Trouble::Error(code), true));
        for (trouble, lasts) in once.chain(lasting) {
            if name == "write" || !matches!(trouble, Trouble::ShortWrite) {
                cases += 1;
                reported += u64::from(try_one(number as u64, name, trouble, lasts));
            }
        }
    }
    println!("{} calls, {cases} cases, in {reported} of them an error was reported", files.names().len() - first);
    assert!(cases > 400 && reported > cases / 2, "{cases} cases, {reported} reported");
}

/// 500 processes are killed while they save, and one checkpoint is damaged now and then.
#[test]
fn two_whole_checkpoints_stay_through_every_kill() {
    let mut draws = Draws(0);
    let (mut kills, mut interrupted, mut damaged) = (0, 0, 0);
    for run in 0..25 {
        let keep = 2 + run % 3;
        let scratch = scratch();
        let path = scratch.path().join("run");
        let (mut step, mut best, mut acknowledged, mut damaged_now) = (0, 1, 0, 0);
        for _ in 0..20 {
            let folder = RunFolder::open(&path, true, description()).unwrap();
            assert_eq!(list_leftovers(&path).unwrap(), Vec::<std::path::PathBuf>::new());
            assert_eq!(
                folder.newest().unwrap().map_or(0, |(_, found)| found.state.step),
                *whole(&path).last().unwrap_or(&0)
            );
            drop(folder);
            let before = whole(&path).len();
            let last = draws.below(160);
            let folder =
                run_folder(&TroubledFiles::new(move |call, _, _| (call == last).then_some(Trouble::Killed)), &path);
            kills += 1;
            for _ in 0..4 {
                step += 1;
                best = if draws.below(3) == 0 { step } else { best };
                let Ok(saved) = folder.save(&snapshot(checkpoint(step, best)), keep) else {
                    interrupted += 1;
                    break;
                };
                acknowledged = saved.step;
            }
            let (after, in_part) = (whole(&path), list_checkpoints(&path).unwrap().len() - whole(&path).len());
            assert!(in_part <= damaged_now, "killed in call {last}: {in_part} checkpoints are there in part");
            assert!(after.len() >= before.min(2), "killed in call {last}: {before} were whole, now {after:?}");
            assert!(*after.last().unwrap_or(&0) >= acknowledged, "{after:?}, {acknowledged}");
            if after.len() > 2 && draws.below(3) == 0 {
                let victim = checkpoint_folder(&path, after[draws.below(after.len() as u64) as usize]);
                std::fs::write(victim.join("training.json"), "{}").unwrap();
                acknowledged = 0;
                damaged += 1;
                damaged_now += 1;
            }
        }
    }
    println!("{kills} kills, {interrupted} during a save; {damaged} checkpoints damaged");
    assert!(kills == 500 && interrupted > 250 && damaged > 20, "{kills}, {interrupted}, {damaged}");
}

#[test]
fn damaged_checkpoints_do_not_count_and_the_best_one_stays() {
    let scratch = scratch();
    let run = scratch.path().join("run");
    let folder = prepare(&run);
    std::fs::write(checkpoint_folder(&run, 20).join("training.json"), "{}").unwrap();
    folder.save(&snapshot(checkpoint(30, 30)), 2).unwrap().tidied.unwrap();
    assert_eq!(whole(&run), [10, 30]);
    for step in [40, 50, 60] {
        folder.save(&snapshot(checkpoint(step, 30)), 2).unwrap().tidied.unwrap();
    }
    assert_eq!(whole(&run), [30, 50, 60]);
}
