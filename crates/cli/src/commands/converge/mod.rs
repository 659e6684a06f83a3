//! `kiln converge CONFIG`: runs gradient descent on problems whose constants are known, and compares it with its
//! theorems.

mod files;
mod forecast;
mod made;
mod page;
mod pictures;
mod plane;
mod theorems;
mod words;

use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::Context;
use burn::train::Interrupter;
use clap::Args;
use kiln_convergence::data::DataConfig;
use kiln_convergence::problem::ProblemConfig;
use kiln_convergence::{Arithmetic, CurveConfig, CurveOutcome, Experiment, LabError, LabFile, Lecture, Verdict};
use kiln_settings::{ConfigFileError, Override, read_source};
use kiln_storage::layout::{CONFIG_FILE, SWEEP_FILE};

use self::forecast::Forecast;
use self::made::{Drawn, Made};
use crate::arguments::ConfigArguments;
use crate::device::choose;
use crate::exit::{Exit, UsageError};
use crate::kinds::{FileKind, refuse_others};
use crate::signals;
use crate::terminal::{progress_bar, say};

/// Arguments of `kiln converge`.
#[derive(Debug, Args)]
#[command(mut_arg("overrides", |argument| {
    argument.help("Set a key of the experiment, for example `--set steps=1000`; may be repeated")
}))]
pub(crate) struct ConvergeArguments {
    #[command(flatten)]
    config: ConfigArguments,

    /// Where to compute (only processors have double precision): cpu, ndarray, auto, wgpu[:N], vulkan[:N], cuda[:N],
    /// rocm[:N], metal
    #[arg(long, default_value = "cpu")]
    device: String,

    /// Folder for the report, the figures and the numbers [default: runs/ and the configuration file's name]
    #[arg(long, value_name = "FOLDER")]
    output: Option<PathBuf>,
}

/// `kiln converge`.
pub(crate) fn converge(arguments: &ConvergeArguments) -> anyhow::Result<Exit> {
    let path = &arguments.config.config;
    let (title, experiments) = experiments(path, &arguments.config.overrides)?;
    let chosen = choose(&arguments.device)?;
    say(&format!("device: {}", chosen.description));
    let arithmetic = Arithmetic::of(chosen.device);
    if !arithmetic.is_double() {
        say("this device has no double precision: errors below about 1e-7 of the first one are rounding");
    }
    let folder = arguments.output.clone().unwrap_or_else(|| Path::new("runs").join(stem(path)));
    if [CONFIG_FILE, SWEEP_FILE].iter().any(|file| folder.join(file).exists()) {
        let folder = folder.display();
        return Err(UsageError(format!("{folder} is the folder of a run or a sweep; name another by --output")).into());
    }
    let is_new = !folder.exists();
    std::fs::create_dir_all(&folder).with_context(|| format!("cannot create `{}`", folder.display()))?;
    let interrupter = Interrupter::new();
    let received = signals::watch(interrupter.clone())?;
    let made = make(experiments, &arithmetic, &folder, &interrupter).inspect_err(|_| {
        if is_new {
            // One with something in it stays.
            let _ = std::fs::remove_dir(&folder);
        }
    })?;
    files::write_report(&folder, &title, &made)?;
    say(&format!("report:  {}", folder.join(files::REPORT).display()));
    if interrupter.should_stop() {
        say(&format!("stopped; what was done is in {}", folder.display()));
        return Ok(received.exit());
    }
    let failures: Vec<String> = made.iter().flat_map(|drawn| failures(&drawn.made)).collect();
    for failure in &failures {
        say(&format!("error: {failure}"));
    }
    Ok(if failures.is_empty() { Exit::Done } else { Exit::Diverged })
}

/// The title of a file of the lab, and its experiments with their names.
///
/// # Errors
/// When it, or the file of one of its experiments, cannot be read, is wrong, or is of another kind.
pub(crate) fn experiments(path: &Path, overrides: &[Override]) -> anyhow::Result<(String, Vec<(String, Experiment)>)> {
    Ok(match open(path, overrides)? {
        LabFile::Experiment(mut experiment) => {
            if !overrides.iter().any(|set| set.key.ends_with("csv.path")) {
                look_beside(&mut experiment, path);
            }
            (experiment.title.clone(), vec![(stem(path), *experiment)])
        }
        LabFile::Lecture(lecture) => (lecture.title.clone(), experiments_of(&lecture, path)?),
    })
}

fn open(path: &Path, overrides: &[Override]) -> Result<LabFile, ConfigFileError> {
    refuse_others(&read_source(path)?, overrides, &FileKind::LAB)?;
    LabFile::open(path, overrides)
}

/// Takes data files that lie beside the file of the experiment from there; others are looked for in the current folder.
fn look_beside(experiment: &mut Experiment, file: &Path) {
    let folder = file.parent().unwrap_or(Path::new(""));
    let of_curves = experiment.curves.iter_mut().filter_map(|curve| curve.problem.as_mut());
    for problem in experiment.problem.iter_mut().chain(of_curves) {
        let data = match problem {
            ProblemConfig::Quadratic(_) => continue,
            ProblemConfig::LinearRegression(config) => &mut config.data,
            ProblemConfig::LogisticRegression(config) => &mut config.data,
            ProblemConfig::RobustRegression(config) => &mut config.data,
            ProblemConfig::NeuralNetwork(config) => &mut config.data,
        };
        if let DataConfig::Csv(csv) = data {
            let beside = folder.join(&csv.path);
            if beside.exists() {
                csv.path = beside.to_string_lossy().into_owned();
            }
        }
    }
}

