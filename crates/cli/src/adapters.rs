//! What adapters are for, as an argument.

use std::path::PathBuf;

use clap::Args;

use crate::arguments::{NoSuchRun, RunsArguments};

/// Where the base of a model's adapters is.
#[derive(Debug, Clone, Args)]
pub(crate) struct AdapterArguments {
    /// Where the base of the model's adapters is, if it isn't where it was: a model of the same SHA-256
    #[arg(long, value_name = "MODEL")]
    base: Option<PathBuf>,
}

impl AdapterArguments {
    /// The base that was named.
    ///
    /// # Errors
    /// There is nothing of that name.
    pub(crate) fn base(&self, runs: &RunsArguments) -> Result<Option<PathBuf>, NoSuchRun> {
        self.base.as_ref().map(|base| runs.find(base)).transpose()
    }
}
