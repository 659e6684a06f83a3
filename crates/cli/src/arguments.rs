//! Arguments that several commands take; those of one command are beside it.

use std::fs;
use std::path::{Path, PathBuf};

use clap::Args;
use kiln_models::saved::{has_weights_alone, is_foreign, is_peft};
use kiln_settings::{Override, Replaced, Source, nearest, read_source};
use kiln_storage::layout::{self, MANIFEST_FILE};
use kiln_training::config::Config;

use crate::beginnings;
use crate::device::{Chosen, DeviceError, choose};
use crate::kinds::{FileKind, refuse_others};
use crate::piped::{INSTEAD, is_piped};
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
    pub(crate) fn open(&self) -> anyhow::Result<Config> {
        self.read(&read_source(&self.config)?)
    }

    /// The same of the file's text.
    ///
    /// # Errors
    /// When it is wrong.
    pub(crate) fn read(&self, source: &Source) -> anyhow::Result<Config> {
        let config = read_run(&self.config, source, &self.overrides)?;
        self.say(&Config::replaced(source, &self.overrides));
        Ok(config)
    }

    fn say(&self, replaced: &[Replaced]) {
        for Replaced { table, by } in replaced {
            let set = self.overrides.get(*by).map(Override::text).unwrap_or_default();
            say(&format!("`--set {set}` replaces [{table}] of {}", self.config.display()));
        }
    }
}

/// What is to be trained on is not there.
#[derive(Debug, thiserror::Error)]
#[error("there is no file `{}`", path.display())]
pub(crate) struct NoInput {
    path: PathBuf,
}

impl NoInput {
    /// Makes sure that a file is there.
    ///
    /// # Errors
    /// When it is not.
    pub(crate) fn check(path: &Path) -> Result<(), Self> {
        if path.exists() { Ok(()) } else { Err(Self { path: path.to_path_buf() }) }
    }

    /// What to type instead.
    pub(crate) fn help(&self) -> String {
        if is_piped(&self.path) {
            return INSTEAD.to_owned();
        }
        match almost(&self.path, Path::is_file) {
            Some(meant) => format!("did you mean `{}`?", self.path.with_file_name(meant).display()),
            None => "give a configuration, for example `configs/quickstart.toml`, or a text to train on".to_owned(),
        }
    }
}

/// Reads the configuration of a run.
///
/// # Errors
/// When the file cannot be read, is wrong, or is of another kind.
pub(crate) fn open_run(path: &Path, overrides: &[Override]) -> anyhow::Result<Config> {
    read_run(path, &read_source(path)?, overrides)
}

fn read_run(path: &Path, source: &Source, overrides: &[Override]) -> anyhow::Result<Config> {
    refuse_others(source, overrides, &[FileKind::Run])?;
    let mut settings = beginnings::of_start(path, source, overrides)?;
    settings.extend_from_slice(overrides);
    let mut config = Config::read(source, &settings)?.look_beside(path, overrides);
    beginnings::look_among_runs(&mut config);
    Ok(config)
}

/// The folder of all runs.
const RUNS: &str = "runs";
/// Names another folder of all runs.
const RUNS_VARIABLE: &str = "KILN_RUNS";

/// Where runs are.
#[derive(Debug, Default, Args)]
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
    /// of that name among all runs. What is there and is nothing of that kind is found, too.
    ///
    /// # Errors
    /// When there is nothing of that name.
    pub(crate) fn find(&self, given: &Path) -> Result<PathBuf, NoSuchRun> {
        let among_runs = self.folder().join(given);
        let places = [given, &among_runs];
        let found = places
            .iter()
            .find(|path| is_something_saved(path))
            .or(places.iter().find(|path| path.exists() || path.is_symlink()));
        found.map(|path| path.to_path_buf()).ok_or_else(|| NoSuchRun {
            given: given.to_path_buf(),
            runs: self.folder(),
            meant: places
                .into_iter()
                .rev()
                .find_map(|path| almost(path, is_something_saved))
                .map(|name| given.with_file_name(name)),
        })
    }
}

/// Nothing of a name that was given is where runs are.
#[derive(Debug, thiserror::Error)]
#[error("there is no `{}`{}", given.display(), looked_in(given, runs))]
pub(crate) struct NoSuchRun {
    given: PathBuf,
    /// The folder of all runs.
    runs: PathBuf,
    /// What there is of almost that name.
    meant: Option<PathBuf>,
}

impl NoSuchRun {
    /// What to type instead.
    pub(crate) fn help(&self) -> String {
        match &self.meant {
            Some(meant) => format!("did you mean `{}`?", meant.display()),
            None => {
                format!("`kiln ls` lists what there is; `--runs FOLDER` or {RUNS_VARIABLE} name another folder of runs")
            }
        }
    }
}

/// Where a run was looked for, beside the path itself.
fn looked_in(given: &Path, runs: &Path) -> String {
    if given.is_absolute() || given.starts_with(runs) {
        return String::new();
    }
    let runs = (runs.display(), runs.is_dir());
    match runs {
        (runs, true) => format!(", neither in the current folder nor among the runs in `{runs}`"),
        (runs, false) => format!(" in the current folder, and no folder `{runs}` of runs"),
    }
}

/// The name in the folder of a path, of what `is_meant`, that is almost the path's own.
fn almost(path: &Path, is_meant: impl Fn(&Path) -> bool) -> Option<PathBuf> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let entries = fs::read_dir(folder).ok()?.flatten().filter(|entry| is_meant(&entry.path()));
    let mut names: Vec<String> = entries.filter_map(|entry| entry.file_name().into_string().ok()).collect();
    names.sort();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    nearest(&path.file_name()?.to_string_lossy(), &names).map(PathBuf::from)
}

fn is_something_saved(path: &Path) -> bool {
    let is_model = path.join(MANIFEST_FILE).exists() || has_weights_alone(path) || is_foreign(path) || is_peft(path);
    layout::is_run(path) || layout::is_sweep(path) || is_model
}

/// The device to compute on.
#[derive(Debug, Clone, Args)]
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
