//! What commands that train have in common: the first weights, the run folder, the line that resumes a run.

use std::path::{Path, PathBuf};

use anyhow::Context;
use kiln_data::batches::{EvaluationPlan, TooShort, Windows};
use kiln_data::shards::PreparedData;
use kiln_models::LanguageModel;
use kiln_models::saved::{ModelDescription, Opening, SavedModel, has_weights_alone, is_foreign};
use kiln_settings::Override;
use kiln_storage::layout::{self, CONFIG_FILE, MANIFEST_FILE, METRICS_FILE, OPTIMIZER_FILE, WEIGHTS_FILE};
use kiln_storage::{StorageError, checkpoint_folder, steps};
use kiln_training::config::{Change, Config, Meaning, RefusedChanges, changes as changes_between};
use kiln_training::estimate::Estimate;
use kiln_training::learning::check_device;
use kiln_training::parts::Parts;
use kiln_training::run::{
    BURN_VERSION, Checkpoint, CheckpointError, HistoryEntry, Metrics, Resumed, RunDocuments, RunFolder, RunRecord,
    RunSurvey,
};

use crate::arguments::RunsArguments;
use crate::beginnings::Origins;
use crate::device::{Chosen, DeviceError};
use crate::exit::UsageError;
use crate::terminal::say;
use crate::training_data::hexadecimal;

/// Warns where the device's memory is less than what training is estimated to need: the system ends a process that
/// takes too much, and others with it.
///
/// # Errors
/// Where it is certainly too small.
pub(crate) fn check_memory(config: &Config, data: &PreparedData, chosen: &Chosen) -> Result<(), DeviceError> {
    let needed = Estimate::new(config, data.tokenizer.vocabulary_size()).memory;
    match chosen.shortage(&needed, config.run.batch) {
        Some(shortage) if shortage.is_certain => Err(DeviceError::TooSmall(shortage.words)),
        Some(shortage) => {
            say(&format!("warning: {}", shortage.words));
            Ok(())
        }
        None => Ok(()),
    }
}

/// Whether the run in a folder can be resumed with a configuration, and with which changes. Compared before anything is
/// prepared or written; without a checkpoint the run starts anew and nothing is compared.
pub(crate) fn changes(path: &Path, resume: bool, config: &Config) -> anyhow::Result<Vec<(Change, Meaning)>> {
    if layout::is_sweep(path) {
        return Err(UsageError(sweep_words(path)).into());
    }
    if !resume || steps(path)?.is_empty() {
        return Ok(Vec::new());
    }
    allowed(path, changes_between(&own_config(path, &[])?, config))
}

/// A run lacks the file that says how it is trained.
#[derive(Debug, thiserror::Error)]
#[error("the run `{}` has lost its `{CONFIG_FILE}`, which says how it is trained", run.display())]
pub(crate) struct LostConfig {
    /// The run.
    pub(crate) run: PathBuf,
}

/// The configuration in the folder of a run, with what is changed in it.
///
/// # Errors
/// When it is not there or not readable, or is wrong with the changes.
pub(crate) fn own_config(run: &Path, overrides: &[Override]) -> anyhow::Result<Config> {
    let path = run.join(CONFIG_FILE);
    if !path.exists() {
        return Err(LostConfig { run: run.to_path_buf() }.into());
    }
    Config::open(&path, overrides).with_context(|| format!("the run `{}` can't be read", run.display()))
}

/// The configuration that a model was trained with. Weights that stand without a run have none, nor has a checkpoint
/// that was copied out of one with the tokenizer beside it.
///
/// # Errors
/// As [`own_config`].
pub(crate) fn config_of(saved: &SavedModel) -> anyhow::Result<Option<Config>> {
    let is_out_of_a_run = saved.step.is_none() || saved.run == saved.folder;
    let is_alone = is_out_of_a_run && !saved.run.join(CONFIG_FILE).exists();
    (!is_alone).then(|| own_config(&saved.run, &[])).transpose()
}

/// The same for a text that the run was not trained on, which can be read without it; that it is lost is said.
pub(crate) fn config_for_text(saved: &SavedModel) -> anyhow::Result<Option<Config>> {
    match config_of(saved) {
        Err(error) if error.is::<LostConfig>() => {
            say(&format!("warning: {error}; a text is read without a `data.separator`, as one document"));
            Ok(None)
        }
        other => other,
    }
}

