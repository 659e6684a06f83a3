//! Text and tokens that come in pieces: as if they had come whole.

use std::sync::LazyLock;

use proptest::prelude::*;

use super::super::{Tokenizer, TokenizerConfig, TokenizerError, TokenizerFileConfig, Unknown};
use super::properties::text;
use super::{TALE, byte, byte_pair, character, learn};

static ALL: LazyLock<[Tokenizer; 3]> =
    LazyLock::new(|| [character(Unknown::Token), byte(), byte_pair(400)].map(|config| learn(&config, TALE)));

/// The tokens of `pieces` pushed one by one.
fn stream(tokenizer: &Tokenizer, pieces: &[&str]) -> Result<Vec<u32>, TokenizerError> {
    let mut encoder = tokenizer.encoder();
    let mut tokens = Vec::new();
    for piece in pieces {
        encoder.push(piece, &mut tokens)?;
    }
    encoder.finish(&mut tokens)?;
    Ok(tokens)
}

/// `text` cut at these places, moved back to where characters start.
fn cut(text: &str, places: &[prop::sample::Index]) -> Vec<String> {
    let mut places: Vec<usize> =
        places.iter().map(|place| text.floor_char_boundary(place.index(text.len() + 1))).collect();
    places.extend([0, text.len()]);
    places.sort_unstable();
    places.windows(2).map(|ends| text[ends[0]..ends[1]].to_owned()).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn pieces_of_text_give_the_tokens_of_the_whole(
        text in text(),
        places in prop::collection::vec(any::<prop::sample::Index>(), 0..8),
    ) {
        let pieces = cut(&text, &places);
        let pieces: Vec<&str> = pieces.iter().map(String::as_str).collect();
        for tokenizer in ALL.iter() {
            let whole = tokenizer.encode(&text).expect("all text is known");
            prop_assert_eq!(stream(tokenizer, &pieces).expect("all text is known"), whole);
        }
    }

    #[test]
    fn tokens_one_by_one_decode_to_the_text_of_all(tokens in prop::collection::vec(0_u32..500, 0..80)) {
        for tokenizer in ALL.iter() {
            let mut decoder = tokenizer.decoder();
            let mut text: String = tokens.iter().filter_map(|token| decoder.push(*token)).collect();
            text.push_str(&decoder.finish());
            prop_assert_eq!(text, tokenizer.decode(&tokens));
        }
    }

    #[test]
    fn a_code_point_is_never_broken(text in text()) {
        let tokenizer = learn(&byte(), "");
        let mut decoder = tokenizer.decoder();
        let mut decoded = String::new();
        for token in tokenizer.encode(&text).expect("all bytes are known") {
            let piece = decoder.push(token).unwrap_or_default();
            // Only what was in the text may look broken.
            let broken = |text: &str| text.contains(char::REPLACEMENT_CHARACTER);
            prop_assert!(broken(&text) || !broken(&piece));
            decoded.push_str(&piece);
        }
        prop_assert_eq!(decoded, text);
        prop_assert_eq!(decoder.finish(), "");
    }
}

#[test]
fn an_unfinished_character_at_the_end_is_a_replacement_character() {
    let tokenizer = learn(&byte(), "");
    let mut decoder = tokenizer.decoder();
    assert_eq!(decoder.push(b'a'.into()).as_deref(), Some("a"));
    assert_eq!(decoder.push(0xE2), None);
    assert_eq!(decoder.push(0x82), None);
    assert_eq!(decoder.clone().push(0xAC).as_deref(), Some("€"));
    // Followed by something else, the unfinished character is known to be wrong.
    assert_eq!(decoder.clone().push(b'b'.into()).as_deref(), Some("\u{FFFD}b"));
    assert_eq!(decoder.finish(), "\u{FFFD}");
}

#[test]
fn tokens_out_of_range_decode_to_replacement_characters() {
    for tokenizer in ALL.iter() {
        assert_eq!(tokenizer.decode(&[u32::MAX, 5_000]), "\u{FFFD}\u{FFFD}");
        assert_eq!(tokenizer.decoder().push(u32::MAX).as_deref(), Some("\u{FFFD}"));
    }
}

#[test]
fn offsets_of_unknown_text_count_from_the_start_of_the_stream() {
    let tokenizer = learn(&character(Unknown::Error), "ab <|end|>");
    let error = stream(&tokenizer, &["ab<|", "end|>ab", "a", "zb"]).expect_err("z is unknown");
    assert!(matches!(error, TokenizerError::UnknownText { character: 'z', offset: 12 }), "{error:?}");
}

#[test]
fn a_megabyte_without_white_space_is_not_held_back() {
    let tokenizer = learn(&byte_pair(400), TALE);
    let mut encoder = tokenizer.encoder();
    let mut tokens = Vec::new();
    let piece = "狐abc".repeat(10_000);
    for _ in 0..40 {
        encoder.push(&piece, &mut tokens).expect("all bytes are known");
    }
    assert!(!tokens.is_empty());
    encoder.finish(&mut tokens).expect("all bytes are known");
    assert_eq!(tokenizer.decode(&tokens), piece.repeat(40));
}

#[test]
fn a_file_of_an_unknown_kind_is_streamed_by_whole_lines() {
    let path = std::path::Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/tokenizers/pieces.json"));
    let config = TokenizerConfig::File(TokenizerFileConfig { path: path.to_owned() });
    let tokenizer = Tokenizer::train(&config, &mut std::iter::empty()).expect("the fixture is a tokenizer");
    let text = "The owl asked the fox:\n  \"Where is the key?\"\nNobody knew.\n\nThe end.\n".repeat(4000);
    let whole = tokenizer.encode(&text).expect("it knows all bytes");
    for length in [1000, 70_000, 1 << 20] {
        let pieces: Vec<&str> = (0..text.len().div_ceil(length))
            .map(|index| &text[index * length..(index * length + length).min(text.len())])
            .collect();
        assert!(stream(&tokenizer, &pieces).expect("it knows all bytes") == whole, "pieces of {length} bytes");
    }
}
