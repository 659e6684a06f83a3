//! Logits with adapters as `peft` computes them (`scripts/reference/peft_adapters.py`), the way back, and what is
//! refused.

use std::fs;
use std::path::PathBuf;

use burn::tensor::{Device, Int};
use kiln_storage::Which;
use serde::Deserialize;
use serde_json::{Value, json};

use super::*;
use crate::saved::Lineage;
use crate::{CharacterTokenizerConfig, LanguageModel, Tokenizer, TokenizerConfig};

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures").join(name)
}

#[derive(Deserialize)]
struct Expected {
    base: String,
    ids: Vec<Vec<i32>>,
    places: Vec<usize>,
    logits: Vec<Vec<Vec<f32>>>,
}

fn copied(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap().map(Result::unwrap) {
        fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
    }
}

/// A model of `transformers` with a tokenizer of 40 characters, in a folder.
fn base(name: &str, folder: &Path) -> SavedModel {
    copied(&fixture("hugging-face").join(name), folder);
    let config = TokenizerConfig::Character(CharacterTokenizerConfig::default());
    let text: String = ('A'..='Z').chain('a'..='n').collect();
    let tokenizer = Tokenizer::train(&config, &mut std::iter::once(Ok(text))).unwrap();
    tokenizer.save(&folder.join("tokenizer.json")).unwrap();
    SavedModel::open(folder, Which::Best, &Device::flex()).unwrap()
}

fn logits(model: &LanguageModel, ids: &[Vec<i32>]) -> Vec<f32> {
    let data = TensorData::new(ids.concat(), [ids.len(), ids[0].len()]);
    let tokens = Tensor::<2, Int>::from_data(data, &Device::flex());
    model.forward(tokens, None).0.into_data().iter().collect()
}

fn furthest(one: &[f32], other: &[f32]) -> f32 {
    assert_eq!(one.len(), other.len());
    one.iter().zip(other).map(|(one, other)| (one - other).abs()).fold(0.0, f32::max)
}

fn names() -> Vec<String> {
    let names = fs::read_dir(fixture("peft")).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let names: Vec<String> = names.collect();
    assert_eq!(names.len(), 6);
    names
}

#[test]
fn logits_with_adapters_are_those_of_peft_and_so_are_those_of_the_merged_and_of_the_written_model() {
    for name in names() {
        let folder = fixture("peft").join(&name);
        let expected: Expected =
            serde_json::from_str(&fs::read_to_string(folder.join("expected.json")).unwrap()).unwrap();
        let place = tempfile::tempdir().unwrap();
        let base = base(&expected.base, &place.path().join("base"));
        let mut adapted = base.with_adapter(&folder, Which::Best).unwrap();
        let found = logits(&adapted.model, &expected.ids);
        let (steps, vocabulary) = (expected.ids[0].len(), base.description.vocabulary_size);
        for (row, of_row) in expected.logits.iter().enumerate() {
            for (place, of_place) in expected.places.iter().zip(of_row) {
                let start = (row * steps + place) * vocabulary;
                let off = furthest(&found[start..start + vocabulary], of_place);
                assert!(off < 3e-5, "{name}, row {row}, place {place}: off by {off}");
            }
        }
        assert!(furthest(&found, &logits(&base.model, &expected.ids)) > 0.5, "{name}");

        // Written and read again.
        let (written, again) = (place.path().join("written"), place.path().join("again"));
        fs::create_dir(&written).unwrap();
        export_peft(&adapted, &written).unwrap();
        let read = base.with_adapter(&written, Which::Best).unwrap();
        let off = furthest(&logits(&read.model, &expected.ids), &found);
        assert!(off < 1e-5, "{name}: {off}");
        // What was read is written to the same bytes.
        fs::create_dir(&again).unwrap();
        export_peft(&read, &again).unwrap();
        assert!(fs::read(written.join(WEIGHTS)).unwrap() == fs::read(again.join(WEIGHTS)).unwrap(), "{name}");

        assert!(adapted.merge());
        let off = furthest(&logits(&adapted.model, &expected.ids), &found);
        assert!(off < 2e-5, "{name}: {off}");
    }
}

