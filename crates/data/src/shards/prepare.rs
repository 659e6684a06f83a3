//! From `[data]` and `[tokenizer]` to two token files, made once.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};

use kiln_models::{TextError, Tokenizer, TokenizerConfig, TokenizerError};
use serde::{Deserialize, Serialize};

use super::folder::{Facts, Folder};
use super::{
    DataError, ExampleReading, PreparedConversations, TextIdentity, TokenFile, TokenFileWriter, conversations,
};
use crate::corpus::{
    Conversations, ConversationsConfig, Corpus, DataConfig, FileConfig, OpenProgress, Piece, Place, Split, open_files,
};

/// Tokens are written in blocks of about this many.
const BLOCK: usize = 64 << 10;

/// What a run learns from.
#[derive(Debug, Clone)]
pub struct PreparedData {
    /// How the text was encoded.
    pub tokenizer: Tokenizer,
    /// The training split.
    pub train: TokenFile,
    /// The validation split.
    pub validation: TokenFile,
    /// The best possible loss, if the entropy of the corpus is known.
    pub floor: Option<EntropyFloor>,
    /// Documents that hold text, of both splits; without a separator each file is one.
    pub documents: u64,
    /// How often the separator is in the text.
    pub separators: u64,
    /// Of conversations: how many, and how they are written.
    pub conversations: Option<PreparedConversations>,
}

/// The best possible loss on the built-in corpus, for a model that sees all text before a character.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct EntropyFloor {
    /// Expected over all texts: the entropy rate of the process, in nats a character.
    pub nats_per_character: f64,
    /// On this validation split: its code length over its characters, in nats a character.
    pub validation_nats_per_character: f64,
}

/// How far preparing is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PrepareProgress {
    /// Finding and reading the text.
    Opening(OpenProgress),
    /// Reading text to learn the tokenizer from, in bytes; at the end it is learned, which takes a while.
    Learning {
        /// So far.
        done: u64,
        /// In all, about.
        total: u64,
    },
    /// Encoding a split, in bytes.
    Encoding {
        /// Which.
        split: Split,
        /// So far.
        done: u64,
        /// In all, about.
        total: u64,
    },
}

pub(super) type Report<'a> = &'a mut dyn FnMut(PrepareProgress);

/// The tokens of a configuration, from the cache if they are there, else made.
///
/// They are found again under a hash of the settings of both tables and of the identity of the text (paths, sizes and
/// times of files, the checksum of a download); a file changed without any of these changing is not noticed.
///
/// # Errors
/// Text that cannot be had or encoded, and a cache folder that cannot be written.
pub fn prepare(
    config: &DataConfig,
    settings: &TokenizerConfig,
    cache: &Path,
    report: Report,
) -> Result<PreparedData, DataError> {
    let folder = Folder::of(&[&config.identity()?, &identity(settings)?], cache);
    // What is whole is only read, so that a cache that others filled, or that cannot be written, serves as well.
    let reading = reading(config);
    if let Some(prepared) = folder.open(settings, reading) {
        return Ok(prepared);
    }
    folder.fill(|| {
        if let Some(prepared) = folder.open(settings, reading) {
            return Ok(prepared);
        }
        if let Some((settings_of, found)) = opened_conversations(config, report)? {
            let tokenizer = match settings {
                TokenizerConfig::File(file) => file.open()?,
                settings => conversations::learn(settings, settings_of, &found, report)?,
            };
            let splits = [Split::Train, Split::Validation];
            let encoded = conversations::encode(settings_of, &found, &splits, &tokenizer, &folder, report)?;
            let [train, validation] = splits.map(|split| folder.open_split(split, &tokenizer, reading));
            let facts = Facts::of_conversations(encoded, format!("{}, {}", config.description(), settings.name()));
            folder.complete(&tokenizer, &facts)?;
            return Ok(facts.with(tokenizer, train?, validation?));
        }
        let corpus = config.open(cache, &mut |progress| report(PrepareProgress::Opening(progress)))?;
        let tokenizer = learn(settings, &corpus, report)?;
        if (config.separator.is_some() || config.has_pairs()) && tokenizer.end_token().is_none() {
            return Err(DataError::NoEndToken);
        }
        let train = encode(&corpus, Split::Train, &tokenizer, &folder.tokens(Split::Train), report)?;
        let validation = encode(&corpus, Split::Validation, &tokenizer, &folder.tokens(Split::Validation), report)?;
        let facts = Facts::of(&corpus, format!("{}, {}", config.description(), settings.name()));
        folder.complete(&tokenizer, &facts)?;
        Ok(facts.with(tokenizer, train, validation))
    })
}

