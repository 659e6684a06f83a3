//! Mutants of tokenizer files of every kind of model, and the files that made the crate `tokenizers` or the engine of
//! its expressions panic, abort or take memory without bound.

use std::fs;

use kiln_hostile::{Fate, Form, each_mutant, in_a_process, within_bounds};
use serde_json::{Value, json};

use super::super::{Tokenizer, TokenizerError, Unknown};
use super::{TALE, byte_pair, character, learn};

fn with_model(model: Value) -> Value {
    json!({
        "version": "1.0", "truncation": null, "padding": null, "added_tokens": [], "normalizer": null,
        "pre_tokenizer": {"type": "Whitespace"}, "post_processor": null, "decoder": null, "model": model,
    })
}

/// A file with one other value.
fn with(mut file: Value, key: &str, value: Value) -> Value {
    file[key] = value;
    file
}

fn word_level() -> Value {
    with_model(json!({"type": "WordLevel", "vocab": {"[UNK]": 0, "once": 1, "a": 2}, "unk_token": "[UNK]"}))
}

fn unigram() -> Value {
    let vocabulary = json!([["<unk>", 0.0], ["▁", -1.0], ["a", -1.5], ["once", -2.0], ["<0x41>", -3.0]]);
    let file = with_model(json!({"type": "Unigram", "unk_id": 0, "vocab": vocabulary, "byte_fallback": false}));
    let file = with(
        file,
        "normalizer",
        json!({"type": "Sequence", "normalizers": [{"type": "NFKC"}, {"type": "Prepend", "prepend": "▁"}]}),
    );
    let file =
        with(file, "pre_tokenizer", json!({"type": "Metaspace", "replacement": "▁", "prepend_scheme": "always"}));
    with(
        file,
        "decoder",
        json!({"type": "Sequence", "decoders": [
            {"type": "ByteFallback"}, {"type": "Fuse"}, {"type": "Strip", "content": " ", "start": 1, "stop": 0},
        ]}),
    )
}

fn word_piece() -> Value {
    let model = json!({
        "type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##", "max_input_chars_per_word": 100,
        "vocab": {"[UNK]": 0, "a": 1, "##n": 2, "once": 3, "##e": 4},
    });
    let file = with(with_model(model), "normalizer", json!({"type": "Lowercase"}));
    let split =
        json!({"type": "Split", "pattern": {"Regex": "\\w+|[^\\w\\s]+"}, "behavior": "Isolated", "invert": false});
    let file = with(
        file,
        "pre_tokenizer",
        json!({"type": "Sequence", "pretokenizers": [split, {"type": "Digits", "individual_digits": true}]}),
    );
    with(file, "decoder", json!({"type": "WordPiece", "prefix": "##", "cleanup": true}))
}

/// Small files of every kind.
fn files() -> Vec<Vec<u8>> {
    let few = learn(&character(Unknown::Token), "once a fox");
    let pairs = learn(&byte_pair(262), TALE);
    let written = [word_level(), unigram(), word_piece()].map(|file| file.to_string());
    [few.to_json(), pairs.to_json()].into_iter().chain(written).map(String::into_bytes).collect()
}

#[test]
fn every_mutant_of_a_tokenizer_is_refused_or_encodes_within_its_vocabulary() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("tokenizer.json");
    let tally = each_mutant(&files(), Form::Text, |bytes| {
        fs::write(&path, bytes).expect("the folder can be written");
        match Tokenizer::from_file(&path) {
            Ok(tokenizer) => {
                let tokens = tokenizer.encode("Once a fox said: it's 12 naïve 東京\n").unwrap_or_default();
                assert!(tokens.iter().all(|token| (*token as usize) < tokenizer.vocabulary_size()));
                tokenizer.decode(&tokens);
                assert_eq!(tokenizer.to_json().as_bytes(), bytes);
                Fate::Read
            }
            Err(error) => {
                assert!(error.to_string().contains(&*path.to_string_lossy()), "{error}");
                Fate::Refused
            }
        }
    });
    assert!(tally.read > 100 && tally.refused > 3000, "{tally:?}");
}

/// Files of one value each that must be refused, with words of the reason.
#[test]
fn what_contradicts_itself_is_refused_by_name() {
    let text = |file: Value| file.to_string();
    let twice = text(word_level()).replace("\"once\":1", "\"once\":1,\"once\":3");
    let models = text(word_level())
        .replace("\"model\":", "\"model\":{\"type\":\"WordLevel\",\"vocab\":{},\"unk_token\":\"\"},\"model\":");
    let added = |id: u64| {
        let token = json!({
            "id": id, "content": "<x>", "single_word": false, "lstrip": false, "rstrip": false, "normalized": false,
            "special": true,
        });
        text(with(word_level(), "added_tokens", json!([token])))
    };
    let long = "a".repeat(1025);
    let list = |tokens: Value, unknown: Value| {
        text(with_model(json!({"type": "Unigram", "vocab": tokens, "unk_id": unknown})))
    };
    let cases = [
        (twice, "`model.vocab` has 4 entries for 3 tokens"),
        (models, "duplicate field `model`"),
        (added(4_294_967_295), "says it is token 4294967295, but is 3"),
        (added(4_294_967_296), "invalid value: integer `4294967296`"),
        (list(json!([[long, 0.0]]), json!(0)), "a token of 1025 bytes, more than 1024"),
        (list(json!([]), json!(0)), "EmptyVocabulary"),
        (list(json!([]), json!(null)), "its vocabulary is empty"),
        (list(json!([["a", 0.0]]), json!(7)), "UnkIdNotInVocabulary"),
        (text(with(word_level(), "normalizer", nested("normalizers", 32))), "`normalizer` has"),
        (text(with(word_level(), "decoder", json!(vec![0; 10_000]))), "more than 10000 values"),
        (
            text(word_level()).replace("\"normalizer\":null", "\"normalizer\":{\"type\":\"NFC\",\"type\":\"NFD\"}"),
            "the key `type` stands there twice",
        ),
        // As a table of characters that says it has 4294967295 bytes.
        (
            text(with(word_level(), "normalizer", json!({"type": "Precompiled", "precompiled_charsmap": "/////w=="}))),
            "shorter than it says",
        ),
    ];
    for (file, words) in cases {
        match Tokenizer::from_json(file) {
            Err(TokenizerError::Invalid { reason, .. }) => {
                assert!(reason.contains(words), "{reason:?} lacks {words:?}")
            }
            other => panic!("{words}: {other:?}"),
        }
    }
}

