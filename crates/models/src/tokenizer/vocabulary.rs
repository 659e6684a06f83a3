//! One vocabulary and the fastest way through it.

use std::collections::HashMap;

use tokenizers::pre_tokenizers::split::SplitPattern;
use tokenizers::{DecoderWrapper, ModelWrapper, PreTokenizerWrapper, SplitDelimiterBehavior};

use super::config::END_TOKENS;
use super::error::TokenizerError;
use super::special::SpecialTokens;
use super::spelling::Spelling;
use super::{byte_level, tokenizer_json};

/// The expression that cuts between any two characters, line ends included.
pub(super) const ANY_CHARACTER: &str = r"[\s\S]";

/// One vocabulary and how text goes through it: what a [`Tokenizer`](super::Tokenizer) is.
#[derive(Debug)]
pub(super) struct Vocabulary {
    pub(super) library: tokenizers::Tokenizer,
    pub(super) method: Method,
    pub(super) special: SpecialTokens,
    /// The bytes of each token, where decoding is no more than joining them.
    pub(super) spelling: Option<Spelling>,
    /// Whether the vocabulary is spelled in the byte-level alphabet.
    pub(super) byte_level: bool,
    pub(super) json: String,
    pub(super) hash: [u8; 32],
    /// One more than the largest token.
    pub(super) size: usize,
    pub(super) end_token: Option<u32>,
}

/// How text is encoded.
#[derive(Debug)]
pub(super) enum Method {
    /// One token a character.
    Characters(Box<Characters>),
    /// One token a byte; `None` where a vocabulary lacks the byte.
    Bytes(Vec<Option<u32>>),
    /// Byte pairs inside the words of GPT-2.
    Words,
    /// All that the crate knows.
    Pipeline,
}

/// A token for each character.
#[derive(Debug)]
pub(super) struct Characters {
    ascii: [Option<u32>; 128],
    others: HashMap<char, u32>,
    pub(super) unknown: Option<u32>,
}

impl Characters {
    pub(super) fn get(&self, character: char) -> Option<u32> {
        match self.ascii.get(character as usize) {
            Some(token) => *token,
            None => self.others.get(&character).copied(),
        }
    }
}

impl Vocabulary {
    /// Of the text of a `tokenizer.json`; `place` is what errors call it.
    pub(super) fn parse(json: String, place: &str) -> Result<Self, TokenizerError> {
        let (library, size) = tokenizer_json::parse(&json, place)?;
        let hash = *blake3::hash(json.as_bytes()).as_bytes();
        let special = plain_special_tokens(&library);
        let method = special.as_ref().map_or(Method::Pipeline, |_| method(&library));
        let byte_level = matches!(library.get_decoder(), Some(DecoderWrapper::ByteLevel(_)));
        let spelling = spelling(&library, size);
        let end_token = end_token(&library);
        let special = special.unwrap_or_default();
        Ok(Self { library, method, special, spelling, byte_level, json, hash, size, end_token })
    }
}

/// The token between documents. Only a token that is matched as a whole counts: the vocabulary may well hold `</s>` as
/// a piece of ordinary text.
fn end_token(library: &tokenizers::Tokenizer) -> Option<u32> {
    let added = library.get_added_tokens_decoder();
    let id_of = |name: &str| added.iter().find(|(_, token)| token.content == name).map(|(id, _)| *id);
    END_TOKENS.into_iter().find_map(id_of)
}

/// The added tokens, where all are matched as they stand; `None` where some look at their surroundings.
fn plain_special_tokens(library: &tokenizers::Tokenizer) -> Option<SpecialTokens> {
    let added = library.get_added_tokens_decoder();
    let plain = |token: &tokenizers::AddedToken| !token.lstrip && !token.rstrip && !token.single_word;
    // Those that are matched before normalization go first over the whole text, so only one of the kinds can be plain.
    let normalized = added.values().filter(|token| token.normalized).count();
    let one_kind = normalized == 0 || (normalized == added.len() && library.get_normalizer().is_none());
    let tokens = added.iter().map(|(id, token)| (token.content.clone(), *id));
    (added.len() <= 64 && one_kind && added.values().all(plain)).then(|| SpecialTokens::new(tokens))
}

/// The fastest way that is the crate's own to the token.
fn method(library: &tokenizers::Tokenizer) -> Method {
    if library.get_normalizer().is_some() {
        return Method::Pipeline;
    }
    match (library.get_pre_tokenizer(), library.get_model()) {
        (Some(PreTokenizerWrapper::Split(split)), ModelWrapper::WordLevel(model))
            if split.pattern == SplitPattern::Regex(ANY_CHARACTER.to_owned())
                && matches!(split.behavior, SplitDelimiterBehavior::Isolated)
                && !split.invert =>
        {
            Method::Characters(Box::new(characters(library, &model.unk_token)))
        }
        (Some(PreTokenizerWrapper::ByteLevel(level)), ModelWrapper::BPE(model))
            if !level.add_prefix_space
                && model.unk_token.is_none()
                && !model.byte_fallback
                && model.end_of_word_suffix.is_none() =>
        {
            let single = library.get_vocab(false).keys().all(|token| token.chars().nth(1).is_none());
            match (single, level.use_regex) {
                (true, _) => Method::Bytes(bytes(library)),
                (false, true) => Method::Words,
                (false, false) => Method::Pipeline,
            }
        }
        _ => Method::Pipeline,
    }
}

fn characters(library: &tokenizers::Tokenizer, unknown: &str) -> Characters {
    let vocabulary = library.get_vocab(false);
    let mut characters = Characters { ascii: [None; 128], others: HashMap::new(), unknown: None };
    characters.unknown = vocabulary.get(unknown).copied();
    for (token, id) in &vocabulary {
        let mut of_token = token.chars();
        // Longer tokens are never cut out of a text, only found as special tokens.
        if let (Some(character), None) = (of_token.next(), of_token.next()) {
            match characters.ascii.get_mut(character as usize) {
                Some(place) => *place = Some(*id),
                None => drop(characters.others.insert(character, *id)),
            }
        }
    }
    characters
}

fn bytes(library: &tokenizers::Tokenizer) -> Vec<Option<u32>> {
    use tokenizers::Model;
    let token = |byte: u8| library.get_model().token_to_id(byte_level::character(byte).encode_utf8(&mut [0; 4]));
    (0..=u8::MAX).map(token).collect()
}

fn spelling(library: &tokenizers::Tokenizer, size: usize) -> Option<Spelling> {
    let bytes: fn(&str) -> Vec<u8> = match library.get_decoder() {
        Some(DecoderWrapper::ByteLevel(_)) => byte_level::bytes_of,
        Some(DecoderWrapper::Fuse(_)) => |token| token.as_bytes().to_vec(),
        _ => return None,
    };
    let token = |id: usize| library.id_to_token(id as u32).map(|token| bytes(&token));
    Some(Spelling::new((0..size).map(token)))
}
