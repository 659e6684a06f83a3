//! What to do about an error, in terms of the command line.

use std::io;
use std::path::Path;

use kiln_data::corpus::CorpusError;
use kiln_data::shards::DataError;
use kiln_models::saved::{SavedModelError, WeightProblem};
use kiln_settings::ConfigFileError;
use kiln_storage::StorageError;
use kiln_storage::formats::gguf::GgufError;
use kiln_storage::layout::{CHECKPOINTS, CONFIG_FILE, SWEEP_FILE, TOKENIZER_FILE, is_sweep};
use kiln_training::config::RefusedChanges;
use kiln_training::learning::TeacherError;
use kiln_training::run::{CheckpointError, FolderError};
use kiln_training::start::StartError;

use super::foreign;
use crate::arguments::{NoInput, NoSuchRun, RunsArguments};
use crate::piped::{INSTEAD, is_piped};
use crate::runs::{LostConfig, quoted};
use crate::training_data::OtherText;

/// The advice that the first error of the chain has which has any.
pub(super) fn of(error: &anyhow::Error) -> Option<String> {
    error.chain().find_map(|cause| {
        if let Some(error) = cause.downcast_ref() {
            return of_model(error);
        }
        if let Some(error) = cause.downcast_ref() {
            return of_storage(error);
        }
        if let Some(error) = cause.downcast_ref() {
            return Some(of_changes(error));
        }
        if let Some(CheckpointError::WeightsOnly { .. }) = cause.downcast_ref() {
            return Some("`kiln sample` and `kiln eval` take it; to train on, restore the folder from a copy".into());
        }
        if let Some(error) = cause.downcast_ref() {
            return of_folder(error);
        }
        if let Some(error) = cause.downcast_ref::<NoSuchRun>() {
            return Some(error.help());
        }
        if let Some(StartError::Mismatch { .. }) = cause.downcast_ref() {
            return Some(
                "leave `[model]` out to take that of the start model, or say what fits by `start.only`".into(),
            );
        }
        if let Some(TeacherError::Vocabulary { path, .. }) = cause.downcast_ref() {
            return Some(format!("`[tokenizer.file]` with `path = {path:?}` takes the teacher's tokenizer"));
        }
        if let Some(error) = cause.downcast_ref::<NoInput>() {
            return Some(error.help());
        }
        if let Some(LostConfig { run }) = cause.downcast_ref() {
            return Some(format!(
                "restore it from a copy, or put the configuration that the run was started with at `{}`",
                run.join(CONFIG_FILE).display()
            ));
        }
        if let Some(error) = cause.downcast_ref() {
            return Some(of_other_text(error));
        }
        // A command may read the text by itself.
        if let Some(CorpusError::Missing { path, .. } | CorpusError::NoMatch { pattern: path, .. }) =
            cause.downcast_ref()
        {
            return of_missing_text(path);
        }
        if let Some(DataError::Corpus(CorpusError::Missing { path, .. } | CorpusError::NoMatch { pattern: path, .. })) =
            cause.downcast_ref()
        {
            return of_missing_text(path);
        }
        if let Some(DataError::Cache { .. }) = cause.downcast_ref() {
            return Some("set the environment variable `KILN_CACHE` to a folder that you may write to".into());
        }
        cause.downcast_ref::<ConfigFileError>().and_then(|error| match error {
            ConfigFileError::NotAFile { path } if is_piped(path) => Some(INSTEAD.into()),
            ConfigFileError::Wrong(_) => None,
            ConfigFileError::TooLarge { path } => Some(format!(
                "`kiln train` takes a text, too, and `kiln new NAME --text {}` writes a configuration for one",
                quoted(&path.to_string_lossy())
            )),
            ConfigFileError::Io { path, .. } | ConfigFileError::NotAFile { path } => {
                of_run_as_config(path).or_else(|| error.help()).or_else(|| Some(A_FILE.into()))
            }
            ConfigFileError::NotText { .. } => error.help(),
        })
    })
}

/// What to give where a configuration is wanted.
const A_FILE: &str = "give a TOML file; `configs` in Kiln's repository has one of each kind, for example \
                      `configs/quickstart.toml` and `configs/convergence/lecture.toml`";

/// Where the configuration of a run is whose folder or name was given in its place.
fn of_run_as_config(path: &Path) -> Option<String> {
    let run = RunsArguments::default().find(path).ok()?;
    let file = [CONFIG_FILE, SWEEP_FILE].into_iter().map(|name| run.join(name)).find(|file| file.is_file())?;
    Some(format!("`{}` is a run's; its configuration is `{}`", path.display(), quoted(&file.to_string_lossy())))
}

