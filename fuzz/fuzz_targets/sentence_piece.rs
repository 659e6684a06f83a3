#![no_main]
//! A `tokenizer.model` of SentencePiece, in the folder of a small model.
use kiln_fuzz::{Scratch, add_small_model, open_model};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    Scratch::with("tokenizer.model", bytes, |scratch| {
        add_small_model(scratch, "tokenizer.json");
        open_model(scratch, scratch.folder());
    });
});
