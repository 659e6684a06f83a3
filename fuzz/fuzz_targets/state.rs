#![no_main]
//! `training.json` of a checkpoint, the state of the loop. The manifest is made right, or nothing behind it would ever
//! be reached.
use kiln_fuzz::Scratch;
use kiln_storage::layout::{OPTIMIZER_FILE, TRAINING_STATE_FILE};
use kiln_storage::{CheckpointReader, DiskFiles, StorageError, write_folder_atomically};
use kiln_training::run::Checkpoint;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    Scratch::with(TRAINING_STATE_FILE, bytes, |scratch| {
        let folder = scratch.folder().join("checkpoint");
        write_folder_atomically::<StorageError>(&DiskFiles, &folder, 0, |staged| {
            staged.write(TRAINING_STATE_FILE, bytes)?;
            staged.write_tensors(OPTIMIZER_FILE, &Default::default(), &Default::default())
        })
        .expect("the folder can be written");
        let mut checkpoint = CheckpointReader::open(&DiskFiles, scratch.folder(), &folder).expect("it is whole");
        if let Err(error) = Checkpoint::read(&mut checkpoint) {
            assert!(scratch.is_named_by(&error.to_string()), "{error}");
        }
    });
});
