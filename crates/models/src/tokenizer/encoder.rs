//! The tokenizer: one vocabulary and how to go through it.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use tokenizers::pre_tokenizers::split::SplitPattern;
use tokenizers::{DecoderWrapper, ModelWrapper, PreTokenizerWrapper, SplitDelimiterBehavior};

use super::decoder::Spelling;
use super::special::SpecialTokens;
use super::train;
use super::{
    END_TOKEN, StreamDecoder, TextEncoder, TextError, TokenizerConfig, TokenizerError, byte_level, pipeline,
    tokenizer_json,
};

/// The expression that cuts between any two characters, line ends included.
pub(super) const ANY_CHARACTER: &str = r"[\s\S]";

/// A tokenizer: what `tokenizer.json` says, made fast. Cheap to clone, free to share between threads.
#[derive(Debug, Clone)]
pub struct Tokenizer(pub(super) Arc<Inner>);

#[derive(Debug)]
pub(super) struct Inner {
    pub(super) library: tokenizers::Tokenizer,
    pub(super) method: Method,
    pub(super) special: SpecialTokens,
    /// The bytes of each token, where decoding is no more than joining them.
    pub(super) spelling: Option<Spelling>,
    /// Whether the vocabulary is spelled in the byte-level alphabet.
    pub(super) byte_level: bool,
    json: String,
    hash: [u8; 32],
    vocabulary_size: usize,
    end_token: Option<u32>,
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

impl Tokenizer {
    /// Makes the tokenizer that `config` asks for, from the training text given in pieces of any size.
    ///
    /// Only characters and byte pairs look at the text. Memory is bounded whatever its length: of the words that byte pairs
    /// are learned from, the rarest are forgotten when there are too many.
    ///
    /// # Errors
    /// Errors of the text are passed on; text without characters and files that are no tokenizers are errors.
    pub fn train(
        config: &TokenizerConfig,
        text: &mut dyn Iterator<Item = Result<String, TextError>>,
    ) -> Result<Self, TokenizerError> {
        match config {
            TokenizerConfig::Character(config) => Self::from_json(train::characters(config, text)?),
            TokenizerConfig::Byte(config) => Self::from_json(train::bytes(config)?),
            TokenizerConfig::BytePair(config) => Self::from_json(train::byte_pairs(config, text)?),
            TokenizerConfig::File(config) => Self::from_file(&config.path),
        }
    }

    /// Reads a `tokenizer.json`.
    ///
    /// # Errors
    /// A file that cannot be read, is larger than 128 MiB, is no tokenizer, gives tokens by chance (dropout), or numbers
    /// its tokens with large holes.
    pub fn from_file(path: &Path) -> Result<Self, TokenizerError> {
        Self::parse(tokenizer_json::read(path)?, &path.display().to_string())
    }

    /// Reads the text of a `tokenizer.json`.
    ///
    /// # Errors
    /// As for [`Tokenizer::from_file`].
    pub fn from_json(json: String) -> Result<Self, TokenizerError> {
        Self::parse(json, "the text")
    }

    fn parse(json: String, place: &str) -> Result<Self, TokenizerError> {
        let (library, vocabulary_size) = tokenizer_json::parse(&json, place)?;
        let hash = *blake3::hash(json.as_bytes()).as_bytes();
        let special = plain_special_tokens(&library);
        let method = special.as_ref().map_or(Method::Pipeline, |_| method(&library));
        let byte_level = matches!(library.get_decoder(), Some(DecoderWrapper::ByteLevel(_)));
        let spelling = spelling(&library, vocabulary_size);
        let end_token = library.token_to_id(END_TOKEN);
        let special = special.unwrap_or_default();
        let inner = Inner { library, method, special, spelling, byte_level, json, hash, vocabulary_size, end_token };
        Ok(Self(Arc::new(inner)))
    }

    /// Writes the `tokenizer.json`, beside its name first and then renamed.
    ///
    /// # Errors
    /// What the system says about writing there.
    pub fn save(&self, path: &Path) -> Result<(), TokenizerError> {
        let failed = |source| TokenizerError::Write { path: path.to_owned(), source };
        let mut beside = path.as_os_str().to_owned();
        beside.push(".part");
        let beside = Path::new(&beside);
        let write = || {
            let mut file = std::fs::File::create(beside)?;
            std::io::Write::write_all(&mut file, self.0.json.as_bytes())?;
            file.sync_all()?;
            std::fs::rename(beside, path)
        };
        write().map_err(failed)
    }

    /// The `tokenizer.json`, to the byte as it was read or made.
    pub fn to_json(&self) -> String {
        self.0.json.clone()
    }

    /// BLAKE3 of [`Tokenizer::to_json`]: equal hashes are equal tokenizers.
    pub fn hash(&self) -> [u8; 32] {
        self.0.hash
    }

    /// One more than the largest token.
    pub fn vocabulary_size(&self) -> usize {
        self.0.vocabulary_size
    }

    /// The token `<|end|>` that stands between documents, where the vocabulary has it.
    pub fn end_token(&self) -> Option<u32> {
        self.0.end_token
    }

    /// The tokens of `text`, special tokens in it included, as Python's `encode(text, add_special_tokens=False).ids`.
    ///
    /// # Errors
    /// Text that the vocabulary cannot spell, where it has no unknown token.
    pub fn encode(&self, text: &str) -> Result<Vec<u32>, TokenizerError> {
        let mut tokens = Vec::new();
        TextEncoder::new(self).encode_whole(text, &mut tokens)?;
        Ok(tokens)
    }

    /// Encodes text that comes in pieces.
    pub fn encoder(&self) -> TextEncoder {
        TextEncoder::new(self)
    }

    /// The text of `tokens`, special tokens included. Bytes that are not UTF-8 and tokens out of range are U+FFFD.
    pub fn decode(&self, tokens: &[u32]) -> String {
        match &self.0.spelling {
            Some(spelling) => spelling.decode(tokens),
            None => pipeline::decode(&self.0.library, tokens),
        }
    }

    /// Decodes tokens that come one by one.
    pub fn decoder(&self) -> StreamDecoder {
        StreamDecoder::new(self)
    }
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

fn spelling(library: &tokenizers::Tokenizer, vocabulary_size: usize) -> Option<Spelling> {
    let bytes: fn(&str) -> Vec<u8> = match library.get_decoder() {
        Some(DecoderWrapper::ByteLevel(_)) => byte_level::bytes_of,
        Some(DecoderWrapper::Fuse(_)) => |token| token.as_bytes().to_vec(),
        _ => return None,
    };
    let token = |id: usize| library.id_to_token(id as u32).map(|token| bytes(&token));
    Some(Spelling::new((0..vocabulary_size).map(token)))
}
