//! What Python's `tokenizers` makes of our files, and we of its files.
//!
//! `scripts/reference/tokenizers_check.py` wrote `fixtures/tokenizers/encodings.json`, and the files that Kiln did not
//! make.

use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::super::{Tokenizer, TokenizerConfig, Unknown};
use super::{TALE, byte, byte_pair, character, learn};

#[derive(Deserialize)]
struct Encoding {
    tokenizer: String,
    text: String,
    /// Missing where Python raises an error.
    ids: Option<Vec<u32>>,
    decoded: Option<String>,
}

fn fixture(name: &str) -> PathBuf {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/tokenizers")).join(name)
}

fn ours() -> [(&'static str, TokenizerConfig); 4] {
    [
        ("character.json", character(Unknown::Error)),
        ("character-unknown.json", character(Unknown::Token)),
        ("byte.json", byte()),
        ("byte-pair.json", byte_pair(400)),
    ]
}

#[test]
fn the_files_that_python_was_given_are_those_made_today() {
    for (name, config) in ours() {
        let expected = std::fs::read_to_string(fixture(name)).expect("the fixture is there");
        assert!(learn(&config, TALE).to_json() == expected, "{name} differs from the one that Python was given");
    }
}

#[test]
#[ignore = "writes the files that scripts/reference/tokenizers_check.py reads"]
fn write_the_files_for_python() {
    for (name, config) in ours() {
        learn(&config, TALE).save(&fixture(name)).expect("the folder can be written");
    }
}

#[test]
fn encodings_and_decodings_are_those_of_python() {
    let json = std::fs::read(fixture("encodings.json")).expect("the fixture is there");
    let encodings: Vec<Encoding> = serde_json::from_slice(&json).expect("the fixture is JSON");
    // 18 texts by each of eight tokenizers, four of them ours.
    assert_eq!(encodings.len(), 18 * 8);
    for (name, _) in ours() {
        assert_eq!(encodings.iter().filter(|encoding| encoding.tokenizer == name).count(), 18, "{name}");
    }
    for Encoding { tokenizer: name, text, ids, decoded } in encodings {
        let tokenizer = Tokenizer::from_file(&fixture(&name)).expect("the fixture is a tokenizer");
        let found = tokenizer.encode(&text).ok();
        assert_eq!(found, ids, "{name}: {text:?}");
        if let (Some(ids), Some(decoded)) = (ids, decoded) {
            assert_eq!(tokenizer.decode(&ids), decoded, "{name}: {text:?}");
            let mut decoder = tokenizer.decoder();
            let mut streamed: String = ids.iter().filter_map(|token| decoder.push(*token)).collect();
            streamed.push_str(&decoder.finish());
            assert_eq!(streamed, decoded, "{name}, one by one: {text:?}");
        }
    }
}
