//! `kiln import MODEL --run NAME`: a model of another program as a run of Kiln.

use std::path::{Path, PathBuf};

use anyhow::Context;
use burn::tensor::Device;
use clap::Args;
use kiln_models::saved::{RecurrentNames, SavedModel, TokenTexts, import_recurrent, is_foreign, write_model};
use kiln_storage::Which;
use serde::Deserialize;

use crate::arguments::{DeviceArguments, RunsArguments};
use crate::exit::UsageError;
use crate::folders::fill;
use crate::piped::read_text;
use crate::runs::{self, quoted};
use crate::terminal::say;

/// The longest table of names, and list of tokens, bytes.
const LONGEST: u64 = 16 << 20;

/// Arguments of `kiln import`.
#[derive(Debug, Args)]
pub(crate) struct ImportArguments {
    /// A folder in Hugging Face's form or a GGUF file; with `--names` the weights of a recurrent model, a safetensors
    /// file
    model: PathBuf,

    #[command(flatten)]
    runs: RunsArguments,

    /// The name of the run
    #[arg(long, value_name = "NAME")]
    run: String,

    /// What the tensors of a recurrent model are called, a TOML file (docs/models.md has an example)
    #[arg(long, value_name = "FILE")]
    names: Option<PathBuf>,

    #[command(flatten)]
    device: DeviceArguments,
}

/// The file of names.
#[derive(Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct NamesFile {
    tensors: RecurrentNames,
    tokens: TokensTable,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct TokensTable {
    /// A JSON file with a list of texts or a table of texts to numbers; looked for beside the file of names.
    file: PathBuf,
    start: Option<String>,
    end: Option<String>,
}

/// `kiln import`.
///
/// # Errors
/// A model or names that cannot be read, a run of this name that is there, or a disk that refuses.
pub(crate) fn import(arguments: &ImportArguments) -> anyhow::Result<()> {
    let folder = runs::new_run(&arguments.runs, &arguments.run)?;
    let device = arguments.device.choose()?.device;
    let saved = match &arguments.names {
        Some(names) => recurrent(&arguments.model, names, &device)?,
        None => {
            let path = arguments.runs.find(&arguments.model)?;
            if path.is_file() && !is_foreign(&path) {
                let words = "is neither a GGUF file nor a folder in Hugging Face's form; of the weights of a recurrent \
                             model `--names FILE` says what its tensors are called";
                return Err(UsageError(format!("{} {words}", quoted(&path.to_string_lossy()))).into());
            }
            runs::refuse_no_model(&path, "import")?;
            SavedModel::open_to_read(&path, Which::Best, &device)?
        }
    };
    if let Some(warning) = &saved.warning {
        say(&format!("warning: {warning}"));
    }
    let runs = arguments.runs.folder();
    std::fs::create_dir_all(&runs).with_context(|| format!("cannot create `{}`", runs.display()))?;
    fill(&folder, |beside| Ok(write_model(&saved, beside)?))?;
    say(&format!("wrote {}; `kiln sample {}` writes with it", folder.display(), quoted(&folder.to_string_lossy())));
    Ok(())
}

fn recurrent(model: &Path, names: &Path, device: &Device) -> anyhow::Result<SavedModel> {
    let text = read_text(names, LONGEST, "table of names")?;
    let file: NamesFile = toml::from_str(&text).map_err(|error| {
        UsageError(format!("`{}` is no table of names: {}", names.display(), error.to_string().trim_end()))
    })?;
    let list = names.parent().unwrap_or(Path::new("")).join(&file.tokens.file);
    let texts = serde_json::from_str(&read_text(&list, LONGEST, "list of tokens")?)
        .with_context(|| format!("`{}` is no JSON", list.display()))?;
    let tokens = TokenTexts { texts, start: file.tokens.start, end: file.tokens.end };
    Ok(import_recurrent(model, &file.tensors, &tokens, device)?)
}
