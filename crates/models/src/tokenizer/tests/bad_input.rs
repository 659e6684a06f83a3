//! Files that aren't tokenizers, or hostile ones: errors, never a panic.

use std::path::Path;
use std::sync::LazyLock;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::super::{Tokenizer, TokenizerError, Unknown};
use super::{TALE, byte, byte_pair, character, learn};

/// A small tokenizer as JSON, changed by `change`.
fn changed(change: impl FnOnce(&mut Value)) -> Result<Tokenizer, TokenizerError> {
    let mut value: Value = serde_json::from_str(&learn(&byte_pair(260), TALE).to_json()).expect("we wrote it");
    change(&mut value);
    Tokenizer::from_json(value.to_string())
}

fn reason(result: Result<Tokenizer, TokenizerError>) -> String {
    match result {
        Err(TokenizerError::Invalid { reason, .. }) => reason,
        other => panic!("{other:?}"),
    }
}

#[test]
fn an_unchanged_file_is_accepted() {
    let tokenizer = changed(|_| ()).expect("nothing was changed");
    assert_eq!(tokenizer.vocabulary_size(), 260);
}

#[test]
fn chance_is_refused() {
    assert!(reason(changed(|file| file["model"]["dropout"] = json!(0.1))).contains("`dropout`"));
}

#[test]
fn numbers_far_beyond_the_vocabulary_are_refused_before_anything_is_as_large() {
    let reason = reason(changed(|file| file["model"]["vocab"]["zebra"] = json!(u32::MAX)));
    assert_eq!(reason, "its 261 tokens are numbered up to 4294967295");
}

#[test]
fn two_tokens_of_one_number_are_refused() {
    let reason = reason(changed(|file| file["model"]["vocab"]["zebra"] = json!(7)));
    assert_eq!(reason, "261 tokens share 260 numbers");
}

#[test]
fn an_added_token_with_a_wrong_number_is_refused() {
    let reason = reason(changed(|file| file["added_tokens"][0]["id"] = json!(9)));
    assert_eq!(reason, "the added token \"<|end|>\" says it is token 9, but is 0");
}

#[test]
fn merges_of_tokens_that_are_not_there_are_refused() {
    changed(|file| file["model"]["merges"] = json!([["no", "such"]])).expect_err("the merge has no tokens");
    changed(|file| file["model"]["vocab"] = json!({})).expect_err("nothing is left to merge");
    let prefix = changed(|file| file["model"]["continuing_subword_prefix"] = json!("######"));
    assert!(reason(prefix).contains("continuing_subword_prefix"));
}

#[test]
fn unknown_stages_versions_and_other_documents_are_refused() {
    changed(|file| file["version"] = json!("9.0")).expect_err("no such version");
    changed(|file| file["model"]["type"] = json!("Oracle")).expect_err("no such model");
    changed(|file| file["pre_tokenizer"]["type"] = json!("Oracle")).expect_err("no such stage");
    changed(|file| {
        file["pre_tokenizer"] =
            json!({"type": "Split", "pattern": {"Regex": "(("}, "behavior": "Isolated", "invert": false})
    })
    .expect_err("no such expression");
    for text in ["", "{", "[]", "null", "{}", "{\"model\": 3}", "\u{0}"] {
        Tokenizer::from_json(text.to_owned()).expect_err(text);
    }
    Tokenizer::from_json("[".repeat(100_000)).expect_err("deep nesting is no tokenizer");
}

#[test]
fn an_expression_that_never_ends_is_an_error_when_it_is_used() {
    let pattern = json!({"type": "Split", "pattern": {"Regex": "(x+x+)+y"}, "behavior": "Isolated", "invert": false});
    let tokenizer = changed(|file| file["pre_tokenizer"] = pattern).expect("the expression is well formed");
    let error = tokenizer.encode(&"x".repeat(64)).expect_err("the engine gives up");
    assert!(matches!(error, TokenizerError::Failed { .. }), "{error:?}");
}

