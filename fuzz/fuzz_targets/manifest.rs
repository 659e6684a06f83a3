#![no_main]
//! `manifest.json` of a checkpoint folder without other files.
use kiln_fuzz::Scratch;
use kiln_storage::layout::MANIFEST_FILE;
use kiln_storage::{DiskFiles, verify_checkpoint};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    Scratch::with(MANIFEST_FILE, bytes, |scratch| {
        if let Err(error) = verify_checkpoint(&DiskFiles, scratch.folder()) {
            assert!(scratch.is_named_by(&error.to_string()), "{error}");
        }
    });
});
