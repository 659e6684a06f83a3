//! What saving and resuming read.

use std::collections::BTreeMap;

use burn::tensor::Device;
use kiln_models::saved::Opening;
use kiln_storage::layout::TOKENIZER_FILE;
use kiln_storage::testing::CountingFiles;
use kiln_storage::{StorageError, Which, checkpoint_folder, open_checkpoint};

use super::fixture::{checkpoint, run_folder, scratch, snapshot, tokenizer, whole};

/// How many bytes of each tensor file were read, by the folder that it is in and its name.
fn tensors_read(files: &CountingFiles) -> BTreeMap<String, u64> {
    let read = files.bytes_read().into_iter();
    let read = read.filter(|(path, _)| path.extension().is_some_and(|extension| extension == "safetensors"));
    read.map(|(path, bytes)| {
        let step = path.parent().and_then(|folder| folder.file_name()).unwrap_or_default();
        (format!("{}/{}", step.display(), path.file_name().unwrap_or_default().display()), bytes)
    })
    .collect()
}

#[test]
fn tidying_reads_nothing_that_this_process_wrote_and_a_change_is_noticed_when_it_is_opened() {
    let scratch = scratch();
    let run = scratch.path().join("run");
    std::fs::create_dir(&run).unwrap();
    let files = CountingFiles::default();
    let folder = run_folder(&files, &run);
    for step in 1..=6 {
        folder.save(&snapshot(checkpoint(step, 2)), 2).unwrap().tidied.unwrap();
    }
    assert_eq!(whole(&run), [2, 5, 6]);
    assert_eq!(tensors_read(&files), BTreeMap::new());

    let path = checkpoint_folder(&run, 6).join("optimizer.safetensors");
    let mut bytes = std::fs::read(&path).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    std::fs::write(&path, bytes).unwrap();
    let opened = open_checkpoint(&files, &run, Which::Step(6), |_| Ok::<_, StorageError>(()));
    assert!(matches!(opened, Err(StorageError::Damaged { other: Some(5), .. })));
    assert_eq!(folder.newest().unwrap().unwrap().1, checkpoint(5, 2));
}

#[test]
fn tidying_reads_what_another_process_wrote_once() {
    let scratch = scratch();
    let run = scratch.path().join("run");
    std::fs::create_dir(&run).unwrap();
    let before = run_folder(&CountingFiles::default(), &run);
    for step in [1, 2, 3] {
        before.save(&snapshot(checkpoint(step, 1)), 3).unwrap();
    }
    let files = CountingFiles::default();
    let folder = run_folder(&files, &run);
    for step in 4..=6 {
        folder.save(&snapshot(checkpoint(step, 1)), 3).unwrap().tidied.unwrap();
    }
    assert_eq!(whole(&run), [1, 4, 5, 6]);
    for (file, bytes) in tensors_read(&files) {
        let (step, name) = file.split_once('/').unwrap();
        assert!(["step-00000002", "step-00000003"].contains(&step), "{file} need not be read");
        // All of these files are as long in every checkpoint.
        let length = std::fs::metadata(checkpoint_folder(&run, 6).join(name)).unwrap().len();
        assert_eq!(bytes, length, "{file}");
    }
}

#[test]
fn resuming_reads_every_file_of_the_newest_checkpoint_once_and_no_other() {
    let scratch = scratch();
    let run = scratch.path().join("run");
    std::fs::create_dir(&run).unwrap();
    let before = run_folder(&CountingFiles::default(), &run);
    for step in [1, 2] {
        before.save(&snapshot(checkpoint(step, 1)), 3).unwrap();
    }
    tokenizer().save(&run.join(TOKENIZER_FILE)).unwrap();
    let files = CountingFiles::default();
    let folder = run_folder(&files, &run);
    let resumed = folder.resume(Opening::new(&Device::flex())).unwrap().unwrap();
    assert_eq!((resumed.saved.step, resumed.checkpoint), (Some(2), checkpoint(2, 1)));
    let lengths = std::fs::read_dir(checkpoint_folder(&run, 2)).unwrap().map(|entry| {
        let entry = entry.unwrap();
        (entry.path(), entry.metadata().unwrap().len())
    });
    assert_eq!(files.bytes_read(), lengths.collect());
    // And not again when the next one is saved: an older one alone is still unknown.
    folder.save(&snapshot(checkpoint(3, 1)), 2).unwrap().tidied.unwrap();
    let again = tensors_read(&files);
    let once = std::fs::metadata(checkpoint_folder(&run, 2).join("optimizer.safetensors")).unwrap().len();
    assert_eq!(again["step-00000002/optimizer.safetensors"], once);
}
