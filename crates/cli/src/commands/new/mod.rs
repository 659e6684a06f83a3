//! `kiln new NAME`: writes a configuration for a person's own text.
//!
//! [`text`] looks at the text, [`ladder`] has the sizes of a family, [`measure`] times their updates on the device,
//! [`plan`] chooses by rules that stand beside it, and [`written`] says all of it in the file.

mod ladder;
mod measure;
mod plan;
mod text;
mod written;

use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::{Args, ValueEnum};
use kiln_settings::{ConfigFileError, Override, Source};
use kiln_storage::{DiskFiles, write_file_atomically};
use kiln_training::config::Config;

use self::ladder::Size;
use self::measure::Measured;
use self::plan::Plan;
use self::text::Text;
use crate::arguments::DeviceArguments;
use crate::device::Chosen;
use crate::exit::UsageError;
use crate::piped::{self, is_piped};
use crate::runs::quoted;
use crate::terminal::say;
use crate::training_display::{duration, grouped};

/// How long a run may take where nobody says.
pub(crate) const MINUTES: f64 = 5.0;

/// A week.
const MOST_MINUTES: f64 = 7.0 * 24.0 * 60.0;

/// Arguments of `kiln new`.
#[derive(Debug, Args)]
#[command(after_help = ABOUT_THE_CHOICES)]
pub(crate) struct NewArguments {
    /// Name of the configuration: `NAME.toml` is written
    name: PathBuf,

    /// The text: UTF-8 files; of several, each is a document. What comes through a pipe (`-` is stdin) is saved as
    /// `NAME.txt` [default: a start to be edited]
    #[arg(long, value_name = "FILE", num_args = 1..)]
    text: Vec<String>,

    /// How long training may take on this machine, in minutes
    #[arg(long, value_name = "N", default_value_t = MINUTES, value_parser = minutes, requires = "text")]
    minutes: f64,

    /// Which family of models
    #[arg(long, value_enum, default_value_t = Family::Transformer)]
    family: Family,

    #[command(flatten)]
    device: DeviceArguments,

    /// Replace the file if it exists
    #[arg(long)]
    force: bool,
}

const ABOUT_THE_CHOICES: &str = "\
Of a ladder of sizes, the one is chosen whose loss is expected to be lowest when the minutes are over, given how long \
updates take here and how often the text is read. The comments of the file give every choice with its source. `kiln \
train book.txt` does the same with the defaults, and trains.";

/// A kind of model that a configuration can be written for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Family {
    Transformer,
    Lstm,
    Gru,
    Rnn,
}

fn minutes(argument: &str) -> Result<f64, String> {
    let minutes: f64 = argument.parse().map_err(|_| "give a number of minutes, for example 5".to_owned())?;
    if (0.1..=MOST_MINUTES).contains(&minutes) {
        return Ok(minutes);
    }
    Err(format!(
        "give 0.1 to {MOST_MINUTES} minutes, which is a week: beyond, what a few seconds of timing tell is not enough; \
         `run.steps` in the file trains for longer"
    ))
}

/// `kiln new`.
///
/// # Errors
/// A file that is there already, a text that cannot be trained on, a device that fails.
pub(crate) fn new(arguments: &NewArguments) -> anyhow::Result<()> {
    let path = toml_path(&arguments.name)?;
    refuse_to_replace(&path, arguments.force)?;
    let text = match arguments.text.as_slice() {
        [] => written::start(arguments.family),
        files => {
            let (files, saved) = save_piped(files, &path, arguments.force)?;
            let text = Text::read(&relative_to_configuration(&files, &path)).inspect_err(|_| {
                // What cannot be trained on is of no use.
                saved.iter().for_each(|file| drop(std::fs::remove_file(file)));
            })?;
            for_text(&text, arguments.minutes, arguments.family, &arguments.device.open()?)?
        }
    };
    write(&path, &text)?;
    let file = quoted(&path.to_string_lossy());
    say(&format!("wrote {file}; every choice is explained in it"));
    if arguments.text.is_empty() {
        say("put the path of your text into it, then");
    }
    say(&format!("train it:         kiln train {file}"));
    Ok(())
}

/// Makes sure that what is set for a configuration which has yet to be written can be set in it, before sizes are
/// timed.
///
/// # Errors
/// What is mistyped.
pub(crate) fn check_settings(overrides: &[Override]) -> Result<(), ConfigFileError> {
    let like = Source::new("the new configuration", written::start(Family::Transformer));
    Ok(Config::check_kinds(&like, overrides)?)
}

