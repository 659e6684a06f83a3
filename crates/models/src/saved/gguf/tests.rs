//! The logits of small random models in files that `llama.cpp`'s converter wrote, as `transformers` computes them
//! (`scripts/reference/gguf_models.py`).

use std::path::PathBuf;

use burn::tensor::{Int, Tensor, TensorData};
use serde::Deserialize;

use super::*;
use crate::LanguageModel;
use crate::saved::packed::load_packed;
use crate::saved::weights::load;

#[derive(Deserialize)]
struct Expected {
    ids: Vec<Vec<i32>>,
    places: Vec<usize>,
    logits: Vec<Vec<Vec<f32>>>,
    parameters: u64,
}

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/gguf")
}

#[test]
fn files_of_the_converter_hold_the_models_of_transformers() {
    for (name, family) in [
        ("mistral", "llama"),
        ("gpt-neox", "gpt_neox"),
        ("gpt-neox-serial", "gpt_neox"),
        ("gemma", "gemma"),
        ("gemma2", "gemma2"),
        ("gemma3", "gemma3_text"),
        ("olmo2", "olmo2"),
        ("smollm3", "smollm3"),
        ("phi3", "phi3"),
        ("stablelm", "stablelm"),
    ] {
        let path = fixtures().join(name).with_extension("gguf");
        let expected = std::fs::read_to_string(path.with_extension("json")).unwrap();
        let expected: Expected = serde_json::from_str(&expected).unwrap();
        let inspected = inspect_gguf(&path).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!((inspected.family.as_str(), inspected.parameters), (family, expected.parameters), "{name}");
        for loader in [load, load_packed] {
            let saved = open(&path, &Device::flex(), loader).unwrap_or_else(|error| panic!("{error}"));
            assert!(saved.tokenizer.encode("the fox").unwrap().len() > 2, "{name}");
            let most = largest_difference(&saved.model, &expected);
            println!("{name}: the largest difference is {most:.1e} of the largest logit");
            assert!(most < 1e-5, "{name}: {most}");
        }
    }
}

/// The largest difference of a logit, over the largest logit.
fn largest_difference(model: &LanguageModel, expected: &Expected) -> f32 {
    let (rows, steps) = (expected.ids.len(), expected.ids[0].len());
    let ids = TensorData::new(expected.ids.concat(), [rows, steps]);
    let (logits, _) = model.forward(Tensor::<2, Int>::from_data(ids, &Device::flex()), None);
    let found: Vec<f32> = logits.into_data().iter::<f32>().collect();
    let largest = expected.logits.iter().flatten().flatten().fold(0.0_f32, |most, logit| most.max(logit.abs()));
    let mut most = 0.0_f32;
    for (row, of_row) in expected.logits.iter().enumerate() {
        for (place, of_place) in expected.places.iter().zip(of_row) {
            let start = (row * steps + place) * of_place.len();
            for (found, expected) in found[start..start + of_place.len()].iter().zip(of_place) {
                most = most.max((found - expected).abs() / largest);
            }
        }
    }
    most
}

/// What the values of an architecture become.
fn config(architecture: &str, values: &[(&str, GgufValue)]) -> Result<serde_json::Value, String> {
    let sizes = [("block_count", 4), ("embedding_length", 24), ("attention.head_count", 3)];
    let mut all: BTreeMap<String, GgufValue> =
        sizes.iter().map(|(key, value)| (format!("{architecture}.{key}"), GgufValue::U32(*value))).collect();
    all.insert("general.architecture".to_owned(), GgufValue::Text(architecture.to_owned()));
    all.extend(values.iter().map(|(key, value)| (format!("{architecture}.{key}"), value.clone())));
    let sizes = Sizes::new(&all).map_err(|error| error.to_string())?;
    sizes.config(61, |name| name == "blk.0.ffn_norm.weight").map_err(|error| error.to_string())
}

