//! The logits of small random models, as `transformers` computes them (`scripts/reference/hugging_face.py`).

use std::path::PathBuf;

use burn::tensor::{Device, Int, Tensor, TensorData};
use serde::Deserialize;
use serde_json::{Value, json};

use super::beside::{GENERATION_CONFIG, end_tokens};
use super::*;
use crate::{ModelConfig, TransformerConfig};

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/hugging-face")
}

#[derive(Deserialize)]
struct Expected {
    ids: Vec<Vec<i32>>,
    places: Vec<usize>,
    logits: Vec<Vec<Vec<f32>>>,
    prompt: Vec<i32>,
    greedy: Vec<i32>,
    parameters: u64,
}

fn open_fixture(name: &str) -> (LanguageModel, Foreign, Expected) {
    let folder = fixtures().join(name);
    let foreign = configuration(&folder).unwrap_or_else(|error| panic!("{name}: {error}"));
    let model = read(&folder, &foreign, &Device::flex()).unwrap_or_else(|error| panic!("{name}: {error}"));
    let expected = std::fs::read_to_string(folder.join("expected.json")).unwrap();
    (model, foreign, serde_json::from_str(&expected).unwrap())
}

/// The options of a fixture.
pub(in crate::saved) fn configuration_of(name: &str) -> TransformerConfig {
    configuration(&fixtures().join(name)).unwrap_or_else(|error| panic!("{name}: {error}")).config
}

fn tensor(ids: &[i32], rows: usize) -> Tensor<2, Int> {
    Tensor::from_data(TensorData::new(ids.to_vec(), [rows, ids.len() / rows]), &Device::flex())
}

