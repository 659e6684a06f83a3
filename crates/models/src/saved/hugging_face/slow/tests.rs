//! Tokens as `sentencepiece` and `transformers` give them (`scripts/reference/slow_tokenizers.py`), and damaged files.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::Deserialize;

use super::protobuf::{Field, Fields, NoMessage};
use super::*;

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/slow-tokenizers")
}

#[derive(Deserialize)]
struct Expected {
    seed: u64,
    lines: usize,
    words: Vec<String>,
    tokenizers: BTreeMap<String, Tokens>,
}

#[derive(Deserialize)]
struct Tokens {
    start: Vec<u32>,
    /// Four hexadecimal digits a line.
    checksums: String,
}

/// SplitMix64, as in the script.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut word = self.0;
        word = (word ^ (word >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((word ^ (word >> 31)) % end as u64) as usize
    }
}

/// Lines of code, emoji, many scripts and odd white space, the same as those of the script.
fn lines(expected: &Expected) -> Vec<String> {
    let mut numbers = Numbers(expected.seed);
    let mut line = || {
        let mut line = String::new();
        for _ in 0..=numbers.below(16) {
            line += &expected.words[numbers.below(expected.words.len())];
            line += if numbers.below(2) == 1 { " " } else { "" };
        }
        line
    };
    (0..expected.lines).map(|_| line()).collect()
}

/// FNV-1a of the bytes of all tokens, its halves put together.
fn checksum(tokens: &[u32]) -> String {
    let bytes = tokens.iter().flat_map(|token| token.to_le_bytes());
    let value = bytes.fold(0x811C_9DC5_u32, |value, byte| (value ^ u32::from(byte)).wrapping_mul(0x0100_0193));
    format!("{:04x}", (value >> 16) ^ (value & 0xFFFF))
}

#[test]
fn the_tokens_of_a_thousand_lines_are_those_of_other_programs() {
    let text = std::fs::read_to_string(fixtures().join("expected.json")).unwrap();
    let expected: Expected = serde_json::from_str(&text).unwrap();
    assert_eq!((expected.lines, expected.tokenizers.len()), (1000, 11));
    let lines = lines(&expected);
    let mut wrong = Vec::new();
    for (name, of) in &expected.tokenizers {
        let tokenizer = tokenizer(&fixtures().join(name)).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(tokenizer.start_tokens(), of.start, "{name}");
        let found = |line: &String| tokenizer.encode(line).map(|tokens| (checksum(&tokens), tokens));
        for (line, known) in lines.iter().zip(of.checksums.as_bytes().chunks(4)) {
            if known == b"----" {
                continue;
            }
            match found(line) {
                Ok((sum, _)) if sum.as_bytes() == known => {}
                other => wrong.push(format!("{name}, {line:?}: {other:?}")),
            }
        }
    }
    assert!(wrong.is_empty(), "{} lines differ, for example\n{}", wrong.len(), wrong[..wrong.len().min(8)].join("\n"));
}

#[test]
fn what_is_encoded_is_decoded_again() {
    for name in ["pieces-legacy", "pieces-no-prefix", "unigram", "gpt2"] {
        let tokenizer = tokenizer(&fixtures().join(name)).unwrap();
        for text in ["Once upon a time", " two  spaces ", "naïve 東京 🦊 x\ty"] {
            let tokens = tokenizer.encode(text).unwrap();
            assert_eq!(tokenizer.decode(&tokens), text, "{name}");
        }
    }
}

#[test]
fn the_fields_of_a_message_are_read_and_no_length_is_believed() {
    let read = |bytes: &[u8]| Fields::of(bytes).map(|field| field.map(|(number, _)| number)).collect::<Vec<_>>();
    // Field 1 is 150, the example of the format's own description; field 2 is "testing"; field 5 has four bytes.
    let message = b"\x08\x96\x01\x12\x07testing\x2d\x00\x00\x80\x3f";
    let fields: Vec<_> = Fields::of(message).map(Result::unwrap).collect();
    assert_eq!(fields, [(1, Field::Whole(150)), (2, Field::Bytes(b"testing")), (5, Field::Four([0, 0, 0x80, 0x3F]))]);
    assert_eq!(fields[2].1.float(), Some(1.0));
    for cut in [1, 2, 4, 6, 10, 14, 16] {
        assert_eq!(read(&message[..cut]).last(), Some(&Err(NoMessage)), "{cut}");
    }
    assert_eq!(read(b"\x12\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\x01"), [Err(NoMessage)]);
    assert_eq!(read(b"\x08\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\x01"), [Err(NoMessage)]);
    assert_eq!(read(b"\x0b"), [Err(NoMessage)]);
}

/// A model of SentencePiece with these further fields.
fn model(more: &[u8]) -> Vec<u8> {
    let piece = |text: &[u8], kind: u8| {
        let inner = [&[0x0A, text.len() as u8], text, &[0x15, 0, 0, 0, 0, 0x18, kind]].concat();
        [&[0x0A, inner.len() as u8], &inner[..]].concat()
    };
    [piece(b"<unk>", 2), piece(b"<s>", 3), piece(b"a", 1), b"\x1a\x02\x20\x00".to_vec(), more.to_vec()].concat()
}