/// Writes the configuration for a text that is to be trained on at once, and says where.
///
/// # Errors
/// As [`new`].
pub(crate) fn write_for(path: &Path, text: &Path, chosen: &Chosen) -> anyhow::Result<()> {
    refuse_to_replace(path, false)?;
    let text = Text::read(&[text.to_string_lossy().into_owned()])?;
    let text = for_text(&text, MINUTES, Family::Transformer, chosen)?;
    write(path, &text)?;
    say(&format!("wrote {}, the configuration of this run; every choice is explained in it", path.display()));
    Ok(())
}

/// The configuration for a text.
fn for_text(text: &Text, minutes: f64, family: Family, chosen: &Chosen) -> anyhow::Result<String> {
    if text.lines == 1 {
        say("the text is a single line, so no sample can begin with a new one; that is no hindrance to training");
    }
    let is_gpu = !["cpu", "ndarray"].contains(&chosen.name.as_str());
    let mut plan = Plan::new(text, minutes, family, is_gpu);
    let (tried, best) = measure::choose(&mut plan, ladder::sizes(family), text, chosen)?;
    let contents = written::configuration(&plan, text, &tried, &best, chosen);
    describe(&plan, text, tried.len(), &best);
    // What is written must be what the reader takes.
    Config::read(&Source::new("the new configuration", contents.as_str()), &[])?;
    Ok(contents)
}

fn describe(plan: &Plan, text: &Text, tried: usize, best: &Measured) {
    say(&format!(
        "text: {} characters; tokens: {}, {} of them to train on",
        grouped(text.characters),
        written::tokens_words(plan),
        grouped(best.training_tokens)
    ));
    say(&format!(
        "model: {}, {} parameters, the best of {tried} sizes that were timed",
        plan.size.words(plan.family),
        grouped(best.parameters)
    ));
    say(&format!(
        "run: {} updates of {:.1} ms, {:.1} passes over the text, about {}",
        grouped(plan.steps),
        1e3 * best.seconds,
        plan.passes(best),
        duration(plan.expected_seconds(best))
    ));
}

/// `NAME.toml`, where NAME may have the ending already.
fn toml_path(name: &Path) -> Result<PathBuf, UsageError> {
    if name.file_name().is_none() {
        return Err(UsageError(format!("{} is no name of a file; give one, for example `mine`", name.display())));
    }
    if name.extension().is_some_and(|ending| ending == "toml") {
        return Ok(name.to_path_buf());
    }
    let mut path = name.as_os_str().to_owned();
    path.push(".toml");
    Ok(path.into())
}

fn refuse_to_replace(path: &Path, force: bool) -> Result<(), UsageError> {
    if force || !path.exists() {
        return Ok(());
    }
    Err(UsageError(format!("{} is there already; give another name, or `--force` to replace it", path.display())))
}

/// The files with those in the place of pipes that they were saved to, beside the configuration at `path`; and these
/// alone. A run reads its text more than once.
fn save_piped(files: &[String], path: &Path, force: bool) -> anyhow::Result<(Vec<String>, Vec<PathBuf>)> {
    let (mut all, mut saved) = (Vec::new(), Vec::<PathBuf>::new());
    for file in files {
        if !is_piped(Path::new(file)) {
            all.push(file.clone());
            continue;
        }
        let number = saved.len() + 1;
        let ending = if number == 1 { "txt".to_owned() } else { format!("{number}.txt") };
        let to = path.with_extension(ending);
        refuse_to_replace(&to, force)?;
        piped::save(Path::new(file), &to)?;
        say(&format!("saved {} as {}", piped::name(Path::new(file)), quoted(&to.to_string_lossy())));
        all.push(to.to_string_lossy().into_owned());
        saved.push(to);
    }
    Ok((all, saved))
}

/// The files as a configuration at `path` must name them: those beside it as they are, else by their whole path.
fn relative_to_configuration(files: &[String], path: &Path) -> Vec<String> {
    let is_here = path.parent().is_none_or(|folder| folder.as_os_str().is_empty());
    let absolute = |file: &String| match std::path::absolute(file) {
        Ok(whole) if !is_here => whole.to_string_lossy().into_owned(),
        _ => file.clone(),
    };
    files.iter().map(absolute).collect()
}

fn write(path: &Path, contents: &str) -> anyhow::Result<()> {
    if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        std::fs::create_dir_all(folder).with_context(|| format!("cannot make the folder {}", folder.display()))?;
    }
    Ok(write_file_atomically(&DiskFiles, path, contents.as_bytes())?)
}

impl Size {
    /// `transformer of 3 layers of width 96`
    fn words(self, family: Family) -> String {
        let unit = if family == Family::Transformer { "width" } else { "hidden size" };
        format!("{} of {} layers of {unit} {}", family.name(), self.layers, self.width)
    }
}

impl Family {
    fn name(self) -> &'static str {
        match self {
            Self::Transformer => "transformer",
            Self::Lstm => "lstm",
            Self::Gru => "gru",
            Self::Rnn => "rnn",
        }
    }
}
