//! Encoding and decoding by the stages of the crate `tokenizers` itself, for files of any kind.
//!
//! The stages are called one by one and not through its `encode`, because that one drops characters that byte pairs do
//! not know without reporting it, and keeps offsets and strings that aren't needed here.

use std::panic::{AssertUnwindSafe, catch_unwind};

use tokenizers::{Model, Normalizer, OffsetReferential, OffsetType, PreTokenizedString, PreTokenizer, Token};

use super::byte_level;
use super::error::TokenizerError;

/// Appends the tokens of `text`, which starts at byte `at` of the whole, as Python's `encode(text,
/// add_special_tokens=False)` gives them; but text that the vocabulary cannot spell is an error.
pub(super) fn encode(
    library: &tokenizers::Tokenizer,
    spelled: bool,
    text: &str,
    at: u64,
    tokens: &mut Vec<u32>,
) -> Result<(), TokenizerError> {
    guarded(at, || {
        let added = library.get_added_vocabulary();
        let pieces = added.extract_and_normalize(library.get_normalizer(), text);
        encode_pieces(library, spelled, pieces, text, at, tokens)
    })
}

/// The same of text in which no added token is looked for.
pub(super) fn encode_as_text(
    library: &tokenizers::Tokenizer,
    spelled: bool,
    text: &str,
    tokens: &mut Vec<u32>,
) -> Result<(), TokenizerError> {
    guarded(0, || {
        let mut pieces = PreTokenizedString::from(text);
        if let Some(normalizer) = library.get_normalizer() {
            let failed = |error: tokenizers::Error| TokenizerError::Failed { offset: 0, reason: error.to_string() };
            pieces.normalize(|piece| normalizer.normalize(piece)).map_err(failed)?;
        }
        encode_pieces(library, spelled, pieces, text, 0, tokens)
    })
}

/// Cuts normalized text into words, and appends the tokens of each.
fn encode_pieces(
    library: &tokenizers::Tokenizer,
    spelled: bool,
    mut pieces: PreTokenizedString,
    text: &str,
    at: u64,
    tokens: &mut Vec<u32>,
) -> Result<(), TokenizerError> {
    let failed = |error: tokenizers::Error| TokenizerError::Failed { offset: at, reason: error.to_string() };
    if let Some(stage) = library.get_pre_tokenizer() {
        stage.pre_tokenize(&mut pieces).map_err(failed)?;
    }
    for (piece, (start, end), special) in pieces.get_splits(OffsetReferential::Original, OffsetType::Byte) {
        match special {
            Some(special) => tokens.extend(special.iter().map(|token| token.id)),
            None => {
                let original = text.get(start..end).unwrap_or(piece);
                extend_with_word(library, spelled, piece, original, at + start as u64, tokens)?;
            }
        }
    }
    Ok(())
}

/// Appends the tokens of one word of a byte-level vocabulary, given as plain text.
pub(super) fn encode_spelled(
    library: &tokenizers::Tokenizer,
    word: &str,
    at: u64,
    tokens: &mut Vec<u32>,
) -> Result<(), TokenizerError> {
    guarded(at, || extend_with_word(library, true, &byte_level::spell(word), word, at, tokens))
}

/// The text of `tokens` as the crate decodes them, special tokens included; a token out of range is U+FFFD.
pub(super) fn decode(library: &tokenizers::Tokenizer, tokens: &[u32]) -> String {
    let known = |token: &u32| library.id_to_token(*token).is_some();
    let decode = |tokens: &[u32]| {
        let decoded = catch_unwind(AssertUnwindSafe(|| library.decode(tokens, false)));
        decoded.ok().and_then(Result::ok).unwrap_or_else(|| char::REPLACEMENT_CHARACTER.to_string())
    };
    let mut text = String::new();
    for part in tokens.chunk_by(|left, right| known(left) == known(right)) {
        match part.first().is_some_and(known) {
            true => text.push_str(&decode(part)),
            false => text.extend(part.iter().map(|_| char::REPLACEMENT_CHARACTER)),
        }
    }
    text
}

/// Runs `work`, with a panic of the crate made an error. A hostile file can hold an expression that the engine gives up
/// on.
fn guarded<T>(at: u64, work: impl FnOnce() -> Result<T, TokenizerError>) -> Result<T, TokenizerError> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|_| {
        Err(TokenizerError::Failed { offset: at, reason: "the tokenizer library gave up".to_owned() })
    })
}

/// Appends the tokens of `piece`, which is `original` of the text at byte `at` after normalization and spelling.
fn extend_with_word(
    library: &tokenizers::Tokenizer,
    spelled: bool,
    piece: &str,
    original: &str,
    at: u64,
    tokens: &mut Vec<u32>,
) -> Result<(), TokenizerError> {
    let unknown = || {
        let missing = |character: &char| match spelled {
            true => byte_level::spell(character.encode_utf8(&mut [0; 4])).chars().any(|byte| !has(library, byte)),
            false => !has(library, *character),
        };
        let found = original.char_indices().find(|(_, character)| missing(character));
        let (index, character) = found.or_else(|| original.char_indices().next()).unwrap_or((0, '\u{FFFD}'));
        TokenizerError::UnknownText { character, offset: at + index as u64 }
    };
    // Without an unknown token a word level or unigram model says so itself ...
    let word: Vec<Token> = library.get_model().tokenize(piece).map_err(|_| unknown())?;
    // ... but byte pairs leave the character out.
    if word.last().map_or(0, |token| token.offsets.1) < piece.len() {
        return Err(unknown());
    }
    tokens.extend(word.iter().map(|token| token.id));
    Ok(())
}

fn has(library: &tokenizers::Tokenizer, character: char) -> bool {
    library.get_model().token_to_id(character.encode_utf8(&mut [0; 4])).is_some()
}
