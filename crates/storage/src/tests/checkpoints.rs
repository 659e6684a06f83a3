use std::fs;
use std::io;

use super::{names, verify, write_checkpoint, write_with};
use crate::{
    DiskFiles, StorageError, Which, checkpoint_folder, clean_run, create_folder_durably, drop_files, find_checkpoint,
    list_checkpoints, name_best, newest_whole, steps, write_file_atomically,
};

/// Flips a bit of the weights of a checkpoint.
fn damage_weights(run: &std::path::Path, step: u64) {
    let path = checkpoint_folder(run, step).join("model.safetensors");
    let mut bytes = fs::read(&path).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    fs::write(path, bytes).unwrap();
}

#[test]
fn the_best_is_named_the_last_is_the_newest_and_a_step_is_found_by_number() {
    let run = tempfile::tempdir().unwrap();
    for step in [100, 200, 300] {
        write_checkpoint(run.path(), step);
    }
    name_best(&DiskFiles, run.path(), 100).unwrap();

    assert_eq!(fs::read_to_string(run.path().join("best")).unwrap(), "step-00000100\n");
    assert_eq!(names(run.path()), ["best", "checkpoints"]);
    for (which, step) in [(Which::Best, 100), (Which::Last, 300), (Which::Step(200), 200)] {
        let found = find_checkpoint(run.path(), which).unwrap();
        assert_eq!((found.manifest.step, found.warning), (step, None));
        assert_eq!(found.folder, checkpoint_folder(run.path(), step));
    }
}

#[test]
fn a_checkpoint_without_some_of_its_files_is_whole_and_a_damaged_one_loses_none() {
    let run = tempfile::tempdir().unwrap();
    let folder = write_checkpoint(run.path(), 100);
    for _ in 0..2 {
        drop_files(&DiskFiles, &folder, &["loop.json", "nosuch"]).unwrap();
        assert_eq!(names(&folder), ["manifest.json", "model.safetensors"]);
        let manifest = find_checkpoint(&folder, Which::Best).unwrap().manifest;
        assert_eq!((manifest.step, manifest.lists("loop.json")), (100, false));
    }
    let folder = write_checkpoint(run.path(), 200);
    damage_weights(run.path(), 200);
    assert!(matches!(drop_files(&DiskFiles, &folder, &["loop.json"]), Err(StorageError::Damaged { .. })));
    assert_eq!(names(&folder), ["loop.json", "manifest.json", "model.safetensors"]);
}

#[test]
fn one_checkpoint_folder_may_be_given_itself() {
    let run = tempfile::tempdir().unwrap();
    let folder = write_checkpoint(run.path(), 100);
    for which in [Which::Best, Which::Last, Which::Step(100)] {
        let found = find_checkpoint(&folder, which).unwrap();
        assert_eq!(found.manifest.step, 100);
        assert_eq!(found.run, fs::canonicalize(run.path()).unwrap());
    }
    assert!(matches!(find_checkpoint(&folder, Which::Step(5)), Err(StorageError::NoSuchStep { .. })));
}

#[test]
fn a_missing_or_broken_pointer_falls_back_to_the_newest_whole_checkpoint_and_says_so() {
    let run = tempfile::tempdir().unwrap();
    for step in [100, 200, 300] {
        write_checkpoint(run.path(), step);
    }
    damage_weights(run.path(), 300);
    for content in
        [None, Some("step-00000999\n"), Some("../../elsewhere"), Some("200"), Some(""), Some("step-\u{fffd}")]
    {
        if let Some(content) = content {
            fs::write(run.path().join("best"), content).unwrap();
        }
        let found = find_checkpoint(run.path(), Which::Best).unwrap();
        assert_eq!(found.manifest.step, 200, "with {content:?}");
        // That the newest is damaged is the worse news.
        assert!(found.warning.unwrap().ends_with("step 200"));
    }
}