fn all() -> Vec<String> {
    let names = std::fs::read_dir(fixtures()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let names: Vec<String> = names.collect();
    assert!(names.len() >= 10, "{names:?}");
    names
}

#[test]
fn the_logits_are_those_of_transformers() {
    for name in all() {
        let (model, foreign, expected) = open_fixture(&name);
        let config = ModelConfig::Transformer(foreign.config.clone());
        assert_eq!(config.parameter_count(foreign.vocabulary, foreign.context), expected.parameters, "{name}");
        let (logits, _) = model.forward(tensor(&expected.ids.concat(), expected.ids.len()), None);
        let found: Vec<f32> = logits.into_data().iter::<f32>().collect();
        let (steps, vocabulary) = (expected.ids[0].len(), foreign.vocabulary);
        let largest = expected.logits.iter().flatten().flatten().fold(0.0_f32, |most, logit| most.max(logit.abs()));
        for (row, of_row) in expected.logits.iter().enumerate() {
            for (place, of_place) in expected.places.iter().zip(of_row) {
                let start = (row * steps + place) * vocabulary;
                for (found, expected) in found[start..start + vocabulary].iter().zip(of_place) {
                    let off = (found - expected).abs();
                    assert!(off < 1e-5 * largest, "{name}, row {row}, place {place}: {found}, not {expected}");
                }
            }
        }
    }
}

#[test]
fn greedy_continuations_step_by_step_are_those_of_transformers() {
    for name in all() {
        let (model, _, expected) = open_fixture(&name);
        let prompt = tensor(&expected.prompt, 1);
        let (mut logits, mut state) = model.read(prompt, &[expected.prompt.len()], model.initial_state(1));
        let mut found = Vec::new();
        while found.len() < expected.greedy.len() {
            let token: Tensor<1, Int> = logits.argmax(1).squeeze_dim(1);
            found.extend(token.to_data().iter::<i32>());
            (logits, state) = model.step(token, state);
        }
        assert_eq!(found, expected.greedy, "{name}");
    }
}

/// A configuration with some keys changed; null takes one away.
fn changed(name: &str, changes: &[(&str, Value)]) -> Result<Foreign, HuggingFaceError> {
    let text = std::fs::read_to_string(fixtures().join(name).join(CONFIG)).unwrap();
    let mut config: Value = serde_json::from_str(&text).unwrap();
    for (key, value) in changes {
        config[key] = value.clone();
    }
    Foreign::new(&config)
}

#[test]
fn what_would_change_the_logits_is_refused_by_its_name() {
    for (name, key, value, words) in [
        (
            "llama",
            "model_type",
            json!("mamba"),
            "`model_type` \"mamba\", and the architectures that can be read are gpt2",
        ),
        ("llama", "clip_qkv", json!(8.0), "the key `clip_qkv`, which may change what the model computes"),
        ("llama", "hidden_act", json!("gelu"), "says \"gelu\" for `hidden_act`, and only \"silu\" is supported"),
        ("llama", "hidden_size", json!(-24), "says -24 for `hidden_size`, which is no whole number above 0"),
        ("llama", "hidden_size", json!(null), "has no key `hidden_size`"),
        ("llama", "num_key_value_heads", json!(4), "gives `key-value-heads`, which must divide heads"),
        ("llama", "rope_parameters", json!({"rope_type": "longrope"}), "\"longrope\" for `rope_parameters.rope_type`"),
        ("llama", "rope_parameters", json!({"rope_type": "linear"}), "no key `rope_parameters.factor`"),
        ("llama", "rope_parameters", json!({"rope_kind": 1}), "the key `rope_parameters.rope_kind`"),
        ("gpt2", "scale_attn_weights", json!(false), "says false for `scale_attn_weights`, and only true"),
        ("gpt2", "activation_function", json!("relu"), "says \"relu\" for `activation_function`"),
        ("qwen2", "use_sliding_window", json!(true), "says true for `use_sliding_window`"),
        ("qwen3", "layer_types", json!(["sliding_attention"]), "only full attention is supported"),
    ] {
        let error = changed(name, &[(key, value)]).unwrap_err().to_string();
        assert!(error.contains(words), "{name}, {key}: {error}");
    }
}

#[test]
fn keys_of_the_old_form_and_a_sliding_window_are_understood() {
    let old = [
        ("rope_parameters", json!(null)),
        ("rope_theta", json!(5000.0)),
        ("rope_scaling", json!({"type": "linear", "factor": 4.0})),
    ];
    let expected = changed("llama-linear", &[]).unwrap();
    assert_eq!(changed("llama", &old).unwrap().config, expected.config);
    let short = changed("mistral", &[("sliding_window", json!(32))]).unwrap();
    assert_eq!(short.context, 32);
    assert!(short.warning.unwrap().contains("a window of 32 tokens"));
}

/// Copies the files of a fixture, but for those that `leave` names.
fn copy(name: &str, leave: &[&str]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for entry in std::fs::read_dir(fixtures().join(name)).unwrap() {
        let entry = entry.unwrap();
        if !leave.contains(&entry.file_name().to_str().unwrap()) {
            std::fs::copy(entry.path(), folder.path().join(entry.file_name())).unwrap();
        }
    }
    folder
}

fn problem_of(folder: &Path) -> String {
    let foreign = configuration(folder).unwrap();
    read(folder, &foreign, &Device::flex()).map(|_| ()).unwrap_err().to_string()
}

#[test]
fn damaged_folders_are_refused_with_what_is_wrong() {
    let shard = "model-00002-of-00005.safetensors";
    let missing = copy("llama", &[shard]);
    assert!(problem_of(missing.path()).contains(shard));
    let none = copy("gpt2", &["model.safetensors"]);
    assert!(problem_of(none.path()).contains("neither `model.safetensors` nor"));
    std::fs::write(none.path().join("pytorch_model.bin"), "").unwrap();
    assert!(problem_of(none.path()).contains("the pickles `pytorch_model.bin`"));
    let truncated = copy("gpt2", &[]);
    let bytes = std::fs::read(truncated.path().join("model.safetensors")).unwrap();
    std::fs::write(truncated.path().join("model.safetensors"), &bytes[..bytes.len() - 4]).unwrap();
    assert!(problem_of(truncated.path()).contains("model.safetensors"));
    let outside = copy("llama", &[]);
    let index = outside.path().join("model.safetensors.index.json");
    let text = std::fs::read_to_string(&index).unwrap();
    std::fs::write(&index, text.replace(shard, "../weights.safetensors")).unwrap();
    assert!(problem_of(outside.path()).contains("names `../weights.safetensors`, which is no name of a file"));
    // Biases that the configuration doesn't know.
    let biased = copy("llama-tied-biased", &[]);
    let config = biased.path().join(CONFIG);
    let text = std::fs::read_to_string(&config).unwrap();
    std::fs::write(&config, text.replace("\"attention_bias\": true", "\"attention_bias\": false")).unwrap();
    assert!(problem_of(biased.path()).contains("which a model of this configuration has not"));
    let larger = copy("gpt2", &[]);
    let config = larger.path().join(CONFIG);
    let text = std::fs::read_to_string(&config).unwrap();
    std::fs::write(&config, text.replace("\"vocab_size\": 61", "\"vocab_size\": 1000000000")).unwrap();
    assert!(problem_of(larger.path()).contains("describes 24000"));
}

#[test]
fn the_tokens_that_end_a_text_are_those_of_the_generation() {
    let folder = copy("llama", &[]);
    assert_eq!(end_tokens(folder.path()).unwrap(), [2]);
    let write = |text: &str| std::fs::write(folder.path().join(GENERATION_CONFIG), text).unwrap();
    write(r#"{"eos_token_id": [7, 9]}"#);
    assert_eq!(end_tokens(folder.path()).unwrap(), [7, 9]);
    write("{}");
    assert_eq!(end_tokens(folder.path()).unwrap(), [0_u32; 0]);
    write(r#"{"eos_token_id": -1}"#);
    let error = end_tokens(folder.path()).unwrap_err().to_string();
    assert!(error.contains("`generation_config.json` says no token for `eos_token_id`"), "{error}");
}
