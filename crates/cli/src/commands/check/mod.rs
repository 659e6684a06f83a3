//! `kiln check`: whether a configuration is valid, and what its run would need. Writes nothing.

mod lab;
mod report;
mod speed;
mod study;
mod sweep;
mod text;
mod words;

use std::collections::BTreeMap;
use std::io::{self, Write};

use clap::Args;
use kiln_settings::{ConfigFileError, Source, read_source};
use kiln_training::config::{Config, Sweep};
use kiln_training::estimate::Estimate;
use kiln_training::misleading::{TextNumbers, copied, misleading, unreadable_prompts};
use serde::Serialize;

use self::lab::LabReport;
use self::report::{Report, Time};
use self::study::StudyReport;
use self::sweep::SweepReport;
use self::text::{TextFacts, Vocabulary};
use crate::arguments::ConfigArguments;
use crate::beginnings::look_among_runs;
use crate::commands::ReportConfig;
use crate::device::{self, Chosen};
use crate::kinds::FileKind;
use crate::training_data;

/// Arguments of `kiln check`.
#[derive(Debug, Args)]
pub(crate) struct CheckArguments {
    #[command(flatten)]
    config: ConfigArguments,

    /// The device that time and memory are estimated for, named as `kiln devices` lists them
    #[arg(long, default_value = "cpu")]
    device: String,

    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// How much longer training takes than its matrix products alone would at the speed of the product that is measured:
/// the geometric mean over the configurations of `configs/bench`, `configs/shakespeare` (but for the GPU) and the
/// quickstart of the milliseconds of `kiln bench train` over those of the products, measured on two cores of an AMD
/// EPYC server with AVX2 (2026-11-26) that other programs used, too. It was between 0.8 and 2.3, so that the estimate
/// met all of them within a factor of two.
const BEYOND_PRODUCTS: f64 = 1.3;

/// What each operation costs that no arithmetic explains, about; the smallest models feel it.
const SECONDS_TO_START: f64 = 10e-6;

/// Runs the command.
///
/// # Errors
/// When the configuration is wrong, or a file that it names is.
pub(crate) fn check(arguments: &CheckArguments) -> anyhow::Result<()> {
    let (path, overrides) = (&arguments.config.config, &arguments.config.overrides);
    let device = device::choose(&arguments.device)?;
    let source = read_source(path)?;
    match FileKind::of(&source) {
        Some(FileKind::Experiment | FileKind::Lecture) => {
            let report = LabReport::of(path, overrides)?;
            print(arguments.json, &report, || report.words())
        }
        Some(FileKind::Study | FileKind::Studies) => {
            let report = StudyReport::of(path, overrides)?;
            print(arguments.json, &report, || report.words())
        }
        Some(FileKind::Compression) => {
            let config = ReportConfig::open(path, overrides)?;
            let counted = |count: usize, what: &str| format!("{count} {what}{}", if count == 1 { "" } else { "s" });
            let (models, variants) = (counted(config.models.len(), "model"), counted(config.variants.len(), "variant"));
            print(arguments.json, &config, || format!("{} is valid: {models}, {variants} of each\n", source.name))
        }
        Some(FileKind::Race | FileKind::Sweep) => {
            let sweep = Sweep::read(&source, overrides).map_err(ConfigFileError::from)?;
            check_sweep(arguments, &device, &source, sweep)
        }
        Some(FileKind::Run) | None => match (arguments.config.read(&source), Sweep::read(&source, overrides)) {
            // Several values are set.
            (Err(_), Ok(sweep)) => check_sweep(arguments, &device, &source, sweep),
            (config, _) => check_run(arguments, &device, &config?),
        },
    }
}

fn check_run(arguments: &CheckArguments, device: &Chosen, config: &Config) -> anyhow::Result<()> {
    let report = report(arguments, config, device, &mut Speeds::default())?;
    let words = || words::describe(&report, config, device);
    print(arguments.json, &report, words)
}

/// Prints the report, as JSON or in words.
fn print(json: bool, report: &impl Serialize, words: impl Fn() -> String) -> anyhow::Result<()> {
    let mut stdout = io::stdout().lock();
    if json {
        serde_json::to_writer_pretty(&mut stdout, report)?;
        writeln!(stdout)?;
    } else {
        stdout.write_all(words().as_bytes())?;
    }
    Ok(stdout.flush()?)
}

/// The same of a race or a sweep: every entrant.
fn check_sweep(arguments: &CheckArguments, device: &Chosen, source: &Source, sweep: Sweep) -> anyhow::Result<()> {
    let mut sweep = sweep.look_beside(&arguments.config.config, &arguments.config.overrides);
    sweep.entrants.iter_mut().for_each(|entrant| look_among_runs(&mut entrant.config));
    let mut speeds = Speeds::default();
    let reports: Vec<Report> = sweep
        .entrants
        .iter()
        .map(|entrant| report(arguments, &entrant.config, device, &mut speeds))
        .collect::<anyhow::Result<_>>()?;
    let report = SweepReport::new(source.name.clone(), device.words(), &sweep, reports);
    print(arguments.json, &report, || report.words())
}

/// How fast products of each size run, measured once.
type Speeds = BTreeMap<[usize; 3], f64>;

fn report(arguments: &CheckArguments, config: &Config, device: &Chosen, speeds: &mut Speeds) -> anyhow::Result<Report> {
    let text = TextFacts::find(config)?;
    let vocabulary = Vocabulary::find(config, &text)?;
    text.fits(config)?;
    let needs = vocabulary.size.map(|size| Estimate::new(config, size));
    let parameters_of =
        |size| config.model.parameters(size, config.run.context).iter().map(|part| part.count).sum::<u64>();
    let parameters_per_token = parameters_of(2) - parameters_of(1);
    let tokens = text.training_tokens(config);
    let numbers = TextNumbers {
        training_tokens: tokens,
        vocabulary: vocabulary.size,
        documents: text.documents(),
        separators: text.separators(),
    };
    let time = needs.as_ref().map(|needs| expected_time(config, needs, device, speeds)).transpose()?;
    let prompts = vocabulary.tokenizer.iter().flat_map(|tokenizer| unreadable_prompts(config, tokenizer));
    let copied = copied(config, &training_data::cache_folder()?);
    let warnings = misleading(config, &numbers).into_iter().chain(copied).chain(prompts).chain(text.too_short(config));
    let warnings = text.wrong_lines().into_iter().chain(warnings);
    Ok(Report {
        config: arguments.config.config.display().to_string(),
        model: config.model.name(),
        parameters: needs.as_ref().map(|needs| needs.parameters),
        parameters_per_token,
        fixed_parameters: parameters_of(1) - parameters_per_token,
        warnings: warnings.collect(),
        passes: needs.as_ref().zip(tokens).map(|(needs, tokens)| needs.tokens as f64 / tokens.max(1) as f64),
        vocabulary,
        text,
        needs,
        time,
    })
}

fn expected_time(config: &Config, needs: &Estimate, chosen: &Chosen, speeds: &mut Speeds) -> anyhow::Result<Time> {
    let product = speed::typical_product(config);
    let flops_per_second = match speeds.get(&product) {
        Some(speed) => *speed,
        None => speed::measure(&chosen.device, product)?,
    };
    speeds.insert(product, flops_per_second);
    let batches = config.run.steps as f64 * config.run.accumulate as f64;
    let starting = SECONDS_TO_START * speed::operations_started(config) * batches;
    let seconds = BEYOND_PRODUCTS * needs.training_flops / flops_per_second + starting;
    Ok(Time { device: chosen.description.clone(), flops_per_second, product, seconds })
}