/// The tokens of the validation split alone, under a tokenizer that is there already: the configuration tells only
/// where it came from, and a file that it names need not be there any more.
///
/// # Errors
/// As for [`prepare`].
pub fn prepare_validation(
    config: &DataConfig,
    settings: &TokenizerConfig,
    tokenizer: &Tokenizer,
    cache: &Path,
    report: Report,
) -> Result<(TokenFile, Option<EntropyFloor>), DataError> {
    let data = config.identity()?;
    let settings = match settings {
        TokenizerConfig::File(_) => tokenizer.hash(),
        settings => identity(settings)?,
    };
    let reading = reading(config);
    let trained = Folder::of(&[&data, &settings], cache).open_validation(tokenizer, reading);
    let folder = Folder::of(&[b"validation", &data, &tokenizer.hash()], cache);
    if let Some(found) = trained.or_else(|| folder.open_validation(tokenizer, reading)) {
        return Ok(found);
    }
    folder.fill(|| {
        if let Some((settings, found)) = opened_conversations(config, report)? {
            let encoded = conversations::encode(settings, &found, &[Split::Validation], tokenizer, &folder, report)?;
            let validation = folder.open_split(Split::Validation, tokenizer, reading)?;
            let text = format!("{}, the validation split", config.description());
            folder.complete(tokenizer, &Facts::of_conversations(encoded, text))?;
            return Ok((validation, None));
        }
        let corpus = config.open(cache, &mut |progress| report(PrepareProgress::Opening(progress)))?;
        let path = folder.tokens(Split::Validation);
        let validation = encode(&corpus, Split::Validation, tokenizer, &path, report)?;
        let facts = Facts::of(&corpus, format!("{}, the validation split", config.description()));
        folder.complete(tokenizer, &facts)?;
        Ok((validation, facts.floor))
    })
}

/// The tokens of whole files under a tokenizer that is there already, to evaluate a model on them. They are cut into
/// documents at `separator`, as the text that the model was trained on.
///
/// # Errors
/// As for [`prepare`].
pub fn prepare_evaluation(
    paths: &[PathBuf],
    separator: Option<&str>,
    tokenizer: &Tokenizer,
    cache: &Path,
    report: Report,
) -> Result<TokenFile, DataError> {
    let paths_as_given = paths.iter().map(|path| path.to_string_lossy().into_owned()).collect();
    let file = Some(FileConfig { paths: paths_as_given });
    let separator = separator.map(str::to_owned);
    let data = DataConfig { file, separator, ..DataConfig::default() };
    let folder = Folder::of(&[b"evaluation", &data.identity()?, &tokenizer.hash()], cache);
    if let Some((file, _)) = folder.open_validation(tokenizer, None) {
        return Ok(file);
    }
    folder.fill(|| {
        let corpus =
            open_files(paths, data.separator.as_deref(), &mut |progress| report(PrepareProgress::Opening(progress)))?;
        let file = encode(&corpus, Split::Train, tokenizer, &folder.tokens(Split::Validation), report)?;
        folder.complete(tokenizer, &Facts::of(&corpus, format!("{}, to evaluate on", data.description())))?;
        Ok(file)
    })
}

/// The conversations of a configuration, where it has some.
fn opened_conversations<'a>(
    config: &'a DataConfig,
    report: Report,
) -> Result<Option<(&'a ConversationsConfig, Conversations)>, DataError> {
    let found = config.open_conversations(&mut |progress| report(PrepareProgress::Opening(progress)))?;
    Ok(config.conversations.as_ref().zip(found))
}

/// How examples are read, where there are examples.
fn reading(config: &DataConfig) -> Option<ExampleReading> {
    let reading = |config: &ConversationsConfig| ExampleReading { too_long: config.too_long, pairs: config.pairs };
    config.conversations.as_ref().map(reading)
}