/// The text with the token that ends a document in the place of each separator that the run was trained with.
pub(crate) fn with_document_ends(saved: &SavedModel, separator: Option<&str>, text: &str) -> String {
    match (separator, saved.tokenizer.end_token()) {
        (Some(separator), Some(end)) if !separator.is_empty() => {
            text.replace(separator, &saved.tokenizer.decode(&[end]))
        }
        _ => text.to_owned(),
    }
}

/// The changes, after it was made sure that none is refused.
fn allowed(path: &Path, changes: Vec<(Change, Meaning)>) -> anyhow::Result<Vec<(Change, Meaning)>> {
    let (refused, allowed): (Vec<_>, _) = changes.into_iter().partition(|(_, meaning)| *meaning == Meaning::Refused);
    RefusedChanges::check(path, refused.into_iter().map(|(change, _)| change).collect())?;
    Ok(allowed)
}

/// Opens the folder of a run and, if there is a checkpoint to resume from, the model and the state of training. The
/// documents of the run are written: all of them at a start, and the changed configuration when it is resumed.
pub(crate) fn open_run(
    path: &Path,
    resume: bool,
    config: &Config,
    changes: Vec<(Change, Meaning)>,
    data: &PreparedData,
    chosen: &Chosen,
    origins: &Origins,
) -> anyhow::Result<(RunFolder, Option<(LanguageModel, Checkpoint)>)> {
    // Before anything is written: a run that cannot begin would keep its name.
    check_lengths(config, data)?;
    check_device(config, &chosen.device)?;
    Parts::of_config(config, data.tokenizer.vocabulary_size())?;
    let mut description = ModelDescription::new(config.model.clone(), &data.tokenizer, config.run.context);
    description.adapter.clone_from(&config.adapter);
    if let Some(start) = &origins.description {
        description.converse_as(start);
        if config.adapter.is_some() {
            description.vocabulary_size = start.vocabulary_size;
        }
    }
    if let Some(base) = origins.start.as_ref().filter(|_| config.adapter.is_some()) {
        description.base = Some(base.absolute());
    }
    if let Some(conversations) = &data.conversations {
        description.converse(&conversations.conversing);
    }
    let mut folder = RunFolder::open(path, resume, description)?;
    let (record, resolved) = (record(config, data, chosen, origins), config.to_toml());
    let entry = |step, changes| HistoryEntry {
        step,
        device: chosen.description.clone(),
        kiln: env!("CARGO_PKG_VERSION").to_string(),
        changes,
    };
    // Where it is now is in the checkpoints unless another place was named.
    let is_moved = changes.iter().any(|(change, _)| change.key == "start.from");
    let base = config.start.as_ref().filter(|_| is_moved).map(|start| &*start.from);
    let opening = Opening { base, ..Opening::new(&chosen.device) };
    let Some(Resumed { saved, checkpoint }) = folder.resume(opening).map_err(of_model)? else {
        folder.begin_history(&entry(0, Vec::new()))?;
        folder.write_documents(&RunDocuments { config: &resolved, tokenizer: &data.tokenizer, record: &record })?;
        return Ok((folder, None));
    };
    if let Some(warning) = &saved.warning {
        say(&format!("warning: {warning}"));
    }
    folder.resume_as(&saved.description);
    check_saved(path, config, &saved.description, &record)?;
    refuse_fewer_steps(path, checkpoint.state.step, config.run.steps)?;
    announce(&changes, checkpoint.state.step);
    let changes: Vec<Change> = changes.into_iter().map(|(change, _)| change).collect();
    // Nothing is trained from here on, on this device or with another version, where all is done already.
    if !(changes.is_empty() && checkpoint.state.is_done(&config.run)) {
        folder.go_on(&resolved, &entry(checkpoint.state.step, changes))?;
    }
    Ok((folder, Some((saved.model, checkpoint))))
}

/// Makes sure that a run has not made more steps already than it is to make.
fn refuse_fewer_steps(path: &Path, made: u64, steps: u64) -> Result<(), UsageError> {
    if made <= steps {
        return Ok(());
    }
    let run = quoted(&path.to_string_lossy());
    let config = quoted(&path.join(CONFIG_FILE).to_string_lossy());
    Err(UsageError(format!(
        "{run} has made {made} steps already, so `run.steps` can't be {steps}\n  help: `kiln resume {run} --set \
         run.steps={}` trains on; `kiln train {config} --set run.steps={steps} --run NAME` trains another run with \
         {steps} steps",
        made.saturating_mul(2)
    )))
}

