//! The logits of small random models, as `transformers` computes them (`scripts/reference/hugging_face.py`).

use std::path::PathBuf;

use burn::optim::GradientsParams;
use burn::tensor::{Device, Int, Tensor, TensorData};
use kiln_kernels::Draws;
use kiln_parameters::{catalogue, flat_gradient};
use serde::Deserialize;
use serde_json::{Value, json};

use super::beside::{GENERATION_CONFIG, end_tokens};
use super::*;
use crate::saved::packed::load_packed;
use crate::saved::weights::load;
use crate::{AttentionLayer, ModelConfig, TransformerConfig};

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
    loss: f64,
    /// Of all matrices, and of all vectors.
    gradient_norms: [f64; 2],
    parameters: u64,
}

/// With parameters, and with packed matrices.
const LOADERS: [Loader; 2] = [load, load_packed];

fn open_fixture(name: &str, loader: Loader) -> (LanguageModel, Foreign, Expected) {
    let folder = fixtures().join(name);
    let foreign = configuration(&folder).unwrap_or_else(|error| panic!("{name}: {error}"));
    let model = read(&folder, &foreign, &Device::flex(), loader).unwrap_or_else(|error| panic!("{name}: {error}"));
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
    assert!(names.len() >= 23, "{names:?}");
    names
}

#[test]
fn the_logits_are_those_of_transformers() {
    for (name, loader) in all().into_iter().flat_map(|name| LOADERS.map(|loader| (name.clone(), loader))) {
        let (model, foreign, expected) = open_fixture(&name, loader);
        let config = ModelConfig::Transformer(foreign.config.clone());
        assert_eq!(config.parameter_count(foreign.vocabulary, foreign.context), expected.parameters, "{name}");
        let (logits, _) = model.forward(tensor(&expected.ids.concat(), expected.ids.len()), None);
        let found: Vec<f32> = logits.into_data().iter::<f32>().collect();
        let (steps, vocabulary) = (expected.ids[0].len(), foreign.vocabulary);
        let largest = expected.logits.iter().flatten().flatten().fold(0.0_f32, |most, logit| most.max(logit.abs()));
        let mut most = 0.0_f32;
        for (row, of_row) in expected.logits.iter().enumerate() {
            for (place, of_place) in expected.places.iter().zip(of_row) {
                let start = (row * steps + place) * vocabulary;
                for (found, expected) in found[start..start + vocabulary].iter().zip(of_place) {
                    let off = (found - expected).abs() / largest;
                    assert!(off < 1e-5, "{name}, row {row}, place {place}: {found}, not {expected}");
                    most = most.max(off);
                }
            }
        }
        println!("{name}: the largest difference is {most:.1e} of the largest logit");
    }
}

#[test]
fn losses_and_their_gradients_are_those_of_pytorch() {
    let device = Device::flex().autodiff();
    for name in all() {
        let (_, foreign, expected) = open_fixture(&name, load);
        let model = read(&fixtures().join(&name), &foreign, &device, load).unwrap();
        let ids = tensor(&expected.ids.concat(), expected.ids.len()).to_device(&device);
        let last = expected.ids[0].len() - 1;
        let (tokens, targets) = (ids.clone().narrow(1, 0, last), ids.narrow(1, 1, last));
        let loss = model.losses(tokens, targets, None, &mut Draws::none()).0.mean();
        let gradients = GradientsParams::from_grads(loss.backward(), &model);
        let mut squares = [0.0; 2];
        for parameter in catalogue(&model) {
            let gradient =
                flat_gradient(&gradients, &parameter).unwrap_or_else(|| panic!("{name}: {}", parameter.path));
            let square: f64 = gradient.into_data().iter::<f64>().map(|number| number * number).sum();
            squares[usize::from(parameter.shape.len() == 1)] += square;
        }
        let found = [loss.into_scalar::<f64>(), squares[0].sqrt(), squares[1].sqrt()];
        let expected = [expected.loss, expected.gradient_norms[0], expected.gradient_norms[1]];
        for (found, expected) in found.into_iter().zip(expected) {
            assert!((found - expected).abs() < 1e-5 * expected, "{name}: {found}, not {expected}");
        }
    }
}

