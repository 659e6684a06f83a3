//! What opening a model reads.

use std::path::PathBuf;

use burn::tensor::Device;
use kiln_storage::layout::WEIGHTS_FILE;
use kiln_storage::testing::CountingFiles;
use kiln_storage::{CheckpointReader, Which, open_checkpoint};

use super::super::{HostModel, Opening, SavedModel, collect_tensors};
use super::open::{a_run, another_model};
use super::write_with;

#[test]
fn opening_a_model_reads_every_file_of_its_checkpoint_once() {
    let run = tempfile::tempdir().unwrap();
    let (model, description, _) = a_run(run.path());
    let folder = write_with(run.path(), 4, |staging| {
        staging.write("training.json", b"{}")?;
        HostModel::copy(&model, &description)?.write(staging)
    })
    .unwrap();
    let files = CountingFiles::default();
    let read = |checkpoint: &mut CheckpointReader<'_>| SavedModel::read(checkpoint, Opening::new(&Device::flex()));
    let (found, opened) = open_checkpoint(&files, run.path(), Which::Last, read).unwrap();
    assert_eq!(collect_tensors(&opened.model).unwrap(), collect_tensors(&model).unwrap());
    let lengths = std::fs::read_dir(&folder).unwrap().map(|entry| {
        let entry = entry.unwrap();
        (entry.path(), entry.metadata().unwrap().len())
    });
    assert_eq!(files.bytes_read(), lengths.collect());
    assert!(found.manifest.files.len() == 2 && opened.step == Some(4));
}

#[test]
fn a_model_is_refused_when_a_file_that_it_does_not_need_is_damaged() {
    let run = tempfile::tempdir().unwrap();
    let (model, description, _) = a_run(run.path());
    let folder = write_with(run.path(), 4, |staging| {
        staging.write("training.json", b"{}")?;
        HostModel::copy(&model, &description)?.write(staging)
    })
    .unwrap();
    std::fs::write(folder.join("training.json"), "[]").unwrap();
    let Err(error) = SavedModel::open(run.path(), Which::Last, &Device::flex()) else { panic!("it was opened") };
    assert!(error.to_string().contains("`training.json` was changed after it was written"), "{error}");
}

/// A damaged file that is read in passing is reported as damaged, whatever came of reading it.
#[test]
fn damage_is_reported_before_what_it_brought_about() {
    let run = tempfile::tempdir().unwrap();
    let (_, _, folder) = a_run(run.path());
    let path: PathBuf = folder.join(WEIGHTS_FILE);
    let whole = std::fs::read(&path).unwrap();
    for place in 0..whole.len() {
        let mut bytes = whole.clone();
        bytes[place] ^= 1;
        std::fs::write(&path, bytes).unwrap();
        let Err(error) = SavedModel::open(run.path(), Which::Last, &Device::flex()) else { panic!("it was opened") };
        assert!(error.to_string().contains("`model.safetensors` was changed after it was written"), "{place}: {error}");
    }
    // A whole file that isn't a model of this tokenizer is one more error, not damage.
    another_model(run.path(), 3);
    let Err(error) = SavedModel::open(run.path(), Which::Last, &Device::flex()) else { panic!("it was opened") };
    assert!(error.to_string().contains("was trained with"), "{error}");
}
