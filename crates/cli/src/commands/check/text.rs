//! What `kiln check` can say about the text and the vocabulary without preparing them.

use std::fmt;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use kiln_data::batches::{EvaluationPlan, TooShort, Windows};
use kiln_data::corpus::{Conversations, Corpus, DataConfig, FileConfig, LocalFile, Piece, Split, WrongLines};
use kiln_data::shards::DataError;
use kiln_models::{Tokenizer, TokenizerConfig, TokenizerError};
use kiln_training::config::Config;
use serde::Serialize;

use crate::training_data;
use crate::training_display::grouped;

/// Files up to this size are read, to count characters.
const MOST_BYTES_READ: u64 = 64 << 20;

/// How long the characters of a text are collected.
const COLLECTING: Duration = Duration::from_millis(600);

/// What is known of the text.
#[derive(Debug, Serialize)]
pub(super) struct TextFacts {
    source: &'static str,
    files: Vec<PathBuf>,
    bytes: Option<u64>,
    training_characters: Option<u64>,
    validation_characters: Option<u64>,
    /// How many there are, where they were read.
    #[serde(skip_serializing_if = "Option::is_none")]
    conversations: Option<u64>,
    #[serde(skip)]
    wrong_lines: WrongLines,
    #[serde(skip)]
    corpus: Option<Corpus>,
}

impl TextFacts {
    /// Looks at the text: all of a short one, the size of a long one, nothing of one that has yet to be downloaded.
    ///
    /// # Errors
    /// When a file is missing or no text.
    pub(super) fn find(config: &Config) -> anyhow::Result<Self> {
        let data = &config.data;
        let cache = training_data::cache_folder()?;
        let source = match (&data.file, &data.download, &data.conversations) {
            (Some(_), ..) => "file",
            (_, Some(_), _) => "download",
            (.., Some(_)) => "conversations",
            (None, None, None) => "builtin",
        };
        let files = data.local_files(&cache)?;
        let bytes = files.as_ref().map(|files| files.iter().map(|file| file.bytes).sum::<u64>());
        let readable = match bytes {
            Some(bytes) => bytes <= MOST_BYTES_READ,
            None => source == "builtin",
        };
        let files = files.unwrap_or_default();
        let is_text = readable && source != "conversations";
        let corpus = is_text.then(|| local(data, &files).open(&cache, &mut |_| {})).transpose()?;
        let with_pairs = training_data::with_conversing(config, None);
        let read = if readable { with_pairs.open_conversations(&mut |_| {})? } else { None };
        let length = |split| corpus.as_ref().map(|corpus| corpus.characters_of(split));
        Ok(Self {
            source,
            files: files.into_iter().map(|file| file.path).collect(),
            bytes: corpus.as_ref().map(Corpus::bytes).or(bytes),
            training_characters: length(Split::Train),
            validation_characters: length(Split::Validation),
            conversations: read.as_ref().map(Conversations::count),
            wrong_lines: read.map(|read| read.wrong().clone()).unwrap_or_default(),
            corpus,
        })
    }

    /// Tokens of a split, where each character or byte is one.
    fn tokens(&self, config: &Config, split: Split) -> Option<u64> {
        let corpus = self.corpus.as_ref()?;
        match &config.tokenizer {
            TokenizerConfig::Character(_) => Some(corpus.characters_of(split)),
            TokenizerConfig::Byte(_) => Some(corpus.expected_bytes(split)),
            TokenizerConfig::BytePair(_) | TokenizerConfig::File(_) => None,
        }
    }

    /// Tokens of the training split, if they can be counted without encoding it.
    pub(super) fn training_tokens(&self, config: &Config) -> Option<u64> {
        self.tokens(config, Split::Train)
    }

    /// At most how many tokens a split has, where each is a byte or more, or ends a document.
    fn most_tokens(&self, config: &Config, split: Split) -> Option<u64> {
        let bytes = self.corpus.as_ref().map(|corpus| corpus.expected_bytes(split)).or(self.bytes)?;
        let ends = if config.data.separator.is_some() { self.documents()? } else { 0 };
        // A file's tokenizer may make more of a text than there is in it.
        (!matches!(config.tokenizer, TokenizerConfig::File(_))).then(|| bytes.saturating_add(ends))
    }

    /// Why training will refuse the text, where [`Self::fits`] cannot know how many tokens it has.
    pub(super) fn too_short(&self, config: &Config) -> Option<String> {
        if config.data.has_pairs() {
            return None;
        }
        let run = &config.run;
        let train = self.most_tokens(config, Split::Train)?;
        let validation = self.most_tokens(config, Split::Validation)?;
        let short = Windows::check_length(run.windows, train, run.batch, run.context)
            .and_then(|()| EvaluationPlan::check_length(validation, run.context));
        let TooShort { split, found, needed, what, more, advice, .. } = short.err()?;
        Some(format!(
            "training will refuse the text: the {split} split has at most {found} tokens, but {needed} are needed for \
             {what}; use {more}, or {advice}"
        ))
    }

    /// What to say of lines that are no conversations.
    pub(super) fn wrong_lines(&self) -> Vec<String> {
        training_data::wrong_lines(&self.wrong_lines)
    }

    /// Documents of both splits, if the text was read.
    pub(super) fn documents(&self) -> Option<u64> {
        self.corpus.as_ref().map(Corpus::documents)
    }

