//! Equalities that hold for every text: with the crate's own encoder, and back.

use std::sync::LazyLock;

use proptest::prelude::*;
use tokenizers::pre_tokenizers::byte_level::ByteLevel;
use tokenizers::{OffsetReferential, OffsetType, PreTokenizedString, PreTokenizer};

use super::super::words::Words;
use super::super::{Tokenizer, Unknown};
use super::{TALE, byte, byte_pair, character, learn};

struct Known {
    name: &'static str,
    tokenizer: Tokenizer,
    library: tokenizers::Tokenizer,
}

/// Every kind that encodes any text, with the crate's reading of its file.
static KNOWN: LazyLock<Vec<Known>> = LazyLock::new(|| {
    let configs = [
        ("character", character(Unknown::Token)),
        ("byte", byte()),
        ("byte pair without merges", byte_pair(257)),
        ("byte pair", byte_pair(400)),
    ];
    configs
        .into_iter()
        .map(|(name, config)| {
            let tokenizer = learn(&config, TALE);
            let library = tokenizers::Tokenizer::from_bytes(tokenizer.to_json()).expect("it was read before");
            Known { name, tokenizer, library }
        })
        .collect()
});

/// One of these texts.
fn one_of(texts: &'static [&'static str]) -> impl Strategy<Value = String> {
    prop::sample::select(texts).prop_map(str::to_owned)
}

/// Text made of what tokenizers trip over.
pub(super) fn text() -> impl Strategy<Value = String> {
    let part = prop_oneof![
        3 => "[a-z]{1,4}",
        2 => Just(" ".to_owned()),
        1 => "[ \t\r\n\u{b}\u{c}\u{85}\u{a0}\u{2003}\u{3000}]{1,3}",
        1 => one_of(&["'s", "'t", "'re", "'ve", "'m", "'ll", "'d", "'", "'S", "''", " '"]),
        1 => one_of(&["<|end|>", "<|", "|>", "<|end", "end|>", "<|unknown|>", "<"]),
        1 => "[0-9²½Ⅷ٣]{1,3}",
        1 => "[.,;!?_$€—、。]{1,2}",
        1 => "[éßñΩж狐東ा́🦊👩‍🚀\u{feff}\u{0}\u{10ffff}]{1,2}",
        1 => any::<char>().prop_map(String::from),
    ];
    prop::collection::vec(part, 0..40).prop_map(|parts| parts.concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn tokens_are_those_of_the_crate(text in text()) {
        for known in KNOWN.iter() {
            let expected = known.library.encode(text.as_str(), false).expect("the crate encodes all text");
            let tokens = known.tokenizer.encode(&text).expect("all text is known");
            prop_assert_eq!(&tokens, expected.get_ids(), "{}", known.name);
        }
    }

    #[test]
    fn byte_level_tokens_decode_to_the_text(text in text()) {
        for known in KNOWN.iter().skip(1) {
            let tokens = known.tokenizer.encode(&text).expect("all text is known");
            prop_assert_eq!(known.tokenizer.decode(&tokens), text.as_str(), "{}", known.name);
        }
    }

    #[test]
    fn characters_decode_to_the_text_they_were_learned_from(text in text()) {
        prop_assume!(!text.is_empty());
        let tokenizer = learn(&character(Unknown::Error), &text);
        let tokens = tokenizer.encode(&text).expect("all text is known");
        prop_assert_eq!(tokenizer.decode(&tokens), text.as_str());
        prop_assert!(tokens.len() <= text.chars().count());
    }

    #[test]
    fn any_tokens_decode_as_the_crate_decodes_them(tokens in prop::collection::vec(0_u32..257, 0..60)) {
        for known in KNOWN.iter() {
            let size = known.tokenizer.vocabulary_size() as u32;
            let tokens: Vec<u32> = tokens.iter().map(|token| token % size).collect();
            let expected = known.library.decode(&tokens, false).expect("the crate decodes all tokens");
            prop_assert_eq!(known.tokenizer.decode(&tokens), expected, "{}", known.name);
        }
    }

    #[test]
    fn words_are_those_of_the_expression(text in text()) {
        prop_assume!(!text.is_empty());
        let mut pieces = PreTokenizedString::from(text.as_str());
        ByteLevel::new(false, true, true).pre_tokenize(&mut pieces).expect("the expression matches all text");
        let splits = pieces.get_splits(OffsetReferential::Original, OffsetType::Byte);
        let expected: Vec<&str> = splits.into_iter().map(|(_, (start, end), _)| &text[start..end]).collect();
        let mut words = Vec::new();
        let each: Result<(), ()> = Words::default().each(&text, |start, word| {
            assert_eq!(&text[start..start + word.len()], word);
            words.push(word);
            Ok(())
        });
        prop_assert_eq!(each, Ok(()));
        prop_assert_eq!(words, expected);
    }
}

#[test]
fn every_character_is_one_token_of_its_own() {
    // Line ends, separators and unassigned code points included: the cut is between any two characters.
    let text: String = ('\0'..=char::MAX).step_by(97).chain("\n\r\u{2028}\u{85}\u{fffe}".chars()).collect();
    let tokenizer = learn(&character(Unknown::Error), &text);
    let tokens = tokenizer.encode(&text).expect("all text is known");
    assert_eq!(tokens.len(), text.chars().count());
    let library = tokenizers::Tokenizer::from_bytes(tokenizer.to_json()).expect("it was read before");
    assert_eq!(library.encode(text.as_str(), false).expect("the crate encodes all text").get_ids(), tokens);
    assert_eq!(tokenizer.decode(&tokens), text);
}