/// The experiments of a lecture, in its order.
fn experiments_of(lecture: &Lecture, path: &Path) -> anyhow::Result<Vec<(String, Experiment)>> {
    let folder = path.parent().unwrap_or(Path::new(""));
    let of_file = |file: &String| -> anyhow::Result<(String, Experiment)> {
        let path = folder.join(file);
        match open(&path, &[])? {
            LabFile::Experiment(mut experiment) => {
                look_beside(&mut experiment, &path);
                Ok((stem(&path), *experiment))
            }
            LabFile::Lecture(_) => {
                Err(UsageError(format!("{} is a list of experiments itself; name experiments", path.display())).into())
            }
        }
    };
    let experiments: Vec<(String, Experiment)> =
        lecture.experiments.iter().map(of_file).collect::<anyhow::Result<_>>()?;
    // The files of an experiment are named after its own.
    let mut names: Vec<&String> = experiments.iter().map(|(name, _)| name).collect();
    names.sort();
    match names.windows(2).find(|pair| pair[0] == pair[1]) {
        None => Ok(experiments),
        Some(pair) => Err(UsageError(format!("two of the experiments are named `{}`; rename one", pair[0])).into()),
    }
}

fn stem(path: &Path) -> String {
    path.file_stem().unwrap_or_default().to_string_lossy().into_owned()
}

/// Makes the experiments one after the other, with a bar on a terminal. Each is printed and written when it is made, so
/// that a later one cannot take it away.
fn make(
    experiments: Vec<(String, Experiment)>,
    arithmetic: &Arithmetic,
    folder: &Path,
    interrupter: &Interrupter,
) -> anyhow::Result<Vec<Drawn>> {
    let total = experiments.iter().map(|(_, experiment)| experiment.updates()).sum();
    let bar = progress_bar(total, "{msg:>28} [{bar:30}] {percent:>3} % {eta}");
    let mut before = 0;
    let mut drawn = Vec::new();
    for (name, experiment) in experiments {
        bar.set_message(name.clone());
        let mut forecast = Forecast::new();
        let outcome = kiln_convergence::run(&experiment, arithmetic, &mut |progress| {
            bar.set_position(before + progress.done);
            if let Some(words) = forecast.words(progress, Instant::now()) {
                bar.suspend(|| say(&format!("{name}: {words}")));
            }
            !interrupter.should_stop()
        });
        let outcome = match outcome {
            Err(LabError::Stopped) => break,
            outcome => outcome.with_context(|| format!("{name}.toml"))?,
        };
        before += experiment.updates();
        let made = Made { name, experiment, outcome };
        bar.suspend(|| print(&words::report(&made)))?;
        drawn.push(files::write(folder, made)?);
    }
    bar.finish_and_clear();
    Ok(drawn)
}

/// What is said of a theorem that fails.
const ABOVE: &str = "is above the bound of its theorem: a constant is wrong, or the program is";

/// What makes a run of the lab a failure: curves that diverged and were not meant to, and bounds that were broken.
fn failures(made: &Made) -> Vec<String> {
    let curves = made.experiment.curves.iter().zip(&made.outcome.curves);
    let failure = |(config, curve): (&CurveConfig, &CurveOutcome)| {
        let what = match curve.verdict {
            Verdict::Diverged { .. } if !config.diverges => {
                "diverged; if it is meant to, set `diverges = true` in its table"
            }
            Verdict::Broken { .. } => ABOVE,
            Verdict::NoTheorem if curve.breaks_known_smoothness() => ABOVE,
            _ => return None,
        };
        Some(format!("{}: `{}` {what}", made.name, config.label))
    };
    curves.filter_map(failure).collect()
}

fn print(text: &str) -> anyhow::Result<()> {
    let mut stdout = std::io::stdout().lock();
    stdout.write_all(text.as_bytes())?;
    Ok(stdout.flush()?)
}

#[cfg(test)]
mod tests {
    use burn::tensor::Device;
    use kiln_settings::Source;

    use super::*;

    #[test]
    fn a_broken_bound_and_a_divergence_that_was_not_meant_fail_a_run() {
        let curve = |label: &str| format!("[[curves]]\nlabel = {label:?}\n[curves.schedule.constant]\nrate = 0.5\n");
        let text = format!(
            "title = \"test\"\nsteps = 10\n[problem.quadratic]\nspectrum = [1.0]\n{}{}{}diverges = true\n",
            curve("bound"),
            curve("diverged"),
            "[[curves]]\nlabel = \"meant\"\nschedule.constant.rate = 0.5\n"
        );
        let experiment =
            Experiment::read(&Source::new("test.toml", text), &[]).unwrap_or_else(|errors| panic!("{errors}"));
        let outcome = kiln_convergence::run(&experiment, &Arithmetic::of(Device::flex()), &mut |_| true).unwrap();
        let mut made = Made { name: "test".into(), experiment, outcome };
        assert_eq!(failures(&made), Vec::<String>::new());
        made.outcome.curves[0].verdict = Verdict::Broken { step: 1, error: 2.0, bound: 1.0, updates: 3 };
        for index in [1, 2] {
            made.outcome.curves[index].verdict = Verdict::Diverged { step: 1, rate: 3.0, limit: Some(2.0) };
        }
        let [bound, diverged] = &failures(&made)[..] else { panic!("{:?}", failures(&made)) };
        assert!(bound.starts_with("test: `bound` is above the bound"), "{bound}");
        assert!(diverged.starts_with("test: `diverged` diverged"), "{diverged}");
    }
}
