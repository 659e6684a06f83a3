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

/// The number is that of `scripts/reference/perplexity.py`, with transformers 5.24.
#[test]
fn a_text_is_measured_behind_the_start_that_the_tokenizer_puts_before_it() {
    let workshop = Workshop::new();
    let tokenizer = folder(&workshop).join("tokenizer.json");
    let letter = |token: u32| char::from_u32(if token < 26 { 65 + token } else { 71 + token }).expect("it is a letter");
    let text: String = (0..300_u32).map(|place| letter((place * place + place / 3) % 40)).collect();
    workshop.write("text.txt", &text);
    let eval = |more: &[&str]| workshop.kiln(&[&["eval", "llama", "text.txt", "--device", "cpu"], more].concat());
    let measured = |tokens: u64, loss: f64| {
        let finished = eval(&["--json"]).success();
        let found: serde_json::Value = serde_json::from_str(&finished.stdout).expect("it is JSON");
        assert_eq!(found["tokens"], tokens);
        let number = |key: &str| found[key].as_f64().expect("it is a number");
        assert!((number("loss") - loss).abs() < 1e-5, "{found}");
        assert!((number("bits_per_byte") - loss / std::f64::consts::LN_2).abs() < 1e-4, "{found}");
        finished.stderr
    };
    assert_eq!(measured(299, 4.352_146_693), "");
    let mut json: serde_json::Value =
        serde_json::from_slice(&std::fs::read(&tokenizer).expect("it can be read")).expect("it is JSON");
    json["post_processor"] = serde_json::json!({
        "type": "TemplateProcessing",
        "single": [{"SpecialToken": {"id": "B", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}],
        "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 0}}],
        "special_tokens": {"B": {"id": "B", "ids": [1], "tokens": ["B"]}},
    });
    std::fs::write(&tokenizer, json.to_string()).expect("it can be written");
    assert_eq!(measured(300, 4.385_119_518), "each text is read behind `B`, as the tokenizer of the model has it\n");
    let table = eval(&["--per-token"]).success().stdout;
    let nats: Vec<f64> = table.lines().skip(1).filter_map(|line| line.rsplit('\t').next()?.parse().ok()).collect();
    assert_eq!(nats.len(), 300);
    assert!((nats.iter().sum::<f64>() / 300.0 - 4.385_119_518).abs() < 1e-5);
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

#[test]
fn what_every_published_model_is_here_can_be_trained_from_scratch() {
    let workshop = Workshop::with_config("tiny/transformer.toml");
    let tiny = std::fs::read_to_string(workshop.path("transformer.toml")).expect("it is there");
    let (before, others) = tiny.split_once("[model.transformer]").expect("it has a model");
    let (_, after) = others.split_once("[optimizer.adamw]").expect("it has an optimizer");
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("../models/fixtures/hugging-face");
    let mut count = 0;
    for entry in std::fs::read_dir(fixtures).expect("it is there") {
        let folder = entry.expect("it can be read").path();
        // It ends with an error, since there is no tokenizer.
        let inspected = workshop.kiln(&["inspect", &folder.to_string_lossy()]).stdout;
        let (_, options) = inspected.split_once("as a configuration it would be:\n").expect("it says so");
        workshop.write("run.toml", format!("{before}{options}\n[optimizer.adamw]{after}"));
        workshop.kiln(&["check", "run.toml", "--device", "cpu"]).success();
        let name = folder.file_name().expect("it has a name").to_string_lossy().into_owned();
        if ["gemma3", "gpt-neox", "olmo2", "smollm3"].contains(&name.as_str()) {
            let short = ["--set", "run.steps=6", "--set", "run.sample-every=3", "--run", &name, "--device", "cpu"];
            workshop.kiln(&[&["train", "run.toml"][..], &short[..]].concat()).success();
            let evaluated = workshop.kiln(&["eval", &name, "--json", "--device", "cpu"]).success().stdout;
            let evaluated: serde_json::Value = serde_json::from_str(&evaluated).expect("it is JSON");
            assert!(evaluated["loss"].as_f64().is_some_and(|loss| loss > 1.0 && loss < 10.0), "{name}: {evaluated}");
        }
        count += 1;
    }
    assert!(count >= 23, "{count}");
}
