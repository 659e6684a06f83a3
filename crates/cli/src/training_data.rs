//! The text of a run as tokens, with a progress bar while they are made.

use std::path::{Path, PathBuf};

use anyhow::Context;
use etcetera::BaseStrategy;
use indicatif::ProgressBar;
use kiln_data::corpus::{CorpusError, DataConfig, OpenProgress, Split, WrongLines};
use kiln_data::shards::{self, DataError, EntropyFloor, PrepareProgress, PreparedData, TokenFile};
use kiln_models::saved::{Conversing, Which, conversing_of};
use kiln_models::{Tokenizer, TokenizerConfig, TokenizerError, TokenizerFileConfig};
use kiln_storage::layout::{RECORD_FILE, TOKENIZER_FILE};
use kiln_training::config::{Config, RefusedChanges};
use kiln_training::run::RunRecord;

use crate::arguments::RunsArguments;
use crate::piped::{self, Spooled, is_piped};
use crate::terminal::{progress_bar, say};
use crate::training_display::grouped;

/// Names the folder of downloads and tokens, instead of the user's cache folder.
const CACHE_VARIABLE: &str = "KILN_CACHE";

/// Where downloads and tokens are kept: `$KILN_CACHE`, else `kiln` in the user's cache folder.
pub(crate) fn cache_folder() -> anyhow::Result<PathBuf> {
    if let Some(folder) = std::env::var_os(CACHE_VARIABLE).filter(|folder| !folder.is_empty()) {
        return Ok(folder.into());
    }
    let strategy = etcetera::choose_base_strategy()
        .with_context(|| format!("cannot find the user's cache folder; name one in {CACHE_VARIABLE}"))?;
    Ok(strategy.cache_dir().join("kiln"))
}

/// The tokens of a configuration.
pub(crate) fn prepare(config: &Config) -> anyhow::Result<PreparedData> {
    prepare_with(config, conversing_of_start(config)?)
}

/// The same with what is known of how conversations are held.
fn prepare_with(config: &Config, conversing: Option<Conversing>) -> anyhow::Result<PreparedData> {
    let bar = Bar::new();
    let text = with_conversing(config, conversing);
    let mut data = shards::prepare(&text, &config.tokenizer, &cache_folder()?, &mut |progress| bar.show(progress))?;
    let resets_at = config.run.resets_at(&data.tokenizer);
    let pairs_end = data.tokenizer.end_token().filter(|_| config.data.has_pairs());
    data.train = data.train.resetting_at(resets_at).of_pairs(pairs_end);
    data.validation = data.validation.resetting_at(resets_at).of_pairs(pairs_end);
    Ok(data)
}

/// How the start model holds conversations, where that is needed.
fn conversing_of_start(config: &Config) -> anyhow::Result<Option<Conversing>> {
    let is_needed = config.data.conversations.as_ref().is_some_and(|conversations| conversations.template.is_none());
    let Some(start) = config.start.as_ref().filter(|_| is_needed) else { return Ok(None) };
    Ok(conversing_of(&RunsArguments::default().find(&start.from)?, Which::Best)?)
}

/// The texts of a configuration, with what is known of how conversations are held.
pub(crate) fn with_conversing(config: &Config, conversing: Option<Conversing>) -> DataConfig {
    let mut data = config.data.clone();
    if let Some(conversations) = &mut data.conversations {
        (conversations.has_start, conversations.of_model) = (config.start.is_some(), conversing);
        conversations.pairs = config.preference.is_some();
    }
    data
}

/// The tokens of a run, or of a run of a sweep, that was started before. Where the file of its tokenizer has gone, the
/// copy in the folder `run` stands in for it.
pub(crate) fn prepare_again(owner: &Path, run: &Path, config: &Config) -> anyhow::Result<PreparedData> {
    let with_copy = with_own_tokenizer(run, config)?;
    let conversing = RunRecord::read(run).ok().and_then(|record| record.conversing);
    let conversing = conversing.map_or_else(|| conversing_of_start(config), |found| Ok(Some(found)))?;
    prepare_with(with_copy.as_ref().unwrap_or(config), conversing).map_err(|error| match error.downcast_ref() {
        Some(DataError::Corpus(
            problem @ (CorpusError::Missing { path, .. } | CorpusError::NoMatch { pattern: path, .. }),
        )) => OtherText::moved(owner, config, path, problem).into(),
        _ => error,
    })
}