    /// How often the separator is in the text, if the text was read.
    pub(super) fn separators(&self) -> Option<u64> {
        self.corpus.as_ref().map(Corpus::separators)
    }

    /// Makes sure that both splits have a window.
    ///
    /// # Errors
    /// When one is too short.
    pub(super) fn fits(&self, config: &Config) -> anyhow::Result<()> {
        // With documents there are tokens between them, which are not counted here.
        if config.data.separator.is_some() || config.data.has_pairs() {
            return Ok(());
        }
        let run = &config.run;
        if let Some(tokens) = self.tokens(config, Split::Train) {
            Windows::check_length(run.windows, tokens, run.batch, run.context)?;
        }
        if let Some(tokens) = self.tokens(config, Split::Validation) {
            EvaluationPlan::check_length(tokens, run.context)?;
        }
        Ok(())
    }
}

/// The same text, taken from where it lies.
fn local(data: &DataConfig, files: &[LocalFile]) -> DataConfig {
    if data.download.is_none() {
        return data.clone();
    }
    let paths = files.iter().map(|file| file.path.to_string_lossy().into_owned()).collect();
    DataConfig { download: None, file: Some(FileConfig { paths }), ..data.clone() }
}

impl fmt::Display for TextFacts {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.files.as_slice() {
            [] if self.source == "download" => return write!(formatter, "not downloaded yet"),
            [] => write!(formatter, "tales made up by kiln")?,
            [file] => write!(formatter, "{}", file.display())?,
            files => write!(formatter, "{} files", files.len())?,
        }
        match (self.training_characters, self.validation_characters, self.bytes) {
            (Some(training), Some(validation), _) => {
                write!(
                    formatter,
                    ": {} characters for training, {} for validation",
                    grouped(training),
                    grouped(validation)
                )
            }
            (_, _, Some(bytes)) => write!(formatter, ": {} bytes, too many to be counted here", grouped(bytes)),
            _ => Ok(()),
        }
    }
}

/// How many tokens the model will know.
#[derive(Debug, Serialize)]
pub(super) struct Vocabulary {
    /// `None` if unknown.
    pub(super) size: Option<usize>,
    /// What encodes, where that is known without learning it from a whole text.
    #[serde(skip)]
    pub(super) tokenizer: Option<Tokenizer>,
    /// How the size is known, or why it is not.
    how: String,
}

impl Vocabulary {
    /// Finds the size of the vocabulary, in bounded time.
    ///
    /// # Errors
    /// When a tokenizer's file cannot be used or the text cannot be read.
    pub(super) fn find(config: &Config, text: &TextFacts) -> anyhow::Result<Self> {
        let data = &config.data;
        let known = |tokenizer: Tokenizer, how: &str| Self {
            size: Some(tokenizer.vocabulary_size()),
            tokenizer: Some(tokenizer),
            how: how.to_owned(),
        };
        match &config.tokenizer {
            TokenizerConfig::Character(_) => characters(config, text),
            TokenizerConfig::Byte(_) => {
                Ok(known(learned(&config.tokenizer, String::new())?, "bytes and special tokens"))
            }
            TokenizerConfig::BytePair(config) => Ok(Self {
                size: Some(config.vocabulary_size),
                tokenizer: None,
                how: "as configured; a short text may give fewer".to_owned(),
            }),
            TokenizerConfig::File(file) => {
                let tokenizer = file.open()?;
                if data.separator.is_some() && tokenizer.end_token().is_none() {
                    return Err(DataError::NoEndToken.into());
                }
                Ok(known(tokenizer, "of the tokenizer's file"))
            }
        }
    }
}

impl fmt::Display for Vocabulary {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.size {
            Some(size) => write!(formatter, "{} tokens, {}", grouped(size as u64), self.how),
            None => write!(formatter, "unknown: {}", self.how),
        }
    }
}

/// The different characters of the training text.
fn characters(config: &Config, text: &TextFacts) -> anyhow::Result<Vocabulary> {
    let Some(corpus) = &text.corpus else {
        let how = match text.bytes {
            Some(_) => "the text is too long to collect its characters here",
            None => "the characters are those of a text that is not downloaded yet",
        };
        return Ok(Vocabulary { size: None, tokenizer: None, how: how.to_owned() });
    };
    let started = Instant::now();
    let mut found = std::collections::BTreeSet::new();
    let mut read = 0_u64;
    let mut is_all = true;
    for piece in corpus.pieces(Split::Train) {
        if let Piece::Text { text, .. } = piece? {
            found.extend(text.chars());
            read += text.chars().count() as u64;
        }
        if started.elapsed() > COLLECTING {
            is_all = read >= text.training_characters.unwrap_or(0);
            break;
        }
    }
    let tokenizer = learned(&config.tokenizer, found.into_iter().collect())?;
    let how = match is_all {
        true => "the characters of the training text and special tokens".to_owned(),
        false => format!("counted in its first {} characters, so it may be a few more", grouped(read)),
    };
    Ok(Vocabulary { size: Some(tokenizer.vocabulary_size()), tokenizer: is_all.then_some(tokenizer), how })
}

/// The tokenizer that is learned from a text.
fn learned(config: &TokenizerConfig, text: String) -> Result<Tokenizer, TokenizerError> {
    Tokenizer::train(config, &mut std::iter::once(Ok(text)))
}
