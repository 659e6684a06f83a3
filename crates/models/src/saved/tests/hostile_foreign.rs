//! Damaged and hostile models of other programs: refused by an error that names the place, or opened. Never a panic, an
//! abort or a hang, and no memory on the word of a file.

use std::fs;
use std::path::{Path, PathBuf};

use burn::tensor::Device;
use kiln_hostile::{Fate, Form, Tally, each_mutant, in_a_process, within_bounds};
use kiln_storage::Which;

use crate::saved::{SavedModel, export_gguf};
use crate::{CharacterTokenizerConfig, Tokenizer, TokenizerConfig};
use kiln_packed::Format;

fn copy(from: &Path, to: &Path) {
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
    }
}

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures").join(name)
}

/// A folder with a small model and a tokenizer of 40 characters.
fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    copy(&fixture("hugging-face/llama"), folder.path());
    let config = TokenizerConfig::Character(CharacterTokenizerConfig::default());
    let text: String = ('A'..='Z').chain('a'..='n').collect();
    let tokenizer = Tokenizer::train(&config, &mut std::iter::once(Ok(text))).unwrap();
    tokenizer.save(&folder.path().join("tokenizer.json")).unwrap();
    folder
}

fn open(path: &Path) -> Fate {
    match SavedModel::open(path, Which::Best, &Device::flex()) {
        Ok(model) => {
            let tokens = model.tokenizer.encode("ABC").unwrap_or_default();
            assert!(tokens.iter().all(|token| (*token as usize) < model.tokenizer.vocabulary_size()));
            assert!(model.tokenizer.vocabulary_size() <= model.description.vocabulary_size);
            Fate::Read
        }
        Err(error) => {
            let error = error.to_string();
            assert!(error.contains(&*path.to_string_lossy()), "{error} does not name {}", path.display());
            Fate::Refused
        }
    }
}

/// Opens the model at `path` with every mutant of one of its files in that one's place.
fn mutants(path: &Path, file: &Path, form: Form) -> Tally {
    let whole = fs::read(file).unwrap();
    assert_eq!(open(path), Fate::Read);
    each_mutant(&[whole], form, |bytes| {
        fs::write(file, bytes).unwrap();
        open(path)
    })
}

#[test]
fn every_mutant_of_a_configuration_is_refused_or_opened() {
    let folder = folder();
    let tally = mutants(folder.path(), &folder.path().join("config.json"), Form::Text);
    assert!(tally.read > 500 && tally.refused > 5000, "{tally:?}");
}

#[test]
fn every_mutant_of_an_index_is_refused_or_opened() {
    let folder = folder();
    let tally = mutants(folder.path(), &folder.path().join("model.safetensors.index.json"), Form::Text);
    assert!(tally.read > 300 && tally.refused > 5000, "{tally:?}");
}

#[test]
fn every_mutant_of_a_gguf_file_is_refused_or_opened() {
    let folder = folder();
    let path = folder.path().join("model.gguf");
    let model = SavedModel::open(folder.path(), Which::Best, &Device::flex()).unwrap();
    export_gguf(&model, Some(Format::Q8_0), &path).or_else(|_| export_gguf(&model, Some(Format::F16), &path)).unwrap();
    let tally = mutants(&path, &path, Form::Bytes);
    assert!(tally.read > 500 && tally.refused > 4000, "{tally:?}");
}

#[test]
fn every_mutant_of_adapters_is_refused_or_added() {
    let base = folder();
    let base = SavedModel::open(base.path(), Which::Best, &Device::flex()).unwrap();
    for (name, form) in [("adapter_config.json", Form::Text), ("adapter_model.safetensors", Form::Bytes)] {
        let folder = tempfile::tempdir().unwrap();
        copy(&fixture("peft/llama-some"), folder.path());
        let file = folder.path().join(name);
        let whole = fs::read(&file).unwrap();
        let tally = each_mutant(&[whole], form, |bytes| {
            fs::write(&file, bytes).unwrap();
            match base.with_adapter(folder.path(), Which::Best) {
                Ok(_) => Fate::Read,
                Err(error) => {
                    let (error, place) = (error.to_string(), folder.path().to_string_lossy());
                    assert!(error.contains(&*place), "{error} does not name {place}");
                    Fate::Refused
                }
            }
        });
        assert!(tally.read > 300 && tally.refused > 1000, "{name}: {tally:?}");
    }
}

#[test]
fn every_mutant_of_an_older_tokenizer_is_refused_or_encodes() {
    for (name, file, form) in [
        ("pieces", "tokenizer.model", Form::Bytes),
        ("unigram", "tokenizer.model", Form::Bytes),
        ("gpt2", "vocab.json", Form::Text),
        ("gpt2", "merges.txt", Form::Text),
        ("gpt2", "tokenizer_config.json", Form::Text),
    ] {
        let folder = tempfile::tempdir().unwrap();
        copy(&fixture("slow-tokenizers").join(name), folder.path());
        let path = folder.path().join(file);
        let whole = fs::read(&path).unwrap();
        let tally = each_mutant(&[whole], form, |bytes| {
            fs::write(&path, bytes).unwrap();
            match super::super::hugging_face::tokenizer(folder.path()) {
                Ok(tokenizer) => {
                    let tokens = tokenizer.encode("Once a fox said: it's 12 na\u{ef}ve <|user|>\n").unwrap_or_default();
                    assert!(tokens.iter().all(|token| (*token as usize) < tokenizer.vocabulary_size()));
                    tokenizer.decode(&tokens);
                    Fate::Read
                }
                Err(error) => {
                    let place = folder.path().to_string_lossy();
                    assert!(error.to_string().contains(&*place), "{error} does not name {place}");
                    Fate::Refused
                }
            }
        });
        assert!(tally.read > 100 && tally.refused > 100, "{name}, {file}: {tally:?}");
    }
}

#[test]
#[ignore = "for `in_a_process`"]
fn opens_one() {
    within_bounds(|path| drop(SavedModel::open(path.parent().unwrap(), Which::Best, &Device::flex())));
}

/// A size that only the configuration says.
#[test]
fn no_memory_is_taken_on_the_word_of_a_configuration() {
    for (key, value) in [
        ("\"max_position_embeddings\": 128", "\"max_position_embeddings\": 9007199254740991"),
        ("\"num_hidden_layers\": 2", "\"num_hidden_layers\": 4000000000"),
        ("\"vocab_size\": 61", "\"vocab_size\": 9007199254740991"),
        ("\"head_dim\": 4", "\"head_dim\": 9007199254740990"),
        ("\"intermediate_size\": 40", "\"intermediate_size\": 18446744073709551615"),
    ] {
        let folder = folder();
        let path = folder.path().join("config.json");
        let text = fs::read_to_string(&path).unwrap();
        assert!(text.contains(key), "{key}");
        fs::write(&path, text.replace(key, value)).unwrap();
        in_a_process("saved::tests::hostile_foreign::opens_one", &path);
    }
}