/// What a shell would have put in the place of a name, or a list.
fn of_missing_text(path: &str) -> Option<String> {
    let help = if path.starts_with('~') || path.starts_with('$') {
        "`~` and variables are the shell's: write the path as it is"
    } else if path.contains("://") {
        "an address goes into [data.download], with the checksum of its file"
    } else if path.contains('{') {
        "`{a,b}` is the shell's: list the files, `paths = [\"a.txt\", \"b.txt\"]`"
    } else if path.contains(',') {
        "several files are a list, `paths = [\"a.txt\", \"b.txt\"]`"
    } else if path == "-" {
        INSTEAD
    } else {
        return None;
    };
    Some(help.into())
}

fn of_storage(error: &StorageError) -> Option<String> {
    let help = match error {
        StorageError::Io { source, .. } => match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                "free some space, or lower `run.keep`; what was saved before is untouched".into()
            }
            io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
                "choose a place you may write to with `--runs FOLDER`, or change the permissions".into()
            }
            _ => return None,
        },
        StorageError::NotThere { .. } | StorageError::NotARun { .. } => {
            "give the folder that `kiln train` made, for example `runs/NAME`".into()
        }
        StorageError::BrokenLink { path } => {
            format!("`ls -l {}` shows where it leads; mend the link, or remove it", quoted(&path.to_string_lossy()))
        }
        StorageError::NoCheckpoint { run } => format!(
            "training saves every `run.checkpoint-every` steps and when it stops; train first, or list `{}`",
            run.join(CHECKPOINTS).display()
        ),
        StorageError::NoSuchStep { available, .. } => {
            format!("give one of these, for example `--checkpoint {}`", available.last()?)
        }
        StorageError::Damaged { other: Some(step), .. } => {
            format!("the checkpoint of step {step} of the same run is whole: `--checkpoint {step}`")
        }
        StorageError::Damaged { other: None, .. } => {
            "restore the folder from a copy; nothing was loaded from it".into()
        }
        StorageError::Newer { .. } => "use the Kiln that wrote it, or a later one".into(),
        StorageError::Gguf { source: GgufError::UnknownType { .. }, .. } => {
            "pack it in one of these with llama.cpp: `llama-quantize --allow-requantize FILE NEW.gguf Q8_0`".into()
        }
        StorageError::Gguf { .. } => {
            "the file was cut, changed, or is no GGUF file: compare its length with the one where you have it from, \
             and download it again"
                .into()
        }
        StorageError::TensorFile { .. } => {
            "the file was cut, changed, or is no safetensors file; restore it from a copy".into()
        }
        StorageError::NotAFile { .. } => "put the file itself there, not a link to it".into(),
        _ => return None,
    };
    Some(help)
}

fn of_folder(error: &FolderError) -> Option<String> {
    match error {
        FolderError::Storage(error) => of_storage(error),
        FolderError::NoBest { .. } => Some("keep the newest one by `--keep last`".into()),
        FolderError::NotOurs { .. } => Some("move it elsewhere, or remove the folder by other means".into()),
        FolderError::Locked { .. } => Some("wait until it has ended, or stop it by Ctrl-C where it runs".into()),
        FolderError::Exists { .. } => None,
    }
}

fn of_model(error: &SavedModelError) -> Option<String> {
    if let Some(help) = foreign::advice(error) {
        return Some(help);
    }
    let help = match error {
        SavedModelError::Storage(error) => return of_storage(error),
        SavedModelError::Weights { problems, .. } if problems.iter().any(WeightProblem::is_not_finite) => {
            "the training diverged: give an earlier checkpoint with `--checkpoint STEP`, or train again at a lower rate"
        }
        SavedModelError::Weights { .. } | SavedModelError::Description { .. } => {
            "give a checkpoint that `kiln train` wrote, as it was written"
        }
        SavedModelError::Base { .. } => {
            "adapters work on the very weights that they were trained with: name where those are now by `--base \
             MODEL`, \
             or to train on by `kiln resume RUN --set start.from=MODEL`"
        }
        SavedModelError::Unwritable { .. } => {
            "docs/models.md says what can be written; what `kiln new` chooses can if it is trained with \
             `--set model.transformer.activation=swiglu`"
        }
        SavedModelError::VocabularyMismatch { .. } => {
            "put back the `tokenizer.json` of the run that the checkpoint comes from"
        }
        SavedModelError::Tokenizer { .. } => "put the run's `tokenizer.json` there; without it tokens have no text",
        _ => return None,
    };
    Some(help.into())
}