#[test]
fn a_folder_of_adapters_is_opened_with_the_base_that_it_names() {
    let place = tempfile::tempdir().unwrap();
    base("llama", &place.path().join("hugging-face/llama"));
    let folder = place.path().join("peft/llama-some");
    copied(&fixture("peft/llama-some"), &folder);
    let opened = SavedModel::open(&folder, Which::Best, &Device::flex()).unwrap();
    assert!(opened.description.adapter.is_some());
    fs::rename(place.path().join("hugging-face"), place.path().join("moved")).unwrap();
    let error = SavedModel::open(&folder, Which::Best, &Device::flex()).err().unwrap().to_string();
    assert!(error.ends_with("has adapters alone, and their base, `../../hugging-face/llama`, isn't here"), "{error}");
    let (moved, device) = (place.path().join("moved/llama"), Device::flex());
    let opening = crate::saved::Opening { base: Some(&moved), ..crate::saved::Opening::new(&device) };
    let again = SavedModel::open_as(&folder, Which::Best, opening).unwrap();
    let ids = [vec![3, 4, 5]];
    assert!(logits(&again.model, &ids) == logits(&opened.model, &ids));
}

#[test]
fn what_does_not_fit_is_refused_by_its_name() {
    let place = tempfile::tempdir().unwrap();
    let base = base("llama", &place.path().join("base"));
    let folder = place.path().join("adapter");
    copied(&fixture("peft/llama-some"), &folder);
    let original: Value = serde_json::from_str(&fs::read_to_string(folder.join(CONFIG)).unwrap()).unwrap();
    let refused = |change: &dyn Fn(&mut serde_json::Map<String, Value>)| {
        let mut value = original.clone();
        change(value.as_object_mut().unwrap());
        fs::write(folder.join(CONFIG), value.to_string()).unwrap();
        base.with_adapter(&folder, Which::Best).err().map(|error| error.to_string()).unwrap_or_default()
    };
    for key in ["peft_type", "r", "lora_alpha"] {
        let error = refused(&|table| _ = table.remove(key));
        assert!(error.ends_with(&format!("its `adapter_config.json` lacks `{key}`")), "{error}");
    }
    for (key, value, words) in [
        ("peft_type", json!("IA3"), "its `peft_type` is \"IA3\"; only \"LORA\" is known here"),
        ("r", json!(0), "has `r` = 0, which must be above 0"),
        ("r", json!("two"), "has `r` = \"two\", which must be above 0"),
        ("lora_alpha", json!(-1.0), "has `lora_alpha` = -1.0, which must be above 0"),
        ("bias", json!("all"), "has `bias` = \"all\", which is not known here"),
        ("modules_to_save", json!(["lm_head"]), "has `modules_to_save` = [\"lm_head\"], which is not known here"),
        ("init_lora_weights", json!("pissa"), "has `init_lora_weights` = \"pissa\", which is not known here"),
        ("use_dora", json!(true), "it lacks the tensor `base_model.model.model.layers.0.self_attn.q_proj.lora_magn"),
    ] {
        let error = refused(&|table| _ = table.insert(key.to_owned(), value.clone()));
        assert!(error.contains(words), "{error}");
    }
    assert_eq!(refused(&|_| {}), "");
    // Of a model of other sizes, and of another family.
    let other = super::tests::base("llama-head-width", &place.path().join("wider"));
    let error = other.with_adapter(&folder, Which::Best).err().unwrap().to_string();
    assert!(
        error.contains("self_attn.q_proj.lora_B.weight` has the shape [24, 2], where the model needs [48, 2]"),
        "{error}"
    );
    let other = super::tests::base("gpt2", &place.path().join("gpt2"));
    let error = other.with_adapter(&folder, Which::Best).err().unwrap().to_string();
    assert!(error.contains("belongs to no matrix of the model that could have an adapter"), "{error}");
    let error = base.with_adapter(&place.path().join("base"), Which::Best).err().unwrap().to_string();
    assert!(error.ends_with("has no adapters that could be added to a model"), "{error}");
    // Those that Kiln wrote say what they are for.
    let mut adapted = base.with_adapter(&folder, Which::Best).unwrap();
    adapted.description.base = Some(Lineage { path: "runs/base".to_owned(), step: None, sha256: "0".repeat(64) });
    let written = place.path().join("written");
    fs::create_dir(&written).unwrap();
    export_peft(&adapted, &written).unwrap();
    let error = base.with_adapter(&written, Which::Best).err().unwrap().to_string();
    assert!(error.contains("its adapters are for a model with the SHA-256 000000"), "{error}");
}
