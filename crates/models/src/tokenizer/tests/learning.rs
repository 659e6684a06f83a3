//! What the tokenizers look like that are made from a text.

use super::super::{
    CharacterTokenizerConfig, TextError, Tokenizer, TokenizerConfig, TokenizerError, UNKNOWN_TOKEN, Unknown,
};
use super::{TALE, byte, byte_pair, character, learn};

#[test]
fn characters_are_numbered_in_the_order_of_their_code_points() {
    let config = TokenizerConfig::Character(CharacterTokenizerConfig::default());
    let tokenizer = learn(&config, "to be\nor not\n");
    assert_eq!(tokenizer.vocabulary_size(), 8);
    assert_eq!(tokenizer.end_token(), None);
    // "\n", " ", "b", "e", "n", "o", "r", "t"
    assert_eq!(tokenizer.encode("not\n be").expect("all known"), [4, 5, 7, 0, 1, 2, 3]);
}

#[test]
fn bytes_are_numbered_as_they_are() {
    let tokenizer = learn(&byte(), "");
    assert_eq!(tokenizer.vocabulary_size(), 257);
    assert_eq!(tokenizer.end_token(), Some(256));
    assert_eq!(tokenizer.encode("aé\n<|end|>\0").expect("all bytes are known"), [97, 0xC3, 0xA9, 10, 256, 0]);
}

#[test]
fn the_most_frequent_pair_is_merged_first() {
    // "ab" 6 times, then " ab" 4 times: the trainer of the crate by hand.
    let tokenizer = learn(&byte_pair(259), "ab ab ab ab ab xab");
    let encode = |text: &str| tokenizer.encode(text).expect("all bytes are known");
    assert_eq!(tokenizer.vocabulary_size(), 259);
    assert_eq!(tokenizer.end_token(), Some(0));
    assert_eq!(encode("ab"), [257]);
    assert_eq!(encode(" ab"), [258]);
    assert_eq!(encode("xab").len(), 2);
    assert_eq!(tokenizer.decode(&[258, 257]), " abab");
}

#[test]
fn a_vocabulary_stops_growing_when_there_is_nothing_to_merge() {
    let tokenizer = learn(&byte_pair(100_000), "ab ab");
    assert_eq!(tokenizer.vocabulary_size(), 259);
}

#[test]
fn the_same_text_gives_the_same_tokenizer_however_it_is_cut() {
    for config in [character(Unknown::Token), byte_pair(300)] {
        let whole = learn(&config, TALE);
        let mut pieces = TALE.split_inclusive(char::is_alphabetic).map(|piece| Ok(piece.to_owned()));
        let cut = Tokenizer::train(&config, &mut pieces).expect("the tale is text");
        assert_eq!(cut.to_json(), whole.to_json());
        assert_eq!(cut.hash(), whole.hash());
    }
}

#[test]
fn merges_are_learned_from_the_first_bytes_only() {
    let config = |training_bytes| match byte_pair(300) {
        TokenizerConfig::BytePair(config) => {
            TokenizerConfig::BytePair(super::super::BytePairTokenizerConfig { training_bytes, ..config })
        }
        other => other,
    };
    assert_eq!(learn(&config(5), "ab ab cd cd cd").hash(), learn(&config(100), "ab ab").hash());
    // The limit falls inside a character, which is left out.
    assert_eq!(learn(&config(6), "ab abé").hash(), learn(&config(100), "ab ab").hash());
}

#[test]
fn unknown_characters_are_an_error_or_a_token_as_configured() {
    let strict = learn(&character(Unknown::Error), "abc é");
    match strict.encode("a é\u{1F98A}b") {
        Err(TokenizerError::UnknownText { character: '🦊', offset: 4 }) => {}
        other => panic!("{other:?}"),
    }
    let message = strict.encode("a é\u{1F98A}b").expect_err("the fox is unknown").to_string();
    assert!(message.contains("'🦊' (U+1F98A) at byte 4"), "{message}");
    let lenient = learn(&character(Unknown::Token), "abc é");
    let unknown = lenient.encode(UNKNOWN_TOKEN).expect("a special token");
    assert_eq!(unknown.len(), 1);
    assert_eq!(lenient.encode("a🦊b").expect("there is a token for it"), [1, unknown[0], 2]);
}

#[test]
fn a_text_without_characters_makes_no_tokenizer() {
    for config in [character(Unknown::Error), byte_pair(300)] {
        for pieces in [vec![], vec![Ok(String::new())]] {
            let tokenizer = Tokenizer::train(&config, &mut pieces.into_iter());
            assert!(matches!(tokenizer, Err(TokenizerError::NoText)), "{tokenizer:?}");
        }
    }
}

#[test]
fn an_error_of_the_text_is_passed_on() {
    for config in [character(Unknown::Error), byte_pair(300)] {
        let mut pieces = [Ok("a b".to_owned()), Err(TextError::from("the disk is gone"))].into_iter();
        let error = Tokenizer::train(&config, &mut pieces).expect_err("the text ends in an error");
        assert_eq!(error.to_string(), "the disk is gone");
    }
}

#[test]
fn more_words_than_are_remembered_are_learned_from_in_bounded_memory() {
    // A million different words, of which one is frequent: it must survive the forgetting.
    let mut pieces = (0..2000).map(|piece| {
        let words = (0..500).map(|word| format!(" {:06x}", piece * 500 + word)).collect::<String>();
        Ok(words + " rhododendron rhododendron")
    });
    let tokenizer = Tokenizer::train(&byte_pair(1000), &mut pieces).expect("there is text");
    assert_eq!(tokenizer.encode(" rhododendron").expect("all bytes are known").len(), 1);
}
