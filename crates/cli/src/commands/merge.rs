//! `kiln merge MODEL --run NAME`: one model of a model and its adapters.

use std::path::PathBuf;

use burn::tensor::Device;
use clap::Args;
use kiln_models::saved::{Opening, SavedModel};
use kiln_storage::Which;

use crate::adapters::AdapterArguments;
use crate::arguments::RunsArguments;
use crate::exit::UsageError;
use crate::folders::write_made;
use crate::runs::{self, config_of, quoted};
use crate::terminal::say;

/// Arguments of `kiln merge`.
#[derive(Debug, Args)]
pub(crate) struct MergeArguments {
    /// A run that was trained with `[adapter]`, by folder or name; or a checkpoint
    model: PathBuf,

    #[command(flatten)]
    runs: RunsArguments,

    /// Which checkpoint of a run: best, last, or a number of steps
    #[arg(long, value_name = "WHICH", default_value = "best")]
    checkpoint: Which,

    #[command(flatten)]
    adapters: AdapterArguments,

    /// The name of the run to write
    #[arg(long, value_name = "NAME")]
    run: String,
}

/// `kiln merge`.
///
/// # Errors
/// A model that cannot be opened or has no adapters, a run of this name that is there, or a disk that refuses. Nothing
/// is written then.
pub(crate) fn merge(arguments: &MergeArguments) -> anyhow::Result<()> {
    let folder = runs::new_run(&arguments.runs, &arguments.run)?;
    let path = arguments.runs.find(&arguments.model)?;
    runs::refuse_no_model(&path, "merge")?;
    let base = arguments.adapters.base(&arguments.runs)?;
    let device = Device::flex();
    let opening = Opening { base: base.as_deref(), ..Opening::new(&device) };
    let mut saved = SavedModel::open_as(&path, arguments.checkpoint, opening)?;
    if let Some(warning) = &saved.warning {
        say(&format!("warning: {warning}"));
    }
    if !saved.merge() {
        let path = quoted(&path.to_string_lossy());
        return Err(UsageError(format!(
            "{path} has no adapters, so that there is nothing to merge; `[adapter.lora]` in a configuration trains some"
        ))
        .into());
    }
    let run_config = config_of(&saved)?;
    write_made(&saved, run_config, &folder)?;
    let name = quoted(&folder.to_string_lossy());
    say(&format!("wrote {}; `kiln sample {name}` writes with it, `kiln export {name}` exports it", folder.display()));
    Ok(())
}
