//! `kiln export RUN`: a model in the form of another program.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use kiln_models::saved::{Opening, SavedModel, Written, export_gguf, export_hugging_face};
use kiln_storage::Which;

use crate::adapters::AdapterArguments;
use crate::arguments::{DeviceArguments, RunsArguments};
use crate::exit::UsageError;
use crate::folders::fill;
use crate::precision::packed_format;
use crate::runs;
use crate::terminal::say;

/// The form of another program.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// A folder that Hugging Face's `transformers` opens
    Hf,
    /// A file that `llama.cpp` opens
    Gguf,
}

/// Arguments of `kiln export`.
#[derive(Debug, Args)]
pub(crate) struct ExportArguments {
    /// A run, by folder or name; a checkpoint; a folder in Hugging Face's form; or a GGUF file
    model: PathBuf,

    #[command(flatten)]
    runs: RunsArguments,

    /// Which checkpoint of a run: best, last, or a number of steps
    #[arg(long, value_name = "WHICH", default_value = "best")]
    checkpoint: Which,

    #[command(flatten)]
    adapters: AdapterArguments,

    /// hf: a folder that Hugging Face's `transformers` opens; gguf: a file that `llama.cpp` opens
    #[arg(long, value_enum)]
    format: Format,

    /// How precise the matrices are written: f32, f16 or bf16, and in GGUF q8_0, q4_0 and the others of `kiln compress`
    /// [default: as the model has them]
    #[arg(long, value_name = "FORMAT", value_parser = packed_format)]
    precision: Option<kiln_packed::Format>,

    /// The folder or file to write, which must not be there
    #[arg(short, long, value_name = "PATH")]
    output: PathBuf,

    #[command(flatten)]
    device: DeviceArguments,
}

/// `kiln export`.
///
/// # Errors
/// A model that cannot be opened or has no counterpart, something at the output, or a disk that refuses.
pub(crate) fn export(arguments: &ExportArguments) -> anyhow::Result<()> {
    let output = &arguments.output;
    if output.as_os_str() == "-" {
        return Err(
            UsageError("a model goes into a file or a folder, not to stdout; name one by --output".into()).into()
        );
    }
    if output.exists() {
        return Err(UsageError(format!("`{}` is there already; choose another --output", output.display())).into());
    }
    let chosen = arguments.device.choose()?;
    let path = arguments.runs.find(&arguments.model)?;
    runs::refuse_no_model(&path, "export")?;
    let base = arguments.adapters.base(&arguments.runs)?;
    let opening = Opening { to_read: true, base: base.as_deref(), ..Opening::new(&chosen.device) };
    let saved = SavedModel::open_as(&path, arguments.checkpoint, opening)?;
    crate::runs::refuse_pairs(&saved, "export")?;
    if let Some(warning) = &saved.warning {
        say(&format!("warning: {warning}"));
    }
    let Written { family, notes } = match arguments.format {
        Format::Hf => fill(output, |folder| Ok(export_hugging_face(&saved, arguments.precision, folder)?))?,
        Format::Gguf => export_gguf(&saved, arguments.precision, output)?,
    };
    for note in notes {
        say(&format!("note: {note}"));
    }
    say(&format!("wrote {}, a {family} model", output.display()));
    Ok(())
}
