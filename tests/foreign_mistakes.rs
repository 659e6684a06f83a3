//! A tour of damaged models of other programs, each with what `kiln` says of it, in `snapshots/models`.
//!
//! After a wanted change of a message: `SNAPSHOTS=overwrite cargo test --release --workspace foreign_mistakes`, and
//! look at the difference.

use std::path::Path;

use kiln_models::{CharacterTokenizerConfig, Tokenizer, TokenizerConfig};

use crate::foreign::folder;
use crate::support::{Workshop, compare_refusal};

/// What a user types.
fn sample(model: &str) -> [&str; 8] {
    ["sample", model, "-p", "A", "-n", "1", "--device", "cpu"]
}

/// Compares what is said of the model `name` in a workshop.
fn compare(snapshot: &str, name: &str, workshop: &Workshop) {
    compare_refusal(&format!("models/{snapshot}"), &sample(name), workshop);
}

/// Damages a folder that is right.
fn damaged(snapshot: &str, damage: impl FnOnce(&Path)) {
    let workshop = Workshop::new();
    damage(&folder(&workshop));
    compare(snapshot, "llama", &workshop);
}

/// Changes the text of a file.
fn change(path: &Path, from: &str, to: &str) {
    let text = std::fs::read(path).expect("it is there");
    std::fs::write(path, changed(&text, from.as_bytes(), to.as_bytes())).expect("it can be written");
}

/// The bytes with the first place of some replaced by as many or more.
fn changed(bytes: &[u8], from: &[u8], to: &[u8]) -> Vec<u8> {
    let at = bytes.windows(from.len()).position(|window| window == from).expect("they are there");
    [&bytes[..at], to, &bytes[at + from.len()..]].concat()
}

#[test]
fn the_folder_itself_is_right() {
    let workshop = Workshop::new();
    folder(&workshop);
    workshop.kiln(&sample("llama")).success();
}

#[test]
fn a_shard_that_is_not_there() {
    damaged("missing-shard", |folder| {
        std::fs::remove_file(folder.join("model-00003-of-00005.safetensors")).expect("it was there");
    });
}

#[test]
fn a_tensor_of_another_shape_than_the_configuration_says() {
    damaged("wrong-shape", |folder| {
        let shard = folder.join("model-00002-of-00005.safetensors");
        change(
            &shard,
            r#"down_proj.weight":{"dtype":"F32","shape":[24,40]"#,
            r#"down_proj.weight":{"dtype":"F32","shape":[40,24]"#,
        );
    });
}

#[test]
fn the_configuration_of_another_size() {
    damaged("other-size", |folder| change(&folder.join("config.json"), "\"vocab_size\": 61", "\"vocab_size\": 62"));
}

#[test]
fn an_architecture_that_is_not_known() {
    damaged("unknown-architecture", |folder| {
        change(&folder.join("config.json"), "\"model_type\": \"llama\"", "\"model_type\": \"mamba\"");
    });
}

#[test]
fn a_key_that_may_change_what_is_computed() {
    damaged("unknown-key", |folder| {
        change(&folder.join("config.json"), "\"mlp_bias\"", "\"clip_qkv\": 8.0,\n  \"mlp_bias\"");
    });
}

#[test]
fn a_shard_that_was_cut_off() {
    damaged("truncated-shard", |folder| {
        let shard = folder.join("model-00004-of-00005.safetensors");
        let bytes = std::fs::read(&shard).expect("it is there");
        std::fs::write(&shard, &bytes[..bytes.len() / 2]).expect("it can be written");
    });
}

#[test]
fn the_tokenizer_of_another_model() {
    damaged("other-tokenizer", |folder| {
        let config = TokenizerConfig::Character(CharacterTokenizerConfig::default());
        let text: String = ('\u{4e00}'..'\u{4e64}').collect();
        let tokenizer = Tokenizer::train(&config, &mut std::iter::once(Ok(text))).expect("it is a text");
        tokenizer.save(&folder.join("tokenizer.json")).expect("it can be written");
    });
}

#[test]
fn a_tokenizer_that_is_damaged() {
    damaged("broken-tokenizer", |folder| {
        std::fs::write(folder.join("tokenizer.json"), "{\"version\": \"1.0\"}").expect("it can be written");
    });
}

#[test]
fn no_tokenizer() {
    damaged("no-tokenizer", |folder| std::fs::remove_file(folder.join("tokenizer.json")).expect("it was there"));
}

#[test]
fn a_weight_that_is_no_number() {
    damaged("not-finite", |folder| {
        let shard = folder.join("model-00005-of-00005.safetensors");
        let mut bytes = std::fs::read(&shard).expect("it is there");
        let place = bytes.len() - 4;
        bytes[place..].copy_from_slice(&f32::NAN.to_le_bytes());
        std::fs::write(&shard, bytes).expect("it can be written");
    });
}

