//! The text of a run as tokens, with a progress bar while they are made.

use std::path::{Path, PathBuf};

use anyhow::Context;
use etcetera::BaseStrategy;
use indicatif::ProgressBar;
use kiln_data::corpus::{OpenProgress, Split};
use kiln_data::shards::{self, EntropyFloor, PrepareProgress, PreparedData, TokenFile};
use kiln_models::Tokenizer;
use kiln_models::saved::SavedModel;
use kiln_storage::layout::TOKENIZER_FILE;
use kiln_training::config::Config;

use crate::terminal::progress_bar;

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
    let bar = Bar::new();
    Ok(shards::prepare(&config.data, &config.tokenizer, &cache_folder()?, &mut |progress| bar.show(progress))?)
}

/// The validation split of a run, encoded by the tokenizer of its model.
pub(crate) fn validation_split(
    config: &Config,
    tokenizer: &Tokenizer,
) -> anyhow::Result<(TokenFile, Option<EntropyFloor>)> {
    let prepared = prepare(config)?;
    anyhow::ensure!(
        prepared.tokenizer.hash() == tokenizer.hash(),
        "the text of the run has changed since: its tokenizer is not the one that the model was trained with; \
         name a text with `--data FILE`"
    );
    Ok((prepared.validation, prepared.floor))
}

/// A text file, encoded by the tokenizer of a model.
pub(crate) fn tokenize_file(path: &Path, tokenizer: &Tokenizer) -> anyhow::Result<TokenFile> {
    let bar = Bar::new();
    Ok(shards::prepare_evaluation(&[path.to_path_buf()], tokenizer, &cache_folder()?, &mut |progress| {
        bar.show(progress)
    })?)
}

/// The run folder that a saved model lies in: the one with its tokenizer.
pub(crate) fn run_folder(saved: &SavedModel) -> PathBuf {
    let folder = std::fs::canonicalize(&saved.folder).unwrap_or_else(|_| saved.folder.clone());
    let run = folder.ancestors().find(|folder| folder.join(TOKENIZER_FILE).is_file());
    run.map_or_else(|| folder.clone(), Path::to_path_buf)
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
