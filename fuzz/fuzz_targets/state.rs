#![no_main]
//! `training.json` of a checkpoint, the state of the loop.
use kiln_fuzz::Scratch;
use kiln_models::saved::{FoundCheckpoint, Manifest, ManifestFile, tensors_to_safetensors};
use kiln_training::run::Checkpoint;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    Scratch::with("training.json", bytes, |scratch| {
        let optimizer = scratch.folder().join("optimizer.safetensors");
        if !optimizer.exists() {
            let none = tensors_to_safetensors(&Default::default(), &Default::default()).expect("there is nothing to refuse");
            std::fs::write(&optimizer, none).expect("the folder can be written");
        }
        let listed = ["training.json", "optimizer.safetensors"];
        let listed = listed.map(|name| ManifestFile { name: name.into(), bytes: 0, blake3: String::new() });
        let manifest = Manifest { format: 1, kiln: String::new(), step: 0, files: listed.into() };
        let folder = scratch.folder().to_path_buf();
        let found = FoundCheckpoint { run: folder.clone(), folder, manifest, warning: None };
        if let Err(error) = Checkpoint::read(&found) {
            assert!(scratch.is_named_by(&error.to_string()), "{error}");
        }
    });
});