/// Makes sure that both splits have a batch.
pub(crate) fn check_lengths(config: &Config, data: &PreparedData) -> Result<(), TooShort> {
    let run = &config.run;
    Windows::check(run.windows, &data.train, run.batch, run.context)?;
    EvaluationPlan::check(&data.validation, run.context)
}

/// The error of a saved model as itself, which says what to do about it.
fn of_model(error: CheckpointError) -> anyhow::Error {
    match error {
        CheckpointError::Saved(error) => error.into(),
        other => other.into(),
    }
}

/// Makes sure that the texts, and the model as it was saved, are those of the configuration: files may have changed
/// under names that did not.
fn check_saved(path: &Path, config: &Config, saved: &ModelDescription, now: &RunRecord) -> anyhow::Result<()> {
    let mut before = config.clone();
    before.model = saved.model.clone();
    before.adapter.clone_from(&saved.adapter);
    before.run.context = saved.context;
    let mut changes: Vec<Change> = changes_between(&before, config).into_iter().map(|(change, _)| change).collect();
    let started = RunRecord { tokenizer_hash: saved.tokenizer_hash.clone(), ..RunRecord::read(path)? };
    changes.extend(started.other_texts(now));
    Ok(RefusedChanges::check(path, changes)?)
}

/// Makes sure that texts and tokenizer are those that a run was started with.
pub(crate) fn refuse_other_texts(
    run: &Path,
    config: &Config,
    data: &PreparedData,
    chosen: &Chosen,
) -> anyhow::Result<()> {
    let before = RunRecord::read(run)?;
    let origins = Origins { teacher: before.teacher.clone(), ..Origins::default() };
    Ok(RefusedChanges::check(run, before.other_texts(&record(config, data, chosen, &origins)))?)
}

/// Says what was changed, and of what changes the course that it does.
fn announce(changes: &[(Change, Meaning)], step: u64) {
    for (change, meaning) in changes {
        match meaning {
            Meaning::Course => {
                say(&format!(
                    "warning: {change}: from step {step} on training differs from what it would have been with it from \
                     the start"
                ));
            }
            _ => say(&format!("changed: {change}")),
        }
    }
}

fn record(config: &Config, data: &PreparedData, chosen: &Chosen, origins: &Origins) -> RunRecord {
    RunRecord {
        kiln: env!("CARGO_PKG_VERSION").to_string(),
        burn: BURN_VERSION.to_string(),
        git_commit: option_env!("KILN_GIT_COMMIT").map(str::to_string),
        device: chosen.description.clone(),
        seed: config.seed,
        tokenizer_hash: hexadecimal(data.tokenizer.hash()),
        train_text_hash: hexadecimal(data.train.text_hash()),
        validation_text_hash: hexadecimal(data.validation.text_hash()),
        start: origins.start.clone(),
        teacher: origins.teacher.clone(),
        conversing: data.conversations.as_ref().map(|conversations| conversations.conversing.clone()),
        entropy: data.floor.map(|floor| floor.nats_per_character),
        validation_floor: data.floor.map(|floor| floor.validation_nats_per_character),
    }
}

/// The folder of a run in `folder`: the given name; else the configuration's, with a number if that is taken. With
/// `resume` it is the newest of those.
pub(crate) fn run_path(folder: &Path, config: &Path, name: Option<&str>, resume: bool) -> Result<PathBuf, UsageError> {
    if let Some(name) = name {
        check_name(name)?;
        return Ok(folder.join(name));
    }
    let stem = config.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    let named = |number: u32| if number == 1 { folder.join(&stem) } else { folder.join(format!("{stem}-{number}")) };
    let free = (1..).find(|number| !named(*number).exists()).unwrap_or(1);
    Ok(named(if resume && free > 1 { free - 1 } else { free }))
}

/// The folder of a run on a text that has no configuration yet: the given name, else the text's, with a number if there
/// is a run or a configuration of that name.
pub(crate) fn new_path(folder: &Path, text: &Path, name: Option<&str>) -> Result<PathBuf, UsageError> {
    if name.is_some() {
        return run_path(folder, text, name, false);
    }
    let stem = text.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    let named = |number: u32| if number == 1 { folder.join(&stem) } else { folder.join(format!("{stem}-{number}")) };
    let is_free = |path: &PathBuf| !path.exists() && !config_beside(path).exists();
    Ok((1..).map(named).find(is_free).unwrap_or_else(|| folder.join(&stem)))
}