#[test]
fn greedy_continuations_step_by_step_are_those_of_transformers() {
    for (name, loader) in all().into_iter().flat_map(|name| LOADERS.map(|loader| (name.clone(), loader))) {
        let (model, _, expected) = open_fixture(&name, loader);
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
        ("llama", "rope_parameters", json!({"rope_type": "spiral"}), "\"spiral\" for `rope_parameters.rope_type`"),
        ("llama", "rope_parameters", json!({"rope_type": "linear"}), "no key `rope_parameters.factor`"),
        ("llama", "rope_parameters", json!({"rope_kind": 1}), "the key `rope_parameters.rope_kind`"),
        ("gpt2", "scale_attn_weights", json!(false), "says false for `scale_attn_weights`, and only true"),
        ("gpt2", "activation_function", json!("mish"), "says \"mish\" for `activation_function`"),
        ("qwen2", "layer_types", json!(["sliding_attention", "full_attention"]), "no key `sliding_window`"),
        ("qwen3", "layer_types", json!(["full_attention"]), "where `num_hidden_layers` is 2"),
        ("qwen3", "layer_types", json!(["chunked_attention", "full_attention"]), "of which only \"full_attention\""),
        (
            "llama",
            "rope_parameters",
            json!({"partial_rotary_factor": 0.5}),
            "says 0.5 for `partial_rotary_factor`, and only 1",
        ),
        ("gpt-neox", "hidden_act", json!("mish"), "says \"mish\" for `hidden_act`"),
        ("gpt-neox", "num_attention_heads", json!(5), "gives `heads`, which must divide width (24)"),
        (
            "gpt-neox",
            "rope_parameters",
            json!({"partial_rotary_factor": 0.4}),
            "gives `rotary-fraction`, which rotates 3",
        ),
        ("gemma", "use_bidirectional_attention", json!(true), "says true for `use_bidirectional_attention`"),
        ("gemma2", "hidden_activation", json!("gelu"), "says \"gelu\" for `hidden_activation`"),
        ("gemma2", "sliding_window", json!(null), "no key `sliding_window`"),
        ("gemma2", "query_pre_attn_scalar", json!(-1), "gives `attention-scale`, which must be above 0"),
        (
            "gemma3",
            "rope_parameters",
            json!({"sliding_attention": {"rope_type": "linear", "factor": 2.0}}),
            "`rope_parameters.sliding_attention`, and local layers are not stretched here",
        ),
        ("gemma3", "rope_parameters", json!({"chunked_attention": {}}), "the key `rope_parameters.chunked_attention`"),
        ("gemma3-with-pictures", "text_config", json!({"clip_qkv": 1}), "the key `text_config.clip_qkv`"),
        ("gemma3-with-pictures", "text_config", json!(null), "no key `text_config`"),
        ("gemma3-with-pictures", "tie_word_embeddings", json!(false), "says false for `tie_word_embeddings`"),
        ("smollm3", "no_rope_layers", json!([1, 0]), "where `num_hidden_layers` is 5"),
        ("smollm3", "no_rope_layers", json!([1, 0, 2, 1, 1]), "which is no list of 0 and 1"),
        ("smollm3", "use_sliding_window", json!(true), "says true for `use_sliding_window`"),
        ("phi3", "rope_parameters", json!({"rope_type": "longrope"}), "no key `rope_parameters.short_factor`"),
        (
            "phi3",
            "rope_parameters",
            json!({"rope_type": "longrope", "short_factor": [1.0]}),
            "gives `rotary-scaling.long-rope.factors`, which must have a number for each of 2 pairs",
        ),
        (
            "phi3",
            "rope_parameters",
            json!({"rope_type": "yarn", "factor": 4.0}),
            "and of this architecture only \"longrope\" is supported",
        ),
        ("stablelm", "use_parallel_residual", json!(true), "says true for `use_parallel_residual`"),
        ("stablelm", "qk_layernorm", json!(true), "says true for `qk_layernorm`"),
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
    assert_eq!((short.context, short.config.attention_window), (128, Some(32)));
    let old = [("rope_parameters", json!(null)), ("rotary_pct", json!(0.5)), ("rotary_emb_base", json!(300))];
    let neox = changed("gpt-neox", &old).unwrap().config;
    assert_eq!((neox.rotary_fraction, neox.rotary_base), (0.5, 300.0));
    let old = [
        ("rope_parameters", json!(null)),
        ("rope_theta", json!(20000.0)),
        ("rope_local_base_freq", json!(500.0)),
        ("rope_scaling", json!({"rope_type": "linear", "factor": 8.0})),
        ("layer_types", json!(null)),
    ];
    assert_eq!(changed("gemma3", &old).unwrap().config, changed("gemma3", &[]).unwrap().config);
    let legacy = changed("gemma", &[("hidden_act", json!("gelu"))]).unwrap().config;
    assert_eq!(legacy, changed("gemma", &[]).unwrap().config);
}

#[test]
fn more_layers_than_any_model_has_are_refused_before_there_is_anything_of_each() {
    for entry in std::fs::read_dir(fixtures()).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        let mut config: Value =
            serde_json::from_str(&std::fs::read_to_string(fixtures().join(&name).join(CONFIG)).unwrap()).unwrap();
        let table = config.get("text_config").unwrap_or(&config);
        let key = if table.get("n_layer").is_some() { "n_layer" } else { "num_hidden_layers" };
        let is_within = config.get("text_config").is_some();
        for count in [4097, 1_000_000_000, u64::MAX] {
            let table = if is_within { &mut config["text_config"] } else { &mut config };
            table[key] = json!(count);
            // What would be listed for each layer is left to its rule.
            for list in ["layer_types", "no_rope_layers"] {
                table.as_object_mut().unwrap().remove(list);
            }
            let problem = Foreign::new(&config).unwrap_err().to_string();
            let words = format!("says {count} for `{key}`, and 4096 are the most");
            assert!(problem.contains(&words), "{name}: {problem}");
        }
    }
}