#[test]
fn a_damaged_checkpoint_that_is_named_is_an_error_that_offers_another() {
    let run = tempfile::tempdir().unwrap();
    for step in [100, 200, 300] {
        write_checkpoint(run.path(), step);
    }
    damage_weights(run.path(), 300);
    name_best(&DiskFiles, run.path(), 300).unwrap();
    // A file that lies about the newest is never asked.
    fs::write(run.path().join("last"), "step-00000100\n").unwrap();
    let last = newest_whole(run.path()).unwrap();
    let warning = last.warning.unwrap();
    assert_eq!(last.manifest.step, 200);
    assert!(warning.contains("step-00000300") && warning.contains("model.safetensors"), "{warning}");

    for which in [Which::Best, Which::Last] {
        let error = find_checkpoint(run.path(), which).unwrap_err();
        assert!(matches!(error, StorageError::Damaged { other: Some(200), .. }), "{error}");
        assert!(error.to_string().contains("model.safetensors"));
    }
    let valid: Vec<_> =
        list_checkpoints(run.path()).unwrap().iter().map(|entry| (entry.step, entry.valid.is_ok())).collect();
    assert_eq!(valid, [(100, true), (200, true), (300, false)]);
    damage_weights(run.path(), 200);
    let error = find_checkpoint(run.path(), Which::Last).unwrap_err();
    assert!(matches!(error, StorageError::Damaged { other: Some(100), .. }), "{error}");
}

#[test]
fn a_checkpoint_under_the_name_of_another_step_is_damaged() {
    let run = tempfile::tempdir().unwrap();
    let folder = write_checkpoint(run.path(), 100);
    fs::rename(folder, checkpoint_folder(run.path(), 200)).unwrap();
    let error = find_checkpoint(run.path(), Which::Step(200)).unwrap_err();
    assert!(error.to_string().contains("step 100"), "{error}");
}

#[test]
fn what_is_no_run_what_is_empty_and_what_lacks_the_step_are_told_apart() {
    let run = tempfile::tempdir().unwrap();
    let error = find_checkpoint(run.path(), Which::Best).unwrap_err();
    assert!(matches!(error, StorageError::NotARun { .. }), "{error}");
    let error = find_checkpoint(&run.path().join("none"), Which::Best).unwrap_err();
    assert!(matches!(error, StorageError::NotThere { .. }), "{error}");

    fs::create_dir(run.path().join("checkpoints")).unwrap();
    let error = find_checkpoint(run.path(), Which::Best).unwrap_err();
    assert!(matches!(error, StorageError::NoCheckpoint { .. }), "{error}");

    write_checkpoint(run.path(), 100);
    write_checkpoint(run.path(), 200);
    let error = find_checkpoint(run.path(), Which::Step(150)).unwrap_err();
    assert!(error.to_string().ends_with("no checkpoint of step 150; it has 100, 200"), "{error}");
}

#[test]
fn only_names_as_they_are_written_count_as_checkpoints() {
    let run = tempfile::tempdir().unwrap();
    write_checkpoint(run.path(), 100);
    let checkpoints = run.path().join("checkpoints");
    for name in ["step-5", "step-00000200.tmp-17", "step-+0000100", "backup", "step-"] {
        fs::create_dir(checkpoints.join(name)).unwrap();
    }
    fs::write(checkpoints.join("step-00000300"), "a file").unwrap();
    assert_eq!(steps(run.path()).unwrap(), [100]);
    assert_eq!(steps(&run.path().join("none")).unwrap(), [0; 0]);
    assert_eq!("best".parse(), Ok(Which::Best));
    assert_eq!("12".parse(), Ok(Which::Step(12)));
    assert!("newest".parse::<Which>().unwrap_err().contains("newest"));
}

#[test]
fn a_failed_write_leaves_what_was_there_and_no_litter() {
    let run = tempfile::tempdir().unwrap();
    let folder = write_checkpoint(run.path(), 100);
    let before = verify(&folder).unwrap();

    let error = write_with(run.path(), 100, |staging| {
        staging.write("half", b"of it")?;
        Err(StorageError::io("write", run.path())(io::Error::from(io::ErrorKind::StorageFull)))
    });

    let error = error.unwrap_err();
    assert!(error.to_string().starts_with("cannot write"), "{error}");
    assert_eq!(verify(&folder).unwrap(), before);
    assert_eq!(names(&run.path().join("checkpoints")), ["step-00000100"]);
}

