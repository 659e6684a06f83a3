//! Adapters and what they are for, as arguments.

use std::path::PathBuf;

use clap::Args;
use kiln_models::saved::SavedModel;
use kiln_storage::Which;

use crate::arguments::{NoSuchRun, RunsArguments};
use crate::exit::UsageError;

/// What is added to a model, and where the base of its own adapters is.
#[derive(Debug, Clone, Args)]
pub(crate) struct AdapterArguments {
    /// Use the model with these adapters: a run that was trained with `[adapter]`, or a folder in the form of `peft`.
    /// Where a command takes several it chooses by NAME, which is the folder's unless it is given
    #[arg(long = "adapter", value_name = "[NAME=]FOLDER")]
    adapters: Vec<String>,

    /// Where the base of the model's adapters is, if it isn't where it was: a model of the same SHA-256
    #[arg(long, value_name = "MODEL")]
    base: Option<PathBuf>,
}

/// Adapters by a name.
pub(crate) struct Named {
    pub(crate) name: String,
    path: PathBuf,
}

impl Named {
    /// The model with them in the place of its own.
    ///
    /// # Errors
    /// They can't be read, or are for another model.
    pub(crate) fn on(&self, saved: &SavedModel) -> anyhow::Result<SavedModel> {
        Ok(saved.with_adapter(&self.path, Which::Best)?)
    }
}

impl AdapterArguments {
    /// The base that was named.
    ///
    /// # Errors
    /// There is nothing of that name.
    pub(crate) fn base(&self, runs: &RunsArguments) -> Result<Option<PathBuf>, NoSuchRun> {
        self.base.as_ref().map(|base| runs.find(base)).transpose()
    }

    /// All adapters.
    ///
    /// # Errors
    /// There is nothing of one's name, or two have the same.
    pub(crate) fn named(&self, runs: &RunsArguments) -> anyhow::Result<Vec<Named>> {
        let mut all: Vec<Named> = Vec::new();
        for given in &self.adapters {
            let (name, path) = match given.split_once('=') {
                Some((name, path)) => (Some(name.to_owned()), PathBuf::from(path)),
                None => (None, PathBuf::from(given)),
            };
            let of_folder = || path.file_name().map(|name| name.to_string_lossy().into_owned());
            let name = name.or_else(of_folder).unwrap_or_else(|| given.clone());
            if all.iter().any(|other| other.name == name) {
                let words =
                    format!("--adapter: two are named `{name}`; `--adapter NAME=FOLDER` gives one another name");
                return Err(UsageError(words).into());
            }
            all.push(Named { name, path: runs.find(&path)? });
        }
        Ok(all)
    }

    /// The model with the one adapter that was named, if one was.
    ///
    /// # Errors
    /// Several were named, or as [`Named::on`].
    pub(crate) fn apply(&self, saved: SavedModel, runs: &RunsArguments) -> anyhow::Result<SavedModel> {
        match &self.named(runs)?[..] {
            [] => Ok(saved),
            [one] => one.on(&saved),
            _ => Err(UsageError("--adapter: this command takes one; `kiln chat` takes several".into()).into()),
        }
    }
}