fn nested(list: &str, levels: usize) -> Value {
    let innermost = match list {
        "normalizers" => json!({"type": "NFC"}),
        "pretokenizers" => json!({"type": "Whitespace"}),
        "processors" => json!({"type": "ByteLevel", "add_prefix_space": true, "trim_offsets": true}),
        _ => json!({"type": "Fuse"}),
    };
    (0..levels).fold(innermost, |inner, _| json!({"type": "Sequence", list: [inner]}))
}

/// Each in a process of its own, since an abort cannot be caught: whether it is read or refused, it comes to an end,
/// and so does a text through it.
#[test]
fn files_that_made_the_library_give_up_come_to_an_end() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let split = |pattern: &str| {
        let split = json!({"type": "Split", "pattern": {"Regex": pattern}, "behavior": "Isolated", "invert": false});
        with(word_level(), "pre_tokenizer", split)
    };
    let replace = |pattern: Value| {
        with(word_level(), "normalizer", json!({"type": "Replace", "pattern": pattern, "content": "ab"}))
    };
    let unigram_of =
        |token: String| with_model(json!({"type": "Unigram", "vocab": [["<unk>", 0.0], [token, -1.0]], "unk_id": 0}));
    let cases = [
        ("a piece of a megabyte", unigram_of("a".repeat(1 << 20))),
        ("a piece of a thousand bytes", unigram_of("a".repeat(1000))),
        ("an empty piece", unigram_of(String::new())),
        ("normalizers in normalizers", with(word_level(), "normalizer", nested("normalizers", 15))),
        ("pre-tokenizers in pre-tokenizers", with(word_level(), "pre_tokenizer", nested("pretokenizers", 15))),
        ("processors in processors", with(word_level(), "post_processor", nested("processors", 15))),
        ("decoders in decoders", with(word_level(), "decoder", nested("decoders", 15))),
        ("words of no length", with(word_level(), "pre_tokenizer", json!({"type": "FixedLength", "length": 0}))),
        ("replacing nothing", replace(json!({"String": ""}))),
        ("replacing an empty match", replace(json!({"Regex": ""}))),
        ("splitting at an empty match", split("")),
        ("repeats of repeats", split("((a{1000}){1000}){1000}")),
        ("many repeats", split("(?:){99999}")),
        ("many parentheses", split(&"(".repeat(100_000))),
        ("parentheses in parentheses", split(&format!("{}a{}", "(".repeat(4000), ")".repeat(4000)))),
        ("an expression of a megabyte", split(&"(a|b)*c?".repeat(1 << 17))),
        ("backtracking", split("(x+x+)+y")),
        ("a call of itself", split("(?<a>x\\g<a>?)+y")),
        (
            "bytes of no number",
            with(
                unigram(),
                "model",
                json!({"type": "Unigram", "unk_id": 0, "byte_fallback": true, "vocab": [
                    ["<unk>", 0.0], ["<0x-1>", -1.0], ["<0xé>", -1.0],
                ]}),
            ),
        ),
        (
            "a table of characters that leads out of itself",
            with(word_level(), "normalizer", json!({"type": "Precompiled", "precompiled_charsmap": "BAAAAP////8A"})),
        ),
        (
            "padding to a multiple of nothing",
            with(
                word_level(),
                "padding",
                json!({
                    "strategy": "BatchLongest", "direction": "Right", "pad_to_multiple_of": 0, "pad_id": 0,
                    "pad_type_id": 0, "pad_token": "a",
                }),
            ),
        ),
        (
            "truncation to nothing",
            with(
                word_level(),
                "truncation",
                json!({"direction": "Right", "max_length": 0, "strategy": "LongestFirst", "stride": 9}),
            ),
        ),
    ];
    for (name, file) in cases {
        let path = folder.path().join(name);
        fs::write(&path, file.to_string()).expect("the folder can be written");
        in_a_process("tokenizer::tests::hostile::a_process_reads_a_tokenizer", &path);
    }
}

#[test]
#[ignore = "started by the test above"]
fn a_process_reads_a_tokenizer() {
    within_bounds(|path| {
        if let Ok(tokenizer) = Tokenizer::from_file(path) {
            for text in [TALE, &"x".repeat(100), &"a".repeat(5000), "<0x-1>"] {
                let tokens = tokenizer.encode(text).unwrap_or_default();
                tokenizer.decode(&tokens);
            }
        }
    });
}

#[cfg(unix)]
#[test]
fn what_is_no_file_is_not_read() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    for path in kiln_hostile::no_files(folder.path()) {
        let what = path.display().to_string();
        let error =
            kiln_hostile::in_time(&what, move || Tokenizer::from_file(&path).map(drop).expect_err("it is not a file"));
        assert_eq!(error.to_string(), format!("{what} is not a tokenizer that Kiln can use: it is not a file"));
    }
}