#[test]
fn what_would_give_other_tokens_is_refused_by_its_name() {
    let folder = tempfile::tempdir().unwrap();
    let problem = |files: &[(&str, Vec<u8>)]| {
        for entry in std::fs::read_dir(folder.path()).unwrap() {
            std::fs::remove_file(entry.unwrap().path()).unwrap();
        }
        for (name, bytes) in files {
            std::fs::write(folder.path().join(name), bytes).unwrap();
        }
        tokenizer(folder.path()).map(|tokenizer| tokenizer.encode("a").unwrap()).map_err(|error| error.to_string())
    };
    let of_model = |more: &[u8]| problem(&[(SENTENCE_PIECE, model(more))]);
    // Without a class nothing says that a token begins a text.
    assert_eq!(of_model(b"").unwrap().last(), Some(&2));
    for (more, words) in [
        (&b"\x12\x02\x18\x03"[..], "`model_type` is 3, and 1 (unigram) and 2 (byte pairs) are read"),
        (b"\x12\x03\xC0\x01\x01", "`treat_whitespace_as_suffix` is not supported"),
        (b"\x1a\x04\x12\x02ab", "`precompiled_charsmap`"),
        (b"\x1a\x0a\x12\x08\xff\xff\xff\xffabcd", "`precompiled_charsmap` is shorter than it says"),
        (b"\x1a\x04\x20\x00\x28\x00", "`escape_whitespaces` is off"),
        (b"\x0a\x05\x0a\x01b\x18\x09", "a piece is of a kind that is not known"),
        (b"\x0a\x08\x0a\x01b\x15\x00\x00\xc0\x7f", "the score of the piece \"b\" is NaN"),
        (b"\x0a\x03\x0a\x01a", "the token \"a\" stands there twice"),
        (b"\x0a\x03\x0a\x01\xff", "a piece is not UTF-8"),
        (b"\x0a\x7f", "cut off or damaged"),
    ] {
        let error = of_model(more).unwrap_err();
        assert!(error.contains(words) && error.contains("tokenizer.model"), "{words}: {error}");
    }
    assert!(problem(&[(SENTENCE_PIECE, Vec::new())]).unwrap_err().contains("has no pieces"));
    assert!(problem(&[]).unwrap_err().contains("it has no tokenizer: no `tokenizer.json`"));
    let pair = |config: &str, vocabulary: &str, merges: &str| {
        problem(&[
            ("tokenizer_config.json", config.into()),
            ("vocab.json", vocabulary.into()),
            ("merges.txt", merges.into()),
        ])
    };
    let config = r#"{"tokenizer_class": "GPT2TokenizerFast"}"#;
    assert_eq!(pair(config, r#"{"a": 0, "b": 1}"#, "#version: 0.2\n"), Ok(vec![0]));
    let added = r#"{"tokenizer_class": "GPT2Tokenizer", "added_tokens_decoder": {"2": {"content": "<x>"}}}"#;
    for (config, vocabulary, merges, words) in [
        (r#"{"tokenizer_class": "BartTokenizer"}"#, "{}", "", "isn't known of `tokenizer_class` \"BartTokenizer\""),
        ("{}", "{}", "", "isn't known of `model_type` \"\""),
        ("[]", "{}", "", "tokenizer_config.json`: is no table"),
        (config, "{}", "", "vocabulary is empty"),
        (config, r#"{"a": 0, "b": 0}"#, "", "\"a\" and \"b\" are both token 0"),
        (config, r#"{"a": 4000000000}"#, "", "it says 4000000000 for the number of the token \"a\""),
        (config, r#"{"a": -1}"#, "", "it says -1"),
        (config, r#"{"a": 0}"#, "a", "\"a\" is no merge of two"),
        (config, r#"{"a": 0}"#, "a b", "merges.txt"),
        (&added.replace("\"2\"", "\"2000000\""), r#"{"a": 0}"#, "", "has the number 2000000, far beyond"),
        (
            &added.replace("\"2\"", "\"0\""),
            r#"{"a": 0}"#,
            "",
            "the token 0 is \"<x>\" here and \"a\" in the vocabulary",
        ),
        (r#"{"tokenizer_class": "Qwen2Tokenizer", "add_prefix_space": true}"#, "{}", "", "`add_prefix_space`"),
        (r#"{"tokenizer_class": "GPT2Tokenizer", "add_bos_token": true}"#, "{}", "", "no token \"<|endoftext|>\""),
    ] {
        let error = pair(config, vocabulary, merges).unwrap_err();
        assert!(error.contains(words), "{words}: {error}");
    }
}

/// `scripts/reference/slow_tokenizers.py --file MODEL OUT` makes such a file of lines and their tokens.
#[test]
#[ignore = "needs a model and lines with their tokens, named by KILN_MODEL and KILN_TOKENS"]
fn the_tokens_of_a_model_are_those_of_transformers() {
    #[derive(Deserialize)]
    struct Reference {
        lines: Vec<String>,
        ids: Vec<Vec<u32>>,
    }
    let named = |name: &str| std::env::var_os(name).unwrap_or_else(|| panic!("{name} names a file"));
    let reference: Reference = serde_json::from_slice(&std::fs::read(named("KILN_TOKENS")).unwrap()).unwrap();
    let device = burn::tensor::Device::flex();
    let model = crate::saved::SavedModel::open(Path::new(&named("KILN_MODEL")), Default::default(), &device);
    let tokenizer = model.unwrap_or_else(|error| panic!("{error}")).tokenizer;
    let mut wrong = Vec::new();
    for (line, ids) in reference.lines.iter().zip(&reference.ids) {
        let found = tokenizer.encode(line);
        if found.as_ref().ok() != Some(ids) {
            wrong.push(format!("{line:?}: {found:?}, not {ids:?}"));
        }
    }
    let all = reference.lines.len();
    assert!(wrong.is_empty(), "{} of {all}, for example\n{}", wrong.len(), wrong[..wrong.len().min(5)].join("\n"));
}
