//! `kiln compress MODEL --run NAME`: a smaller model of a model. `kiln compress --report CONFIG`: several, compared.

mod calibrating;
mod report;
mod words;

use std::path::{Path, PathBuf};

use burn::tensor::Device;
use clap::Args;
use kiln_compression::{CompressConfig, CompressionError, compress as compress_model};
use kiln_models::saved::SavedModel;
use kiln_settings::{Override, Source, read_source};
use kiln_storage::Which;

pub(crate) use self::report::ReportConfig;
use crate::arguments::{DeviceArguments, RunsArguments, overriding};
use crate::exit::Exit;
use crate::folders::write_made;
use crate::runs::{self, config_of, quoted};
use crate::terminal::{progress_bar, say};

const REPORT: &str = "Report";

/// Arguments of `kiln compress`.
#[derive(Debug, Args)]
#[command(mut_arg("device", |argument| {
    argument.help("Where models are trained that the report wants and that aren't there").help_heading(REPORT)
        .conflicts_with_all(["model", "run"])
}))]
pub(crate) struct CompressArguments {
    /// A run, by folder or name; a checkpoint; a folder in Hugging Face's form; or a GGUF file
    #[arg(required_unless_present = "report")]
    model: Option<PathBuf>,

    #[command(flatten)]
    runs: RunsArguments,

    /// Which checkpoint of a run: best, last, or a number of steps
    #[arg(long, value_name = "WHICH", default_value = "best")]
    checkpoint: Which,

    /// The name of the run to write
    #[arg(long, value_name = "NAME", required_unless_present = "report")]
    run: Option<String>,

    /// What is to be done, a TOML file (docs/compress.md)
    #[arg(long, value_name = "FILE")]
    settings: Option<PathBuf>,

    /// Same as `--set quantize.format=FORMAT`: q8_0, q6_k, q5_k, q5_1, q5_0, q4_k, q4_1, q4_0, bf16, f16
    #[arg(long, value_name = "FORMAT")]
    format: Option<String>,

    /// Same as `--set quantize.method=METHOD`: nearest, importance or gptq
    #[arg(long, value_name = "METHOD")]
    method: Option<String>,

    /// Another format for the parts of this pattern, for example `blocks.0.*=q8_0`; may be repeated
    #[arg(long, value_name = "PATTERN=FORMAT")]
    part: Vec<String>,

    /// Same as `--set calibration=FILE`: a text like those that the model is for [default: the training text of a run]
    #[arg(long, value_name = "FILE")]
    calibration: Option<String>,

    /// Make the report of this file instead: models in several forms, their quality against their size and speed
    #[arg(
        long, value_name = "CONFIG", help_heading = REPORT,
        conflicts_with_all = ["model", "run", "settings", "format", "method", "part", "calibration", "checkpoint"]
    )]
    report: Option<PathBuf>,

    /// The folder of the report, which must not be there [default: among the runs, by the name of the file]
    #[arg(long, value_name = "FOLDER", help_heading = REPORT, conflicts_with_all = ["model", "run"])]
    output: Option<PathBuf>,

    /// For models that the report trains first
    #[command(flatten)]
    device: DeviceArguments,

    /// Set a key of the settings, for example `quantize.method=gptq`; may be repeated
    #[arg(long = "set", value_name = "KEY=VALUE", value_parser = overriding)]
    overrides: Vec<Override>,

    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// `kiln compress`.
///
/// # Errors
/// Settings that are wrong or don't fit the model, a model that cannot be opened, a run of this name that is there, or
/// a disk that refuses. Nothing is written then.
pub(crate) fn compress(arguments: &CompressArguments) -> anyhow::Result<Exit> {
    match (&arguments.report, &arguments.model, &arguments.run) {
        (Some(file), ..) => report::report(arguments, file),
        (None, Some(model), Some(run)) => of_model(arguments, model, run).map(|()| Exit::Done),
        // The parser asks for both.
        (None, ..) => Ok(Exit::Usage),
    }
}

fn of_model(arguments: &CompressArguments, model: &Path, run: &str) -> anyhow::Result<()> {
    let folder = runs::new_run(&arguments.runs, run)?;
    let config = arguments.config()?;
    let path = arguments.runs.find(model)?;
    runs::refuse_no_model(&path, "compress")?;
    // Its parts are packed on the CPU, where models of them are read with.
    let mut saved = SavedModel::open(&path, arguments.checkpoint, &Device::flex())?;
    crate::runs::refuse_pairs(&saved, "compress")?;
    if let Some(warning) = &saved.warning {
        say(&format!("warning: {warning}"));
    }
    if saved.merge() {
        say("merged its adapters into its matrices");
    }
    let run_config = config_of(&saved)?;
    let calibration = calibrating::read(&saved, run_config.as_ref(), &config)?;
    let before = saved.model.bytes_of_matrices();
    let bar = progress_bar(1, "[{bar:30}] {pos}/{len} {msg}");
    let (description, context) = (&mut saved.description.model, saved.description.context);
    let outcome = compress_model(&mut saved.model, description, context, &config, &calibration, &mut |stage| {
        bar.set_length(stage.all as u64);
        bar.set_position(stage.done as u64);
        bar.set_message(stage.what.to_owned());
        true
    });
    bar.finish_and_clear();
    let outcome = outcome.map_err(|error| match error {
        CompressionError::NoCalibration { .. } => anyhow::Error::from(error).context(calibrating::NO_TEXT),
        other => other.into(),
    })?;
    saved.description.compressed.extend(config.words());
    saved.description.ranks.extend(outcome.ranks.iter().map(|product| (product.name.clone(), product.rank)));
    write_made(&saved, run_config, &folder)?;
    words::print(&outcome, before, &saved, &folder, arguments.json)?;
    if !arguments.json {
        let name = quoted(&folder.to_string_lossy());
        say(&format!(
            "wrote {}; `kiln sample {name}` writes with it, `kiln eval {name}` measures it",
            folder.display()
        ));
    }
    Ok(())
}

impl CompressArguments {
    fn config(&self) -> anyhow::Result<CompressConfig> {
        let source = match &self.settings {
            Some(path) => read_source(path)?,
            None => Source::new("the command line", ""),
        };
        let parts = (!self.part.is_empty()).then(|| format!("{:?}", self.part));
        let short = [
            ("--format", "quantize.format", &self.format),
            ("--method", "quantize.method", &self.method),
            ("--part", "quantize.parts", &parts),
            ("--calibration", "calibration", &self.calibration),
        ];
        let set = short.into_iter().filter_map(|(name, key, value)| {
            let (name, key, value) = (name.to_owned(), key.to_owned(), value.clone()?);
            Some(Override { name, key, value })
        });
        let overrides: Vec<Override> = set.chain(self.overrides.iter().cloned()).collect();
        Ok(CompressConfig::read(&source, &overrides)?)
    }
}