#[test]
fn a_size_below_zero() {
    damaged("negative-size", |folder| {
        change(&folder.join("config.json"), "\"hidden_size\": 24", "\"hidden_size\": -24");
    });
}

#[test]
fn a_configuration_that_is_no_json() {
    damaged("broken-config", |folder| change(&folder.join("config.json"), "\"hidden_size\": 24", "\"hidden_size\": "));
}

#[test]
fn an_index_that_names_a_file_outside_of_the_folder() {
    damaged("outside-index", |folder| {
        let index = folder.join("model.safetensors.index.json");
        change(&index, "\"model-00005-of-00005.safetensors\"", "\"../elsewhere.safetensors\"");
    });
}

#[test]
fn pickled_weights_alone() {
    damaged("pickled", |folder| {
        for entry in std::fs::read_dir(folder).expect("it can be read") {
            let path = entry.expect("it can be read").path();
            if path.to_string_lossy().contains("safetensors") {
                std::fs::remove_file(path).expect("it was there");
            }
        }
        std::fs::write(folder.join("pytorch_model.bin"), b"\x80\x02c").expect("it can be written");
    });
}

/// Damages a GGUF file that is right.
fn damaged_file(snapshot: &str, damage: impl FnOnce(Vec<u8>) -> Vec<u8>) {
    let workshop = Workshop::new();
    folder(&workshop);
    workshop.kiln(&["export", "llama", "--format", "gguf", "--output", "llama.gguf"]).success();
    let right = std::fs::read(workshop.path("llama.gguf")).expect("it was written");
    workshop.kiln(&sample("llama.gguf")).success();
    workshop.write("llama.gguf", damage(right));
    compare(snapshot, "llama.gguf", &workshop);
}

/// A text as the table of a GGUF file has it under a key.
fn value(key: &str, text: &str) -> Vec<u8> {
    [key.as_bytes(), &8_u32.to_le_bytes(), &(text.len() as u64).to_le_bytes(), text.as_bytes()].concat()
}

#[test]
fn a_gguf_file_that_was_cut_off() {
    damaged_file("gguf-cut-off", |bytes| bytes[..bytes.len() / 2].to_vec());
    damaged_file("gguf-cut-off-header", |bytes| bytes[..200].to_vec());
}

#[test]
fn a_gguf_file_that_is_none() {
    damaged_file("gguf-none", |_| b"<!DOCTYPE html><html><title>404</title></html>".to_vec());
}

#[test]
fn a_gguf_file_of_an_unknown_architecture() {
    let key = "general.architecture";
    damaged_file("gguf-unknown-architecture", |bytes| changed(&bytes, &value(key, "llama"), &value(key, "mamba")));
}

#[test]
fn a_gguf_file_with_an_unknown_tokenizer() {
    let key = "tokenizer.ggml.model";
    damaged_file("gguf-unknown-tokenizer", |bytes| changed(&bytes, &value(key, "llama"), &value(key, "plamo")));
}

#[test]
fn a_gguf_file_in_which_numbers_are_packed_in_an_unknown_way() {
    let place = |kind: u32| {
        let axes = [24_u64.to_le_bytes(), 61_u64.to_le_bytes()].concat();
        [b"token_embd.weight", &2_u32.to_le_bytes()[..], &axes, &kind.to_le_bytes()].concat()
    };
    damaged_file("gguf-unknown-type", |bytes| changed(&bytes, &place(0), &place(16)));
}

#[cfg(unix)]
#[test]
fn links_that_lead_in_a_circle() {
    let workshop = Workshop::new();
    std::os::unix::fs::symlink("second", workshop.path("first")).expect("it can be made");
    std::os::unix::fs::symlink("first", workshop.path("second")).expect("it can be made");
    compare("circle-of-links", "first", &workshop);
    let folder = folder(&workshop);
    let shard = folder.join("model-00001-of-00005.safetensors");
    std::fs::remove_file(&shard).expect("it was there");
    std::os::unix::fs::symlink("model-00001-of-00005.safetensors", &shard).expect("it can be made");
    compare("circle-of-links-inside", "llama", &workshop);
}

/// A hub's cache is made of links; so is a folder that a user links to.
#[cfg(unix)]
#[test]
fn a_folder_that_is_a_link_is_followed() {
    let workshop = Workshop::new();
    let folder = folder(&workshop);
    let blobs = workshop.path("blobs");
    std::fs::rename(&folder, &blobs).expect("it can be moved");
    std::fs::create_dir(&folder).expect("it can be made");
    for entry in std::fs::read_dir(&blobs).expect("it can be read") {
        let name = entry.expect("it can be read").file_name();
        std::os::unix::fs::symlink(Path::new("../blobs").join(&name), folder.join(&name)).expect("it can be made");
    }
    std::os::unix::fs::symlink("llama", workshop.path("linked")).expect("it can be made");
    workshop.kiln(&sample("linked")).success();
}