/// The configuration with the run's own copy of its tokenizer, if the file that it names has gone.
fn with_own_tokenizer(run: &Path, config: &Config) -> anyhow::Result<Option<Config>> {
    let TokenizerConfig::File(file) = &config.tokenizer else { return Ok(None) };
    let copy = run.join(TOKENIZER_FILE);
    if !copy.exists() {
        return Ok(None);
    }
    let record = RunRecord::read(run)?;
    let hash = |path: &Path| {
        let file = TokenizerFileConfig { path: path.to_path_buf() };
        Ok::<_, TokenizerError>(hexadecimal(file.open()?.hash()))
    };
    if file.path.exists() {
        // Before the text is encoded with it.
        let now = RunRecord { tokenizer_hash: hash(&file.path)?, ..record.clone() };
        RefusedChanges::check(run, record.other_texts(&now))?;
        return Ok(None);
    }
    let (gone, own) = (file.path.display().to_string(), copy.display().to_string());
    let (found, expected) = (hash(&copy)?, record.tokenizer_hash);
    if found != expected {
        return Err(OtherText::Tokenizer { run: run.to_path_buf(), gone, own, found, expected }.into());
    }
    say(&format!("the tokenizer `{gone}` is not there; `{own}`, the run's own copy, takes its place"));
    let tokenizer = TokenizerConfig::File(TokenizerFileConfig { path: copy });
    Ok(Some(Config { tokenizer, ..config.clone() }))
}

/// Why the text of a run cannot be read again as it was.
#[derive(Debug, thiserror::Error)]
pub(crate) enum OtherText {
    /// The files hold another text than that of the run.
    #[error(
        "the validation split of `{run}` is not the text that it was trained with: its BLAKE3 is \
         {found}, and `{RECORD_FILE}` says {expected}; a loss on it could not be compared with those of the run"
    )]
    Changed {
        /// The run.
        run: String,
        /// The hash of the text that is there now.
        found: String,
        /// The hash in the record of the run.
        expected: String,
    },
    /// The files hold what the text of the run cannot have held.
    #[error(
        "the validation split of `{run}` is not the text that it was trained with: {place} has the character \
         {character:?} at byte {offset}, for which its tokenizer has no token"
    )]
    Foreign {
        /// The run.
        run: String,
        /// The file.
        place: String,
        /// The first such character.
        character: char,
        /// Where it starts.
        offset: u64,
    },
    /// The files cannot be read as the text of the run.
    #[error("the validation split of `{run}` cannot be read again: {problem}")]
    Gone {
        /// The run.
        run: String,
        /// Why not.
        problem: String,
    },
    /// A file that a run is trained on is not where it was.
    #[error("the text of `{}` cannot be read again: {problem}", run.display())]
    Moved {
        /// The run, or the sweep.
        run: PathBuf,
        /// The key of its configuration that names the file.
        key: &'static str,
        /// How many files that names.
        files: usize,
        /// What is missing.
        problem: String,
    },
    /// The tokenizer of a run has gone, and its copy is another one.
    #[error(
        "the tokenizer `{gone}` is not there, and `{own}`, the run's own copy of it, is another one: its BLAKE3 is \
         {found}, and `{RECORD_FILE}` says {expected}"
    )]
    Tokenizer {
        /// The run.
        run: PathBuf,
        /// The file that has gone.
        gone: String,
        /// The copy.
        own: String,
        /// The hash of the copy.
        found: String,
        /// The hash in the record of the run.
        expected: String,
    },
    /// What came through a pipe is no text.
    #[error("cannot evaluate on {pipe}: {problem}")]
    Piped {
        /// The pipe.
        pipe: String,
        /// Why not.
        problem: String,
    },
    /// A text that the user named cannot be encoded.
    #[error(
        "the model cannot read {place}: its vocabulary has no token for the character {character:?} at byte {offset}"
    )]
    Unreadable {
        /// The file.
        place: String,
        /// The first character that the vocabulary lacks.
        character: char,
        /// Where it starts.
        offset: u64,
    },
}

impl OtherText {
    fn of_pipe(path: &Path, problem: CorpusError) -> Self {
        let problem = match problem {
            CorpusError::NotUtf8 { offset, .. } => {
                format!("it is not UTF-8: the first wrong byte is at offset {offset}")
            }
            CorpusError::Empty { .. } => "it holds no text".to_owned(),
            other => other.to_string(),
        };
        Self::Piped { pipe: piped::name(path), problem }
    }

    fn moved(run: &Path, config: &Config, path: &String, problem: &CorpusError) -> Self {
        let data = &config.data;
        let (key, paths) = match (&data.file, &data.conversations) {
            (Some(file), _) => ("data.file.paths", file.paths.as_slice()),
            (None, Some(conversations)) => ("data.conversations.paths", conversations.paths.as_slice()),
            (None, None) => ("data.file.paths", [].as_slice()),
        };
        let for_validation = config.data.validation_files.as_deref().unwrap_or_default();
        let (key, files) = if for_validation.contains(path) {
            ("data.validation-files", for_validation.len())
        } else {
            (key, paths.len())
        };
        Self::Moved { run: run.to_path_buf(), key, files, problem: problem.to_string() }
    }
}

