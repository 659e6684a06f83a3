//! `kiln study CONFIG`: what models do and why, measured, in one report. `kiln study attention MODEL`: where the heads
//! of a model look.

mod attention;
mod files;
mod shown;

use std::io::Write as _;
use std::path::{Path, PathBuf};

use anyhow::Context;
use burn::train::Interrupter;
use clap::{Args, Subcommand};
use kiln_settings::{Override, read_source};
use kiln_storage::layout::{CONFIG_FILE, SWEEP_FILE};
use kiln_study::{Study, StudyError, StudyFile, run};

use self::attention::AttentionArguments;
use self::files::Part;
use crate::arguments::{DeviceArguments, overriding};
use crate::exit::{Exit, UsageError};
use crate::kinds::{FileKind, refuse_others};
use crate::signals;
use crate::terminal::{progress_bar, say};
use crate::training_data::prepare;

/// Arguments of `kiln study`.
#[derive(Debug, Args)]
#[command(subcommand_negates_reqs = true, args_conflicts_with_subcommands = true, disable_help_subcommand = true)]
pub(crate) struct StudyArguments {
    /// The study, a TOML file (docs/study.md lists every key), or a list of studies
    #[arg(required = true)]
    config: Option<PathBuf>,

    /// Set a key of the study, for example `--set seeds=5`; may be repeated
    #[arg(long = "set", value_name = "KEY=VALUE", value_parser = overriding)]
    overrides: Vec<Override>,

    /// Folder for the report, the figures and the numbers [default: runs/ and the file's name]
    #[arg(long, value_name = "FOLDER")]
    output: Option<PathBuf>,

    #[command(flatten)]
    device: DeviceArguments,

    #[command(subcommand)]
    command: Option<StudyCommand>,
}

/// A study of a model that is there.
#[derive(Debug, Subcommand)]
enum StudyCommand {
    /// Show where each head of a model looks
    Attention(AttentionArguments),
}

/// `kiln study`.
pub(crate) fn study(arguments: &StudyArguments) -> anyhow::Result<Exit> {
    match (&arguments.command, &arguments.config) {
        (Some(StudyCommand::Attention(arguments)), _) => attention::attention(arguments).map(|()| Exit::Done),
        (None, Some(config)) => of_file(arguments, config),
        (None, None) => Err(UsageError("name a study, for example `configs/study/lecture.toml`".to_owned()).into()),
    }
}

fn of_file(arguments: &StudyArguments, path: &Path) -> anyhow::Result<Exit> {
    let (title, studies) = studies(path, &arguments.overrides)?;
    let chosen = arguments.device.choose()?;
    say(&format!("device: {}", chosen.description));
    let folder = arguments.output.clone().unwrap_or_else(|| Path::new("runs").join(stem(path)));
    if [CONFIG_FILE, SWEEP_FILE].iter().any(|file| folder.join(file).exists()) {
        let folder = folder.display();
        return Err(UsageError(format!("{folder} is the folder of a run or a sweep; name another by --output")).into());
    }
    std::fs::create_dir_all(&folder).with_context(|| format!("cannot create `{}`", folder.display()))?;
    let interrupter = Interrupter::new();
    let received = signals::watch(interrupter.clone())?;
    let bar = progress_bar(1000 * studies.len() as u64, "{msg:>28} [{bar:30}] {percent:>3} % {eta}");
    let mut parts: Vec<Part> = Vec::new();
    for (index, (name, study)) in studies.into_iter().enumerate() {
        bar.set_message(name.clone());
        let mut progress = |share: f64| {
            bar.set_position(1000 * index as u64 + (1000.0 * share) as u64);
            !interrupter.should_stop()
        };
        let text = match study.models.first() {
            Some(model) if study.needs_text() => Some(prepare(&study.training(&model.model, 0))?),
            _ => None,
        };
        let findings = match run(&study, text.as_ref(), &chosen.device, &mut progress) {
            Err(StudyError::Stopped) => break,
            findings => findings.with_context(|| format!("{name}.toml"))?,
        };
        let part = Part::new(name, study, findings);
        bar.suspend(|| print(&part.words()))?;
        part.write(&folder)?;
        parts.push(part);
    }
    bar.finish_and_clear();
    files::write_report(&folder, &title, &parts)?;
    say(&format!("report:  {}", folder.join(files::REPORT).display()));
    if interrupter.should_stop() {
        say(&format!("stopped; what was done is in {}", folder.display()));
        return Ok(received.exit());
    }
    Ok(Exit::Done)
}

/// The title of a file, and its studies with their names.
///
/// # Errors
/// When it, or the file of one of its studies, cannot be read, is wrong, or is of another kind.
pub(crate) fn studies(path: &Path, overrides: &[Override]) -> anyhow::Result<(String, Vec<(String, Study)>)> {
    let open = |path: &Path, overrides: &[Override]| -> anyhow::Result<StudyFile> {
        let of_this_kind = [FileKind::Study, FileKind::Studies];
        refuse_others(&read_source(path)?, overrides, &of_this_kind).map_err(kiln_settings::ConfigFileError::from)?;
        Ok(StudyFile::open(path, overrides)?)
    };
    let lecture = match open(path, overrides)? {
        StudyFile::Study(study) => return Ok((study.title.clone(), vec![(stem(path), *study)])),
        StudyFile::Lecture(lecture) => lecture,
    };
    let folder = path.parent().unwrap_or(Path::new(""));
    let mut studies: Vec<(String, Study)> = Vec::new();
    for file in &lecture.studies {
        let path = folder.join(file);
        let StudyFile::Study(study) = open(&path, &[])? else {
            let words = format!("{} is a list of studies itself; name studies", path.display());
            return Err(UsageError(words).into());
        };
        let name = stem(&path);
        // The files of a study are named after its own.
        if studies.iter().any(|(other, _)| *other == name) {
            return Err(UsageError(format!("two of the studies are named `{name}`; rename one")).into());
        }
        studies.push((name, *study));
    }
    Ok((lecture.title, studies))
}

fn stem(path: &Path) -> String {
    path.file_stem().unwrap_or_default().to_string_lossy().into_owned()
}

fn print(text: &str) -> anyhow::Result<()> {
    let mut stdout = std::io::stdout().lock();
    stdout.write_all(text.as_bytes())?;
    Ok(stdout.flush()?)
}
