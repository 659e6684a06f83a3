//! The tokenizer: made, read, saved, encoding and decoding.

use std::path::Path;
use std::sync::Arc;

use super::config::TokenizerConfig;
use super::decoder::StreamDecoder;
use super::error::{TextError, TokenizerError};
use super::text_encoder::TextEncoder;
use super::vocabulary::Vocabulary;
use super::{pipeline, tokenizer_json, train};

/// A tokenizer: what `tokenizer.json` says, made fast. Cheap to clone, free to share between threads.
///
/// ```
/// use kiln_models::{CharacterTokenizerConfig, Tokenizer, TokenizerConfig};
///
/// let config = TokenizerConfig::Character(CharacterTokenizerConfig::default());
/// let tokenizer = Tokenizer::train(&config, &mut [Ok("to be or not".to_owned())].into_iter())?;
/// // One token for each of its characters, in their order: space, b, e, n, o, r, t.
/// assert_eq!((tokenizer.vocabulary_size(), tokenizer.encode("note")?), (7, vec![3, 4, 6, 2]));
/// assert_eq!(tokenizer.decode(&[6, 4, 0, 1, 2]), "to be");
/// # Ok::<(), kiln_models::TokenizerError>(())
/// ```
#[derive(Debug, Clone)]
pub struct Tokenizer(pub(super) Arc<Vocabulary>);

impl Tokenizer {
    /// Makes the tokenizer that `config` asks for, from the training text given in pieces of any size.
    ///
    /// Only characters and byte pairs look at the text. Memory is bounded whatever its length: of the words that byte
    /// pairs are learned from, the rarest are forgotten when there are too many.
    ///
    /// # Errors
    /// Errors of the text are passed on; text without characters and files that aren't tokenizers are errors.
    pub fn train(
        config: &TokenizerConfig,
        text: &mut dyn Iterator<Item = Result<String, TextError>>,
    ) -> Result<Self, TokenizerError> {
        match config {
            TokenizerConfig::Character(config) => Self::from_json(train::characters(config, text)?),
            TokenizerConfig::Byte(config) => Self::from_json(train::bytes(config)?),
            TokenizerConfig::BytePair(config) => Self::from_json(train::byte_pairs(config, text)?),
            TokenizerConfig::File(config) => config.open(),
        }
    }

    /// Reads a `tokenizer.json`.
    ///
    /// # Errors
    /// A file that cannot be read, is larger than 128 MiB, isn't a tokenizer, gives tokens by chance (dropout), or
    /// numbers its tokens with large holes.
    pub fn from_file(path: &Path) -> Result<Self, TokenizerError> {
        let vocabulary = Vocabulary::parse(tokenizer_json::read(path)?, &path.display().to_string())?;
        Ok(Self(Arc::new(vocabulary)))
    }

    /// Reads the text of a `tokenizer.json`.
    ///
    /// # Errors
    /// As for [`Tokenizer::from_file`].
    pub fn from_json(json: String) -> Result<Self, TokenizerError> {
        Ok(Self(Arc::new(Vocabulary::parse(json, "the text")?)))
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

    /// The bytes that a token stands for, as far as they can be known without its neighbours; none for a number that
    /// isn't a token. Two vocabularies know the same token by them.
    pub fn token_bytes(&self, token: u32) -> Option<Vec<u8>> {
        match &self.0.spelling {
            Some(spelling) => spelling.known(token).map(<[u8]>::to_vec),
            None => self.0.library.id_to_token(token).map(|piece| piece_bytes(&piece)),
        }
    }

    /// Whether another tokenizer has the same tokens under the same numbers.
    pub fn has_vocabulary_of(&self, other: &Self) -> bool {
        let size = self.vocabulary_size();
        let same = |token: u32| self.token_bytes(token) == other.token_bytes(token);
        self.hash() == other.hash() || (size == other.vocabulary_size() && (0..size as u32).all(same))
    }

    /// BLAKE3 of [`Tokenizer::to_json`]: equal hashes are equal tokenizers.
    pub fn hash(&self) -> [u8; 32] {
        self.0.hash
    }

    /// Whether every token stands for the same text as in `other`, whatever else their files say.
    pub fn has_same_tokens(&self, other: &Self) -> bool {
        let size = self.vocabulary_size();
        let tokens = || 0..u32::try_from(size).unwrap_or(u32::MAX);
        let is_same = |token| self.decode(&[token]) == other.decode(&[token]);
        self.hash() == other.hash() || (size == other.vocabulary_size() && tokens().all(is_same))
    }

    /// One more than the largest token.
    pub fn vocabulary_size(&self) -> usize {
        self.0.size
    }

    /// The token that stands between documents, where the vocabulary has one: `<|end|>`, or one of the special tokens
    /// by which published tokenizers end a document, see [`END_TOKENS`](super::END_TOKENS).
    pub fn end_token(&self) -> Option<u32> {
        self.0.end_token
    }

    /// What its post-processor puts before a text, for example a token for its beginning, as Python's
    /// `encode("").ids`; most have none.
    pub fn start_tokens(&self) -> Vec<u32> {
        self.0.library.encode("", true).map(|encoding| encoding.get_ids().to_vec()).unwrap_or_default()
    }

    /// The tokens of `text`, special tokens in it included, as Python's `encode(text, add_special_tokens=False).ids`.
    ///
    /// # Errors
    /// Text that the vocabulary cannot spell, if it has no unknown token.
    pub fn encode(&self, text: &str) -> Result<Vec<u32>, TokenizerError> {
        let mut tokens = Vec::new();
        TextEncoder::new(Arc::clone(&self.0)).encode_whole(text, &mut tokens)?;
        Ok(tokens)
    }

    /// The tokens of `text`, in which special tokens are text like any other.
    ///
    /// # Errors
    /// As for [`Tokenizer::encode`].
    pub fn encode_as_text(&self, text: &str) -> Result<Vec<u32>, TokenizerError> {
        let mut tokens = Vec::new();
        pipeline::encode_as_text(&self.0.library, self.0.byte_level, text, &mut tokens)?;
        Ok(tokens)
    }

    /// The texts of all special tokens: those that stand for something that no text spells.
    pub fn special_tokens(&self) -> Vec<String> {
        let added = self.0.library.get_added_tokens_decoder();
        let special = added.values().filter(|token| token.special && !token.content.is_empty());
        special.map(|token| token.content.clone()).collect()
    }

    /// Encodes text that comes in pieces.
    pub fn encoder(&self) -> TextEncoder {
        TextEncoder::new(Arc::clone(&self.0))
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
        StreamDecoder::new(Arc::clone(&self.0))
    }

    /// Decodes tokens that come one by one behind `before`. The text of a token may depend on its neighbours: the first
    /// word of a text has no space before it, but the first word of a continuation has.
    pub fn decoder_after(&self, before: &[u32]) -> StreamDecoder {
        StreamDecoder::after(Arc::clone(&self.0), before)
    }
}

/// The bytes of a piece of SentencePiece: `▁` is a space, `<0x0A>` a byte.
fn piece_bytes(piece: &str) -> Vec<u8> {
    let byte = piece.strip_prefix("<0x").and_then(|rest| rest.strip_suffix('>'));
    match byte.filter(|digits| digits.len() == 2).and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
        Some(byte) => vec![byte],
        None => piece.replace('\u{2581}', " ").into_bytes(),
    }
}