/// The validation split of a run, encoded by the tokenizer of its model, after it was made sure that it is the text
/// that the run was trained with: under the same name there may be another one now.
pub(crate) fn validation_split(
    run: &Path,
    config: &Config,
    tokenizer: &Tokenizer,
) -> anyhow::Result<(TokenFile, Option<EntropyFloor>)> {
    let RunRecord { validation_text_hash: expected, conversing, .. } = RunRecord::read(run)?;
    let text = with_conversing(config, conversing);
    let name = || run.display().to_string();
    let bar = Bar::new();
    let mut report = |progress| bar.show(progress);
    let prepared = shards::prepare_validation(&text, &config.tokenizer, tokenizer, &cache_folder()?, &mut report);
    let (validation, floor) = match prepared {
        Ok(prepared) => prepared,
        Err(DataError::UnknownText { place, character, offset }) => {
            return Err(OtherText::Foreign { run: name(), place, character, offset }.into());
        }
        Err(error @ (DataError::Corpus(_) | DataError::Tokenizer(_))) => {
            return Err(OtherText::Gone { run: name(), problem: error.to_string() }.into());
        }
        Err(error) => return Err(error.into()),
    };
    let found = hexadecimal(validation.text_hash());
    if found != expected {
        return Err(OtherText::Changed { run: name(), found, expected }.into());
    }
    let pairs_end = tokenizer.end_token().filter(|_| config.data.has_pairs());
    Ok((validation.resetting_at(config.run.resets_at(tokenizer)).of_pairs(pairs_end), floor))
}

/// What to say of lines that are no conversations: the first of them, and how many there are.
pub(crate) fn wrong_lines(WrongLines { count, lines, first }: &WrongLines) -> Vec<String> {
    let mut words: Vec<String> = first.iter().map(|line| format!("left out: {line}")).collect();
    if *count > first.len() as u64 {
        words.push(format!("{} of {} lines are left out", grouped(*count), grouped(*lines)));
    }
    words
}

/// A text file, or what comes through a pipe, encoded by the tokenizer of a model and cut into documents at
/// `separator`. What came through a pipe is there as long as the second is.
pub(crate) fn tokenize_file(
    path: &Path,
    separator: Option<&str>,
    tokenizer: &Tokenizer,
) -> anyhow::Result<(TokenFile, Option<Spooled>)> {
    let spooled = is_piped(path).then(|| Spooled::read(path)).transpose()?;
    let (paths, cache) = match &spooled {
        Some(spooled) => ([spooled.path()], spooled.cache()),
        None => ([path.to_path_buf()], cache_folder()?),
    };
    let bar = Bar::new();
    let file = shards::prepare_evaluation(&paths, separator, tokenizer, &cache, &mut |progress| bar.show(progress));
    let file = file.map_err(|error| match error {
        DataError::UnknownText { place, character, offset } => {
            let place = if spooled.is_some() { piped::name(path) } else { place };
            anyhow::Error::from(OtherText::Unreadable { place, character, offset })
        }
        DataError::Corpus(problem) if spooled.is_some() => OtherText::of_pipe(path, problem).into(),
        other => other.into(),
    })?;
    Ok((file, spooled))
}

/// A hash as it stands in the documents of a run.
pub(crate) fn hexadecimal(hash: [u8; 32]) -> String {
    blake3::Hash::from_bytes(hash).to_hex().to_string()
}

/// A bar on stderr; indicatif hides it where that is no terminal.
struct Bar(ProgressBar);

impl Bar {
    fn new() -> Self {
        Self(progress_bar(0, "{msg:>24} [{bar:30}] {bytes}/{total_bytes} {eta}"))
    }

    fn show(&self, progress: PrepareProgress) {
        let (message, done, total) = match progress {
            PrepareProgress::Opening(OpenProgress::Downloading { received, total }) => {
                ("downloading", received, total.unwrap_or(received))
            }
            PrepareProgress::Opening(OpenProgress::Counting { done, total }) => ("reading", done, total),
            PrepareProgress::Learning { done, total } => ("learning the tokenizer", done, total),
            PrepareProgress::Encoding { split: Split::Train, done, total } => ("encoding training", done, total),
            PrepareProgress::Encoding { split: Split::Validation, done, total } => ("encoding validation", done, total),
        };
        self.0.set_message(message);
        self.0.set_length(total.max(done));
        self.0.set_position(done);
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}