/// The configuration that is written beside a new run: `runs/NAME.toml` for `runs/NAME`.
pub(crate) fn config_beside(run: &Path) -> PathBuf {
    let mut path = run.as_os_str().to_owned();
    path.push(".toml");
    path.into()
}

/// The folder of a run of this name, which must not be there.
pub(crate) fn new_run(runs: &RunsArguments, name: &str) -> Result<PathBuf, UsageError> {
    check_name(name)?;
    let path = runs.folder().join(name);
    if path.exists() {
        return Err(UsageError(format!("`{}` is there already; choose another --run", path.display())));
    }
    Ok(path)
}

/// Makes sure that a name given by `--run` is that of a folder among the runs.
fn check_name(name: &str) -> Result<(), UsageError> {
    let is_plain = !name.is_empty() && name != "." && name != ".." && !name.contains(['/', '\\']);
    if is_plain && !name.contains(char::is_control) {
        return Ok(());
    }
    Err(UsageError(format!(
        "--run {}: a run's name is the name of a folder in `runs`, on one line and without `/`; `kiln resume PATH` \
         resumes a run that is elsewhere, and `--runs FOLDER` puts new ones there",
        quoted(&name.replace(char::is_control, "?"))
    )))
}

/// Makes sure that there is a run at a path, and says of something else what to do with it.
pub(crate) fn make_sure_of_a_run(path: &Path) -> anyhow::Result<()> {
    let there = path.display();
    if layout::is_sweep(path) {
        return Err(UsageError(sweep_words(path)).into());
    }
    if layout::is_run(path) {
        return Ok(());
    }
    if has_weights_alone(path) || is_foreign(path) {
        let path = quoted(&there.to_string());
        return Err(anyhow::anyhow!(
            "{path} has only weights: a model without a run, and so without checkpoints and a record of its \
             training\n  help: `kiln sample`, `eval`, `score`, `export` and `inspect` take it"
        ));
    }
    if path.is_file() {
        let path = quoted(&there.to_string());
        return Err(UsageError(format!(
            "{path} is a file, not a run; `kiln train {path}` trains a new run with it, and `kiln resume RUN` resumes \
             one"
        ))
        .into());
    }
    if !path.exists() {
        return Err(StorageError::not_there(path).into());
    }
    if path.join(MANIFEST_FILE).exists() {
        let words = "is a checkpoint; give the folder of its run, which resumes from the newest one";
        return Err(UsageError(format!("{there} {words}")).into());
    }
    Err(StorageError::NotARun { path: path.to_path_buf() }.into())
}

/// The folder of a run, a checkpoint or a model that a file is in, as it is typed.
fn folder_of_model(file: &Path) -> Option<String> {
    let folder = file.parent().filter(|_| file.is_file() && !is_foreign(file))?;
    let is_model = layout::is_run(folder) || folder.join(WEIGHTS_FILE).exists() || is_foreign(folder);
    is_model.then(|| quoted(&folder.to_string_lossy()))
}

/// Refuses a model that translates, where `command` is for models that continue one text.
pub(crate) fn refuse_pairs(saved: &SavedModel, command: &str) -> Result<(), UsageError> {
    if !saved.description.model.reads_pairs() {
        return Ok(());
    }
    let there = quoted(&saved.run.to_string_lossy());
    let words = format!("{there} is an encoder-decoder, and `kiln {command}` is for models that continue a text");
    Err(UsageError(format!("{words}\n  help: `kiln translate {there}` translates with it")))
}

