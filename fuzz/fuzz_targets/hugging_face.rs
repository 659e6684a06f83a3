#![no_main]
//! The `config.json` of a folder in Hugging Face's form.
use kiln_fuzz::{Scratch, add_small_model, open_model};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    Scratch::with("config.json", bytes, |scratch| {
        add_small_model(scratch, "config.json");
        open_model(scratch, scratch.folder());
    });
});
