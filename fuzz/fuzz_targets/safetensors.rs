#![no_main]
//! `model.safetensors`, `optimizer.safetensors`, a carried state: one format.
use kiln_storage::formats::{tensors_from_safetensors, tensors_to_safetensors};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Ok(file) = tensors_from_safetensors(bytes) else { return };
    // What was read can be written, and reads the same again.
    let written = tensors_to_safetensors(&file.tensors, &file.metadata).expect("what was read can be written");
    assert_eq!(tensors_from_safetensors(&written).expect("we wrote it"), file);
});