#[test]
fn layers_are_the_shortest_list_that_repeats() {
    let pattern = |name: &str, changes: &[(&str, Value)]| changed(name, changes).unwrap().config.layer_pattern;
    let (global, local, unrotated) = (AttentionLayer::Global, AttentionLayer::Local, AttentionLayer::Unrotated);
    assert_eq!(pattern("gemma2", &[]), Some(vec![local, global]));
    assert_eq!(pattern("gemma3", &[]), Some(vec![local, local, global]));
    assert_eq!(pattern("qwen2-local", &[]), Some(vec![global, local, local]));
    assert_eq!(pattern("qwen2-local", &[("use_sliding_window", json!(false)), ("layer_types", json!(null))]), None);
    // As the class has it where the list is missing: every fourth.
    assert_eq!(pattern("smollm3", &[("no_rope_layers", json!(null))]), Some(vec![global, global, global, unrotated]));
    // Five layers of six would be local.
    assert_eq!(pattern("gemma3", &[("layer_types", json!(null)), ("sliding_window_pattern", json!(6))]), None);
    assert_eq!(changed("mistral-local", &[]).unwrap().config.attention_window, Some(5));
}

#[test]
fn a_table_of_text_takes_what_it_lacks_from_the_class() {
    let text = json!({"model_type": "gemma3_text", "hidden_size": 2560, "num_hidden_layers": 34,
        "intermediate_size": 10240, "sliding_window": 1024, "rope_scaling": {"factor": 8.0, "rope_type": "linear"}});
    let foreign = changed("gemma3-with-pictures", &[("text_config", text)]).unwrap();
    let config = &foreign.config;
    assert_eq!((config.heads, config.key_value_heads, config.head_width), (8, Some(4), Some(256)));
    assert_eq!((foreign.vocabulary, foreign.context, config.rotary_base), (262_208, 131_072, 1e6));
    assert_eq!((config.local_rotary_base, config.attention_scale), (Some(1e4), None));
    assert_eq!(config.layer_pattern.as_ref().map(Vec::len), Some(6));
    // Gemma 3 with four thousand million parameters, less the part that reads pictures.
    assert_eq!(ModelConfig::Transformer(config.clone()).parameter_count(262_208, 131_072), 3_880_263_168);
    assert!(foreign.warning.unwrap().contains("reads pictures is left out"));
}

#[test]
fn a_rotation_that_is_stretched_beyond_the_context_is_said() {
    let warning = changed("llama-dynamic", &[]).unwrap().warning.unwrap();
    assert!(warning.contains("longer texts than 128 tokens, which is the longest text here"), "{warning}");
}

/// A model as it was saved before, whose head had another name, and with tables of masks.
#[test]
fn a_head_by_its_old_name_is_found() {
    let folder = copy("gpt-neox", &[]);
    let path = folder.path().join("model.safetensors");
    let bytes = std::fs::read(&path).unwrap();
    let length = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
    let header = String::from_utf8(bytes[8..8 + length].to_vec()).unwrap();
    let header = header.replace("lm_head.weight", "embed_out.weight").trim_end().to_owned();
    let header = format!("{header:<width$}", width = header.len().next_multiple_of(8));
    let whole = [&(header.len() as u64).to_le_bytes()[..], header.as_bytes(), &bytes[8 + length..]].concat();
    std::fs::write(&path, whole).unwrap();
    let logits = |folder: &Path| {
        let model = read(folder, &configuration(folder).unwrap(), &Device::flex(), load).unwrap();
        model.forward(tensor(&[3, 4, 5], 1), None).0.into_data()
    };
    assert_eq!(logits(folder.path()), logits(&fixtures().join("gpt-neox")));
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
    read(folder, &foreign, &Device::flex(), load).map(|_| ()).unwrap_err().to_string()
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