#[test]
fn a_byte_that_the_vocabulary_lacks_is_named_as_its_character() {
    let mut file: Value = serde_json::from_str(&learn(&byte(), "").to_json()).expect("we wrote it");
    let vocabulary = file["model"]["vocab"].as_object_mut().expect("it is an object");
    vocabulary.remove("Ã").expect("the first byte of ï and é");
    let tokenizer = Tokenizer::from_json(file.to_string()).expect("a hole of one is no harm");
    let error = tokenizer.encode("naïve é").expect_err("a byte is missing");
    assert!(matches!(error, TokenizerError::UnknownText { character: 'ï', offset: 2 }), "{error:?}");
}

#[test]
fn what_byte_pairs_leave_out_in_silence_is_an_error_here() {
    let file = json!({
        "version": "1.0", "added_tokens": [], "normalizer": null, "pre_tokenizer": {"type": "Whitespace"},
        "post_processor": null, "decoder": null,
        "model": {"type": "BPE", "vocab": {"a": 0, "b": 1, "ab": 2}, "merges": [["a", "b"]]},
    });
    let tokenizer = Tokenizer::from_json(file.to_string()).expect("a small tokenizer");
    assert_eq!(tokenizer.encode("ab b").expect("all known"), [2, 1]);
    let error = tokenizer.encode("ab bxb").expect_err("x is unknown");
    assert!(matches!(error, TokenizerError::UnknownText { character: 'x', offset: 4 }), "{error:?}");
}

#[test]
fn paths_that_are_no_tokenizer_files_are_named() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let missing = folder.path().join("tokenizer.json");
    let error = Tokenizer::from_file(&missing).expect_err("there is no file");
    assert!(error.to_string().contains("tokenizer.json"), "{error}");
    assert!(matches!(Tokenizer::from_file(folder.path()), Err(TokenizerError::Invalid { .. })));
    std::fs::write(&missing, [b'{', 0xFF]).expect("the folder can be written");
    let error = Tokenizer::from_file(&missing).expect_err("no UTF-8");
    assert!(error.to_string().contains("first wrong byte at offset 1"), "{error}");
    let huge = folder.path().join("huge.json");
    std::fs::File::create(&huge).and_then(|file| file.set_len(200 << 20)).expect("a sparse file");
    let error = Tokenizer::from_file(&huge).expect_err("far too large");
    assert!(error.to_string().contains("larger than 128 MiB"), "{error}");
    #[cfg(unix)]
    {
        let error = Tokenizer::from_file(Path::new("/dev/zero")).expect_err("a device is not a file");
        assert!(error.to_string().contains("it is not a file"), "{error}");
    }
}

#[test]
fn saving_and_reading_again_changes_nothing() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("tokenizer.json");
    for config in [character(Unknown::Error), byte(), byte_pair(300)] {
        let tokenizer = learn(&config, TALE);
        tokenizer.save(&path).expect("the folder can be written");
        let again = Tokenizer::from_file(&path).expect("we wrote it");
        assert_eq!(again.hash(), tokenizer.hash());
        assert_eq!(again.encode(TALE).expect("known text"), tokenizer.encode(TALE).expect("known text"));
    }
    let nowhere = folder.path().join("no").join("such").join("tokenizer.json");
    let error = learn(&byte(), "").save(&nowhere).expect_err("there is no such folder");
    assert!(matches!(error, TokenizerError::Write { .. }), "{error:?}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn damaged_files_never_panic(
        kind in 0..3_usize,
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
        end in any::<prop::sample::Index>(),
    ) {
        static WHOLE: LazyLock<[String; 3]> = LazyLock::new(|| {
            [character(Unknown::Token), byte(), byte_pair(270)].map(|config| learn(&config, TALE).to_json())
        });
        let mut bytes = WHOLE[kind].clone().into_bytes();
        for (place, byte) in changes {
            let place = place.index(bytes.len());
            bytes[place] = byte;
        }
        // One in four is cut short too.
        if end.index(4) == 0 {
            bytes.truncate(end.index(bytes.len()));
        }
        if let Ok(tokenizer) = Tokenizer::from_json(String::from_utf8_lossy(&bytes).into_owned()) {
            let tokens = tokenizer.encode(TALE).unwrap_or_default();
            tokenizer.decode(&tokens);
        }
    }
}
