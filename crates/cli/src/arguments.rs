//! Arguments that several commands take; those of one command are beside it.

use std::path::{Path, PathBuf};

use clap::Args;
use kiln_models::saved::has_weights_alone;
use kiln_settings::{ConfigFileError, Override, Replaced, Source, read_source};
use kiln_storage::layout::{self, MANIFEST_FILE};
use kiln_training::config::Config;

use crate::device::{Chosen, DeviceError, choose};
use crate::terminal::say;

/// The value of one `--set KEY=VALUE`.
pub(crate) fn overriding(argument: &str) -> Result<Override, String> {
    Override::parse("--set", argument)
}

/// A configuration file with what overrides it.
#[derive(Debug, Args)]
pub(crate) struct ConfigArguments {
    /// The configuration, a TOML file (configs/README.md lists every key)
    pub(crate) config: PathBuf,

    /// Set a key of the configuration, for example `--set run.steps=100`; may be repeated
    #[arg(long = "set", value_name = "KEY=VALUE", value_parser = overriding)]
    pub(crate) overrides: Vec<Override>,
}

/// Whether a file that stands where a configuration may stand is a text to be trained on: one that has another ending
/// than `.toml` and doesn't read as TOML with keys in it. What isn't there is no text.
pub(crate) fn is_text(path: &Path) -> bool {
    if path.extension().is_some_and(|ending| ending.eq_ignore_ascii_case("toml")) || !path.is_file() {
        return false;
    }
    let is_toml = |source: Source| source.text.parse::<toml::Table>().is_ok_and(|table| !table.is_empty());
    !read_source(path).is_ok_and(is_toml)
}

impl ConfigArguments {
    /// Reads the configuration of a run, and says which choices of the file were set to others.
    ///
    /// # Errors
    /// When the file cannot be read, or is wrong.
    pub(crate) fn open(&self) -> Result<Config, ConfigFileError> {
        let source = read_source(&self.config)?;
        let config = Config::read(&source, &self.overrides)?;
        self.say(&Config::replaced(&source, &self.overrides));
        Ok(config.look_beside(&self.config, &self.overrides))
    }

    fn say(&self, replaced: &[Replaced]) {
        for Replaced { table, by } in replaced {
            let set = self.overrides.get(*by).map(Override::text).unwrap_or_default();
            say(&format!("`--set {set}` replaces [{table}] of {}", self.config.display()));
        }
    }
}

/// The folder of all runs.
const RUNS: &str = "runs";
/// Names another folder of all runs.
const RUNS_VARIABLE: &str = "KILN_RUNS";

/// Where runs are.
#[derive(Debug, Args)]
pub(crate) struct RunsArguments {
    /// The folder of all runs [default: $KILN_RUNS, else runs]
    #[arg(long, value_name = "FOLDER")]
    runs: Option<PathBuf>,
}

impl RunsArguments {
    /// The folder of all runs.
    pub(crate) fn folder(&self) -> PathBuf {
        let variable = || std::env::var_os(RUNS_VARIABLE).filter(|folder| !folder.is_empty()).map(PathBuf::from);
        self.runs.clone().or_else(variable).unwrap_or_else(|| RUNS.into())
    }

    /// The path of a run, a checkpoint or a sweep as it was given; or, where nothing of that kind is there, of the one
    /// of that name among all runs.
    pub(crate) fn find(&self, given: &Path) -> PathBuf {
        let among_runs = self.folder().join(given);
        if !is_something_saved(given) && is_something_saved(&among_runs) { among_runs } else { given.to_path_buf() }
    }
}

fn is_something_saved(path: &Path) -> bool {
    layout::is_run(path) || layout::is_sweep(path) || path.join(MANIFEST_FILE).exists() || has_weights_alone(path)
}

/// The device to compute on.
#[derive(Debug, Args)]
pub(crate) struct DeviceArguments {
    /// Where to compute: auto, cpu, ndarray, wgpu[:N], vulkan[:N], cuda[:N], rocm[:N], metal; `wgpu:software` for an
    /// adapter that computes on the CPU
    #[arg(long, default_value = "auto")]
    device: String,
}

impl DeviceArguments {
    /// Opens the device.
    ///
    /// # Errors
    /// When there is no such device, or it does not start.
    pub(crate) fn choose(&self) -> Result<Chosen, DeviceError> {
        choose(&self.device)
    }

    /// Opens the device and says on stderr which one it is.
    ///
    /// # Errors
    /// When there is no such device, or it does not start.
    pub(crate) fn open(&self) -> Result<Chosen, DeviceError> {
        let chosen = self.choose()?;
        say(&format!("device: {}", chosen.description));
        Ok(chosen)
    }
}