fn of_other_text(error: &OtherText) -> String {
    let help = match error {
        OtherText::Piped { .. } => "send plain UTF-8 text through it",
        OtherText::Changed { .. } | OtherText::Foreign { .. } => {
            "restore the text, or name the one to measure on with `--data FILE`"
        }
        OtherText::Gone { .. } => {
            "its configuration names the text relative to the current folder: go to the folder that it was trained \
             in, or name a text with `--data FILE`"
        }
        OtherText::Moved { run, key, files, .. } => {
            let path = quoted(&run.to_string_lossy());
            let value = if *files > 1 { format!("'{key}=[\"FILE\", \"FILE\"]'") } else { format!("{key}=FILE") };
            return format!("name its new place: `kiln resume {path} --set {value}`, relative to the current folder");
        }
        OtherText::Tokenizer { run, .. } => {
            let path = quoted(&run.to_string_lossy());
            return format!("name the place of the first one: `kiln resume {path} --set tokenizer.file.path=FILE`");
        }
        OtherText::Unreadable { .. } => {
            "leave the character out of the text; a model that can read any text is trained with `unknown = \"token\"` \
             or a byte-level tokenizer"
        }
    };
    help.into()
}

fn of_changes(error: &RefusedChanges) -> String {
    let path = quoted(&error.run.to_string_lossy());
    let is_changed =
        |what: &str| error.changes.iter().any(|change| change.key.starts_with("BLAKE3") && change.key.ends_with(what));
    if is_changed("text") {
        return format!(
            "put back the text that it was started with, or name its place (`kiln resume {path} --set \
             data.file.paths=FILE`); `kiln train CONFIG --run NAME` starts another run on what is there"
        );
    }
    if is_changed("tokenizer") {
        let own = quoted(&error.run.join(TOKENIZER_FILE).to_string_lossy());
        return format!(
            "`kiln resume {path} --set tokenizer.file.path={own}` takes the copy that the run has of its own"
        );
    }
    let (document, command) = if is_sweep(&error.run) { (SWEEP_FILE, "sweep") } else { (CONFIG_FILE, "train") };
    format!(
        "start another with them by `kiln {command} CONFIG --run NAME`, or resume with the values that are in `{}`",
        error.run.join(document).display()
    )
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;
    use crate::report::render;

    fn rendered(error: impl Into<anyhow::Error>) -> String {
        render(&error.into(), false)
    }

    #[test]
    fn errors_of_the_libraries_come_with_the_arguments_that_help() {
        let run = PathBuf::from("runs/x");
        let io = |kind| StorageError::Io { action: "write", path: run.clone(), source: io::Error::from(kind) };
        let damaged = |other| StorageError::Damaged { folder: run.clone(), problem: "`x` is missing".into(), other };
        let cases = [
            (io(io::ErrorKind::StorageFull), "free some space"),
            (io(io::ErrorKind::ReadOnlyFilesystem), "`--runs FOLDER`"),
            (StorageError::NotARun { path: run.clone() }, "that `kiln train` made"),
            (StorageError::NoCheckpoint { run: run.clone() }, "list `runs/x/checkpoints`"),
            (StorageError::NoSuchStep { run: run.clone(), step: 7, available: vec![2, 4] }, "`--checkpoint 4`"),
            (damaged(Some(200)), "`--checkpoint 200`"),
            (damaged(None), "from a copy"),
            (StorageError::NotAFile { path: run.clone() }, "not a link to it"),
        ];
        for (error, words) in cases {
            // By itself, and as the cause of what a model cannot be opened for.
            assert!(!error.to_string().contains("--"), "{error}");
            let text = rendered(SavedModelError::Storage(error));
            assert!(text.contains("\n  help: ") && text.contains(words), "{text}");
        }
        let text = rendered(StorageError::NotThere { path: run.clone() });
        assert_eq!(
            text,
            "error: there is no `runs/x`\n  help: give the folder that `kiln train` made, for example `runs/NAME`\n"
        );
        assert!(!rendered(io(io::ErrorKind::NotFound)).contains("help"));
        let text = rendered(RefusedChanges { run: run.clone(), changes: Vec::new() });
        assert!(text.ends_with("or resume with the values that are in `runs/x/config.toml`\n"), "{text}");
    }

    #[test]
    fn a_run_that_exists_is_offered_to_be_resumed() {
        let exists = FolderError::Exists { path: "runs/x".into() };
        assert_eq!(exists.to_string(), "the run `runs/x` exists already");
        let expected = "error: the run `runs/x` exists already; `kiln resume runs/x` resumes it, and `--run NAME` \
                        gives the new one another name\n";
        assert_eq!(rendered(exists), expected);
        let exists = FolderError::Exists { path: "runs/x".into() };
        assert!(!rendered(CheckpointError::from(exists)).contains("help"));
    }
}
