//! Models that other programs wrote, through the binary.

use std::path::{Path, PathBuf};

use kiln_models::{CharacterTokenizerConfig, Tokenizer, TokenizerConfig};

use crate::support::Workshop;

/// A folder with the model of a fixture and a tokenizer of 40 characters, of the 61 that the model knows.
pub(crate) fn folder(workshop: &Workshop) -> PathBuf {
    let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join("../models/fixtures/hugging-face/llama");
    let folder = workshop.path("llama");
    std::fs::create_dir(&folder).expect("it can be made");
    for entry in std::fs::read_dir(fixture).expect("it is there") {
        let entry = entry.expect("it can be read");
        std::fs::copy(entry.path(), folder.join(entry.file_name())).expect("it can be copied");
    }
    let config = TokenizerConfig::Character(CharacterTokenizerConfig::default());
    let text: String = ('A'..='Z').chain('a'..='n').collect();
    let tokenizer = Tokenizer::train(&config, &mut std::iter::once(Ok(text))).expect("it is a text");
    assert_eq!(tokenizer.vocabulary_size(), 40);
    tokenizer.save(&folder.join("tokenizer.json")).expect("it can be written");
    folder
}

#[test]
fn a_model_in_hugging_faces_form_is_sampled_measured_and_inspected() {
    let workshop = Workshop::new();
    let model = folder(&workshop);
    let sample = ["sample", "llama", "-p", "ABCDEF", "-n", "50", "--seed", "1", "-t", "5", "--device", "cpu"];
    // Its token 2, which is C here, ends a text.
    let short = workshop.kiln(&sample).success().stdout;
    assert!(short.len() < 40, "{short}");
    std::fs::write(model.join("generation_config.json"), "{}").expect("it can be written");
    let text = workshop.kiln(&sample).success().stdout;
    // At so high a temperature every token comes, but those that the tokenizer has not.
    assert!(text.chars().filter(char::is_ascii_alphabetic).count() >= 50, "{text}");
    assert!(!text.contains('\u{fffd}'), "{text}");
    std::fs::write(workshop.path("text.txt"), "ABCABCnmlk").expect("it can be written");
    let measured = workshop.kiln(&["eval", "llama", "text.txt", "--json", "--device", "cpu"]).success().stdout;
    let measured: serde_json::Value = serde_json::from_str(&measured).expect("it is JSON");
    assert_eq!(measured["tokens"], 9);
    assert!(measured["loss"].as_f64().is_some_and(|loss| loss > 1.0 && loss < 10.0), "{measured}");
    let inspected = workshop.kiln(&["inspect", "llama"]).success().stdout;
    for words in ["family       llama", "11,880 F32", "61 rows; tokenizer: 40 tokens", "key-value-heads = 2"] {
        assert!(inspected.contains(words), "{words}: {inspected}");
    }
}

#[test]
fn what_a_model_of_another_program_lacks_is_said() {
    let workshop = Workshop::new();
    let folder = folder(&workshop);
    let resumed = workshop.kiln(&["resume", "llama"]);
    assert_eq!(resumed.code, Some(3), "{}", resumed.stderr);
    std::fs::remove_file(folder.join("tokenizer.json")).expect("it is there");
    let sampled = workshop.kiln(&["sample", "llama", "--device", "cpu"]);
    assert_eq!(sampled.code, Some(3), "{}", sampled.stderr);
    assert!(sampled.stderr.contains("tokenizer.json"), "{}", sampled.stderr);
    assert_eq!(workshop.kiln(&["inspect", "llama"]).code, Some(3));
    std::fs::remove_file(folder.join("model-00003-of-00005.safetensors")).expect("it is there");
    let inspected = workshop.kiln(&["inspect", "llama"]);
    assert!(inspected.stderr.contains("model-00003-of-00005.safetensors"), "{}", inspected.stderr);
    std::fs::write(folder.join("config.json"), r#"{"model_type": "mamba"}"#).expect("it can be written");
    let unknown = workshop.kiln(&["inspect", "llama"]);
    assert!(unknown.stderr.contains("the architectures that can be read are gpt2, llama"), "{}", unknown.stderr);
}