/// A hash of what a tokenizer is a function of besides its training text.
fn identity(config: &TokenizerConfig) -> Result<[u8; 32], DataError> {
    if let TokenizerConfig::File(file) = config {
        return Ok(file.open()?.hash());
    }
    Ok(*blake3::hash(format!("{config:?}").as_bytes()).as_bytes())
}

fn learn(config: &TokenizerConfig, corpus: &Corpus, report: Report) -> Result<Tokenizer, DataError> {
    let total = corpus.expected_bytes(Split::Train);
    let mut done = 0;
    let mut failed = None;
    let mut text = corpus.pieces(Split::Train).filter_map(|piece| match piece {
        Ok(Piece::Text { text, .. }) => {
            done += text.len() as u64;
            report(PrepareProgress::Learning { done: done.min(total), total });
            Some(Ok(text))
        }
        Ok(Piece::End) => None,
        Err(error) => {
            let message = error.to_string();
            failed = Some(error);
            Some(Err(TextError::from(message)))
        }
    });
    let tokenizer = Tokenizer::train(config, &mut text);
    drop(text);
    // An error of the text is given back as what it is.
    match (failed, tokenizer) {
        (Some(error), _) => Err(error.into()),
        (None, tokenizer) => Ok(tokenizer?),
    }
}

/// Writes the tokens of one split to `path`.
fn encode(
    corpus: &Corpus,
    split: Split,
    tokenizer: &Tokenizer,
    path: &Path,
    report: Report,
) -> Result<TokenFile, DataError> {
    let total = corpus.expected_bytes(split);
    let mut writer = TokenFileWriter::create(path, tokenizer.hash(), tokenizer.vocabulary_size())?;
    let mut encoder = tokenizer.encoder();
    let mut places = Places::default();
    let mut text_hash = blake3::Hasher::new();
    let mut read = 0;
    let mut identity = TextIdentity::default();
    let mut tokens = Vec::with_capacity(2 * BLOCK);
    let unknown = |error, places: &Places| places.explain(error, corpus);
    for piece in corpus.pieces(split) {
        match piece? {
            Piece::Text { text, place, is_predicted } => {
                places.push(read, place);
                text_hash.update(text.as_bytes());
                read += text.len() as u64;
                if is_predicted {
                    identity.bytes += text.len() as u64;
                    identity.characters += text.chars().count() as u64;
                }
                encoder.push(&text, &mut tokens).map_err(|error| unknown(error, &places))?;
                report(PrepareProgress::Encoding { split, done: read.min(total), total });
            }
            Piece::End => {
                encoder.finish(&mut tokens).map_err(|error| unknown(error, &places))?;
                tokens.extend(tokenizer.end_token());
            }
        }
        if tokens.len() >= BLOCK {
            writer.push(&tokens)?;
            tokens.clear();
        }
    }
    encoder.finish(&mut tokens).map_err(|error| unknown(error, &places))?;
    writer.push(&tokens)?;
    identity.hash = *text_hash.finalize().as_bytes();
    Ok(writer.finish(identity)?)
}

/// Where the latest pieces of a split come from, so that an error can name file and offset.
#[derive(Debug, Default)]
struct Places {
    /// Where each piece starts in the split and in its file.
    pieces: VecDeque<(u64, Place)>,
}

impl Places {
    /// More than the encoder can hold back.
    const REMEMBERED: usize = 1 << 12;

    fn push(&mut self, start: u64, place: Place) {
        if self.pieces.len() == Self::REMEMBERED {
            self.pieces.pop_front();
        }
        self.pieces.push_back((start, place));
    }

    fn explain(&self, error: TokenizerError, corpus: &Corpus) -> DataError {
        let TokenizerError::UnknownText { character, offset } = error else { return error.into() };
        let Some((start, place)) = self.pieces.iter().rev().find(|(start, _)| *start <= offset) else {
            return error.into();
        };
        let path = corpus.path(*place).map(|path| path.display().to_string());
        let offset = place.offset + (offset - start);
        DataError::UnknownText { place: path.unwrap_or_else(|| "the corpus".to_owned()), character, offset }
    }
}