/// Refuses what `command` is given in place of a model, with what to type.
pub(crate) fn refuse_no_model(path: &Path, command: &str) -> Result<(), UsageError> {
    let there = quoted(&path.to_string_lossy());
    if let Some(folder) = folder_of_model(path) {
        let words = format!("is a file of a model; give its folder: `kiln {command} {folder}`");
        return Err(UsageError(format!("{there} {words}")));
    }
    if path.is_file() && !is_foreign(path) {
        let words =
            format!("is a file, not a run; `kiln train {there}` trains a run, and `kiln {command} RUN` takes it");
        return Err(UsageError(format!("{there} {words}")));
    }
    if !layout::is_sweep(path) {
        return Ok(());
    }
    let help = match best_of_sweep(path) {
        Some(best) => {
            let best = quoted(&best.to_string_lossy());
            format!("`kiln {command} {best}` takes its best run, and `kiln ls {there}` lists them all")
        }
        None => format!("none of its runs has been evaluated; `kiln resume {there}` resumes it"),
    };
    Err(UsageError(format!("{there} is a sweep, not a run\n  help: {help}")))
}

/// The run of a sweep with the lowest evaluation, in bits per byte, which all tokenizers share.
fn best_of_sweep(sweep: &Path) -> Option<PathBuf> {
    let runs = std::fs::read_dir(sweep).ok()?.flatten().map(|entry| entry.path()).filter(|path| layout::is_run(path));
    let best = |run: PathBuf| {
        let evaluations = Metrics::read(&run.join(METRICS_FILE)).ok()?.evaluations;
        Some((evaluations.iter().map(|entry| entry.bits_per_byte).min_by(f64::total_cmp)?, run))
    };
    runs.filter_map(best).min_by(|(left, _), (right, _)| left.total_cmp(right)).map(|(_, run)| run)
}

/// The weights of the best checkpoint of a run, or of its newest.
pub(crate) fn weights_of(run: &Path, survey: &RunSurvey) -> Option<PathBuf> {
    let newest = survey.checkpoints.last().map(|checkpoint| checkpoint.step);
    Some(checkpoint_folder(run, survey.best.or(newest)?).join(WEIGHTS_FILE))
}

/// Whether no checkpoint of a run has more than weights, so that training cannot resume.
pub(crate) fn keeps_weights_only(run: &Path) -> bool {
    let steps = steps(run).unwrap_or_default();
    !steps.is_empty() && steps.iter().all(|step| !checkpoint_folder(run, *step).join(OPTIMIZER_FILE).exists())
}

/// Refuses a run or a sweep in place of a configuration, with what to type.
pub(crate) fn refuse_run_as_config(given: &Path, runs: &RunsArguments) -> Result<(), UsageError> {
    if is_foreign(given) {
        let path = quoted(&given.to_string_lossy());
        let words = "is a model, not a configuration or a text; a configuration with";
        return Err(UsageError(format!("{path} {words} `[start] from = {path:?}` trains it further")));
    }
    if given.is_file() {
        return Ok(());
    }
    match runs.find(given) {
        Ok(path) if layout::is_run(&path) || layout::is_sweep(&path) => {
            let kind = if layout::is_sweep(&path) { "a sweep" } else { "a run" };
            let path = quoted(&path.to_string_lossy());
            Err(UsageError(format!("{path} is {kind}, not a configuration; `kiln resume {path}` resumes it")))
        }
        _ => Ok(()),
    }
}

/// What to do with a sweep where a run is wanted.
fn sweep_words(path: &Path) -> String {
    let path = quoted(&path.to_string_lossy());
    format!("{path} is a sweep, not a run; `kiln ls {path}` lists its runs, and `kiln resume {path}` resumes it")
}

/// The line that resumes a run or a sweep, as it would be typed. What they do is in their folders.
pub(crate) fn resume_words(run: &Path, device: &str) -> String {
    // The device by its own name: `auto` might choose another one the next time.
    format!("resume it:        kiln resume {} --device {}", quoted(&run.to_string_lossy()), quoted(device))
}

/// The word as a shell would need it.
pub(crate) fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./=:,+@%".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_string()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_gets_the_first_name_that_neither_a_run_nor_a_configuration_has() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let named = |name: &str| folder.path().join(name);
        let path = |name| new_path(folder.path(), Path::new("texts/book.v1.txt"), name).expect("the name is plain");
        assert_eq!(path(None), named("book.v1"));
        assert_eq!(config_beside(&path(None)), named("book.v1.toml"));
        std::fs::create_dir(named("book.v1")).expect("a folder can be made");
        std::fs::write(named("book.v1-2.toml"), "").expect("a file can be written");
        assert_eq!(path(None), named("book.v1-3"));
        assert_eq!(path(Some("mine")), named("mine"));
        assert!(new_path(folder.path(), Path::new("book.txt"), Some("a/b")).is_err());
    }
}