#[test]
fn a_checkpoint_of_the_same_step_is_replaced_as_a_whole() {
    let run = tempfile::tempdir().unwrap();
    let folder = write_checkpoint(run.path(), 100);
    write_with(run.path(), 100, |staging| staging.write("only", b"this")).unwrap();
    assert_eq!(names(&folder), ["manifest.json", "only"]);
    assert_eq!(names(&run.path().join("checkpoints")), ["step-00000100"]);
    verify(&folder).unwrap();
}

#[test]
fn what_no_reader_would_take_is_refused_when_written() {
    let run = tempfile::tempdir().unwrap();
    for pair in [["x", "x"], [".x", "y"], ["x", "manifest.json"]] {
        let written = write_with(run.path(), 1, |staging| pair.iter().try_for_each(|name| staging.write(name, b"1")));
        assert!(matches!(written, Err(StorageError::Damaged { .. })), "{pair:?}: {written:?}");
        assert_eq!(names(&run.path().join("checkpoints")), [""; 0]);
    }
}

#[test]
fn a_folder_is_made_with_those_above_it_and_may_be_there() {
    let run = tempfile::tempdir().unwrap();
    let deep = run.path().join("a/b/c");
    create_folder_durably(&DiskFiles, &deep).unwrap();
    create_folder_durably(&DiskFiles, &deep).unwrap();
    assert!(deep.is_dir());
    fs::write(run.path().join("file"), "").unwrap();
    let error = create_folder_durably(&DiskFiles, &run.path().join("file/b")).unwrap_err().to_string();
    assert!(error.contains("create folder") && error.contains("file/b"), "{error}");
}

#[test]
fn what_a_killed_process_left_is_removed_or_put_back() {
    let run = tempfile::tempdir().unwrap();
    let kept = write_checkpoint(run.path(), 100);
    let checkpoints = run.path().join("checkpoints");
    // Killed while it wrote step 200, and while it replaced step 100 by a newer one: between the two renames.
    fs::create_dir(checkpoints.join("step-00000200.tmp-4711")).unwrap();
    fs::write(checkpoints.join("step-00000200.tmp-4711/half"), "of it").unwrap();
    fs::rename(&kept, checkpoints.join("step-00000100.old-4711")).unwrap();
    fs::write(run.path().join("best.tmp-4711"), "st").unwrap();
    fs::write(run.path().join("notes.tmp-mine"), "kept").unwrap();
    fs::write(run.path().join("tokenizer.json"), "kept").unwrap();

    clean_run(&DiskFiles, run.path()).unwrap();

    assert_eq!(names(&checkpoints), ["step-00000100"]);
    assert_eq!(names(run.path()), ["checkpoints", "notes.tmp-mine", "tokenizer.json"]);
    verify(&kept).unwrap();
    clean_run(&DiskFiles, &run.path().join("none")).unwrap();
}

#[test]
fn a_replaced_checkpoint_gives_way_to_the_new_one_when_both_are_there() {
    let run = tempfile::tempdir().unwrap();
    let kept = write_checkpoint(run.path(), 100);
    let old = run.path().join("checkpoints/step-00000100.old-4711");
    fs::create_dir(&old).unwrap();
    clean_run(&DiskFiles, run.path()).unwrap();
    assert!(!old.exists());
    verify(&kept).unwrap();
}

#[test]
fn a_small_file_is_replaced_as_a_whole() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("run.json");
    write_file_atomically(&DiskFiles, &path, b"one").unwrap();
    write_file_atomically(&DiskFiles, &path, b"two").unwrap();
    assert_eq!(fs::read(&path).unwrap(), b"two");
    assert_eq!(names(folder.path()), ["run.json"]);
    let nowhere = folder.path().join("none/run.json");
    assert!(write_file_atomically(&DiskFiles, &nowhere, b"x").unwrap_err().to_string().contains("none"));
}