#[test]
fn windows_and_their_layers_are_understood() {
    use serde_json::json;

    let (local, global) = ("sliding_attention", "full_attention");
    let window = |tokens| ("attention.sliding_window", GgufValue::U32(tokens));
    let pattern = |value| ("attention.sliding_window_pattern", value);
    let mistral = config("llama", &[window(5)]).unwrap();
    assert_eq!((&mistral["model_type"], &mistral["sliding_window"]), (&json!("mistral"), &json!(5)));
    assert_eq!(config("llama", &[window(0)]).unwrap()["sliding_window"], json!(null));
    assert_eq!(config("phi3", &[window(0)]).unwrap()["sliding_window"], json!(null));
    let gemma = config("gemma2", &[]).unwrap();
    assert_eq!(
        (&gemma["layer_types"], &gemma["sliding_window"]),
        (&json!([local, global, local, global]), &json!(4096))
    );
    assert_eq!(gemma["query_pre_attn_scalar"], json!(8));
    let gemma = config("gemma3", &[window(7), pattern(GgufValue::U32(3))]).unwrap();
    assert_eq!((&gemma["layer_types"], &gemma["sliding_window"]), (&json!([local, local, global, local]), &json!(7)));
    let flags = vec![false, true, true, false];
    let flags = kiln_storage::formats::gguf::GgufArray::Flags(flags);
    let gemma = config("gemma3", &[window(7), pattern(GgufValue::Array(flags))]).unwrap();
    assert_eq!(gemma["layer_types"], json!([global, local, local, global]));
    let gemma = config("gemma3", &[]).unwrap();
    assert_eq!(
        (&gemma["layer_types"], &gemma["sliding_window"]),
        (&json!([global, global, global, global]), &json!(null))
    );
    let many = config("gemma3", &[("block_count", GgufValue::U32(u32::MAX))]).unwrap_err();
    assert!(many.contains("at most 65536 layers"), "{many}");
}

#[test]
fn the_largest_gemmas_divide_by_the_width_of_the_stream_over_the_heads() {
    for (architecture, layers, scalar) in [("gemma2", 46, 8), ("gemma2", 62, 6), ("gemma3", 62, 8), ("gemma3", 48, 6)] {
        let values = [("block_count", GgufValue::U32(layers)), ("attention.key_length", GgufValue::U32(6))];
        let config = config(architecture, &values).unwrap();
        assert_eq!(config["query_pre_attn_scalar"], serde_json::json!(scalar), "{architecture}, {layers}");
    }
}

#[test]
fn what_would_change_the_logits_is_refused_by_its_name() {
    for (architecture, key, value, words) in [
        ("olmo2", "attention.sliding_window", GgufValue::U32(5), "`olmo2.attention.sliding_window`, which may change"),
        ("llama", "attention.sliding_window_pattern", GgufValue::U32(5), "`llama.attention.sliding_window_pattern`"),
        ("gemma", "rope.dimension_count", GgufValue::U32(4), "is 4, where the heads have 8 numbers"),
        ("stablelm", "attention.key_length", GgufValue::U32(4), "is 4, where the heads have 8 numbers"),
        ("phi3", "rope.scaling.attn_factor", GgufValue::F32(1.5), "is 1.5, and only 1 is read"),
        ("mamba", "x", GgufValue::U32(1), "those that can be read are gpt2, llama, qwen2, qwen3, gptneox, gemma,"),
    ] {
        let error = config(architecture, &[(key, value)]).unwrap_err();
        assert!(error.contains(words), "{error}");
    }
}

#[test]
fn a_part_of_a_head_is_the_columns_that_the_file_says() {
    for rotated in (2..=128).step_by(2) {
        let width = ("rope.dimension_count", GgufValue::U32(rotated));
        let embedding = ("embedding_length", GgufValue::U32(3 * 128));
        let fraction = config("phi3", &[width, embedding]).unwrap()["partial_rotary_factor"].as_f64().unwrap();
        assert_eq!((128.0 * fraction) as u32, rotated);
    }
}
