//! `[tokenizer.*]`: what is accepted, and what is said about the rest.

use super::super::{BytePairTokenizerConfig, ByteTokenizerConfig, TokenizerConfig, TokenizerFileConfig, UNKNOWN_TOKEN};
use super::{byte, byte_pair, character};
use crate::tokenizer::Unknown;

fn keys(config: &TokenizerConfig) -> Vec<String> {
    config.validate().into_iter().map(|violation| violation.key).collect()
}

#[test]
fn sensible_settings_break_no_rule() {
    let file = TokenizerConfig::File(TokenizerFileConfig { path: "tokenizer.json".into() });
    for config in
        [character(Unknown::Error), character(Unknown::Token), byte(), byte_pair(257), byte_pair(1_000_000), file]
    {
        assert_eq!(config.validate(), Vec::new());
    }
}

#[test]
fn a_vocabulary_smaller_than_the_bytes_and_special_tokens_is_refused() {
    assert_eq!(keys(&byte_pair(256)), ["byte-pair.vocabulary-size"]);
    assert_eq!(keys(&byte_pair(1_000_001)), ["byte-pair.vocabulary-size"]);
    let message = &byte_pair(256).validate()[0].message;
    assert_eq!(message, "must be between 257 and 1000000, is 256");
}

#[test]
fn special_tokens_must_be_told_from_text_and_from_each_other() {
    let special = |tokens: &[&str]| {
        let special_tokens = tokens.iter().map(|token| (*token).to_owned()).collect();
        keys(&TokenizerConfig::Byte(ByteTokenizerConfig { special_tokens }))
    };
    assert_eq!(special(&["<s>", "é"]), ["byte.special-tokens[1]"]);
    assert_eq!(special(&[""]), ["byte.special-tokens[0]"]);
    assert_eq!(special(&["<s>", "</s>", "<s>"]), ["byte.special-tokens[2]"]);
    assert_eq!(special(&[UNKNOWN_TOKEN]), ["byte.special-tokens[0]"]);
    assert_eq!(special(&[&"x".repeat(65)]), ["byte.special-tokens[0]"]);
    let many: Vec<String> = (0..33).map(|index| format!("<{index}>")).collect();
    assert_eq!(special(&many.iter().map(String::as_str).collect::<Vec<_>>()), ["byte.special-tokens"]);
}

#[test]
fn all_mistakes_of_a_table_come_at_once() {
    let config = BytePairTokenizerConfig { vocabulary_size: 3, special_tokens: vec!["x".into()], training_bytes: 0 };
    let expected = ["byte-pair.special-tokens[0]", "byte-pair.vocabulary-size", "byte-pair.training-bytes"];
    assert_eq!(keys(&TokenizerConfig::BytePair(config)), expected);
}

#[test]
fn defaults_are_those_of_the_documentation() {
    let read = |json: &str| serde_json::from_str::<TokenizerConfig>(json);
    let byte_pair = read(r#"{"byte-pair": {"vocabulary-size": 300}}"#).expect("all else has a default");
    assert_eq!(byte_pair, super::byte_pair(300));
    assert_eq!(byte_pair.has_end_token(), Some(true));
    let character = read(r#"{"character": {}}"#).expect("all has a default");
    assert_eq!(character, TokenizerConfig::Character(super::super::CharacterTokenizerConfig::default()));
    assert_eq!(character.has_end_token(), Some(false));
    assert!(read(r#"{"character": {"unknwon": "error"}}"#).is_err());
    assert!(read(r#"{"byte-pair": {}}"#).is_err());
    assert!(read(r#"{"character": {"unknown": "skip"}}"#).is_err());
}
