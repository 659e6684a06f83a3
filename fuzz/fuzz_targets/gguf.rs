#![no_main]
//! A whole model in a GGUF file: its table, its tokenizer, its sizes and its weights.
use kiln_fuzz::{Scratch, open_model};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| Scratch::with("fuzz.gguf", bytes, |scratch| open_model(scratch, scratch.file())));
