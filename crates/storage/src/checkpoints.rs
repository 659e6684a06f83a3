//! Which checkpoints a run has, and which one is meant.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use crate::atomic::{remove_leftovers, write_file_atomically};
use crate::error::StorageError;
use crate::files::{DiskFiles, Files, Kind};
use crate::layout::{
    BEST_FILE, CHECKPOINTS, MANIFEST_FILE, TOKENIZER_FILE, checkpoint_folder, checkpoint_name, is_run, step_of,
};
use crate::manifest::{Manifest, read_small};
use crate::reader::{CheckpointReader, verify_checkpoint};

/// Which checkpoint of a run is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Which {
    /// The one with the lowest validation loss.
    #[default]
    Best,
    /// The newest.
    Last,
    /// The one after this many updates.
    Step(u64),
}

impl FromStr for Which {
    type Err = String;

    /// `best`, `last`, or the number of a step.
    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "best" => Ok(Self::Best),
            "last" => Ok(Self::Last),
            number => number
                .parse()
                .map(Self::Step)
                .map_err(|_| format!("`{number}` is neither `best`, nor `last`, nor the number of a step")),
        }
    }
}

/// Makes the file `best` name the checkpoint of `step`, as a whole or not at all.
///
/// # Errors
/// What the system says.
pub fn name_best(files: &dyn Files, run: &Path, step: u64) -> Result<(), StorageError> {
    write_file_atomically(files, &run.join(BEST_FILE), format!("{}\n", checkpoint_name(step)).as_bytes())
}

/// The step of the checkpoint that the file `best` names; nothing where it is missing or names none.
pub fn best_step(files: &dyn Files, run: &Path) -> Option<u64> {
    let content = read_small(files, &run.join(BEST_FILE), 64).ok()?;
    step_of(str::from_utf8(&content).ok()?.trim_end())
}

/// A checkpoint that was found, checked or not.
#[derive(Debug)]
pub struct CheckpointEntry {
    /// Updates made before it was written.
    pub step: u64,
    /// Its folder.
    pub folder: PathBuf,
    /// Its manifest, or why it does not count.
    pub valid: Result<Manifest, StorageError>,
}

/// The checkpoint that was chosen.
#[derive(Debug)]
pub struct FoundCheckpoint {
    /// Its folder.
    pub folder: PathBuf,
    /// Its verified manifest.
    pub manifest: Manifest,
    /// Where `tokenizer.json` is looked for: the run folder.
    pub run: PathBuf,
    /// Why it is another one than was asked for; to be shown to the user.
    pub warning: Option<String>,
}

/// Every checkpoint of a run, oldest first, each verified: this reads all their files.
///
/// # Errors
/// The folder of the checkpoints cannot be listed.
pub fn list_checkpoints(run: &Path) -> Result<Vec<CheckpointEntry>, StorageError> {
    let entry = |step| {
        let folder = checkpoint_folder(run, step);
        let valid = verify_checkpoint(&DiskFiles, &folder);
        CheckpointEntry { step, folder, valid }
    };
    Ok(steps(run)?.into_iter().map(entry).collect())
}

/// The steps of a run's checkpoints by their names, oldest first, without looking into them.
///
/// # Errors
/// The folder of the checkpoints cannot be listed; without that folder there are no checkpoints.
pub fn steps(run: &Path) -> Result<Vec<u64>, StorageError> {
    steps_in(&DiskFiles, run)
}

/// The same in another file system than the disk.
///
/// # Errors
/// As [`steps`].
pub fn steps_in(files: &dyn Files, run: &Path) -> Result<Vec<u64>, StorageError> {
    let folder = run.join(CHECKPOINTS);
    let entries = match files.list(&folder) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        other => other.map_err(StorageError::io("list", &folder))?,
    };
    let mut steps = Vec::new();
    for path in entries {
        let Some(step) = path.file_name().and_then(|name| name.to_str()).and_then(step_of) else { continue };
        match files.kind(&path) {
            // A checkpoint that was moved away is one through the link that was left; opening it tells whether it is.
            Ok(Kind::Folder | Kind::Link) => steps.push(step),
            Ok(_) => {}
            // The process that trains there has just removed it.
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => return Err(StorageError::io("list", &path)(error)),
        }
    }
    steps.sort_unstable();
    Ok(steps)
}

/// Verifies the checkpoint that `which` means in `path`, as [`open_checkpoint`] does.
///
/// # Errors
/// There is no such checkpoint, or it is damaged.
pub fn find_checkpoint(path: &Path, which: Which) -> Result<FoundCheckpoint, StorageError> {
    Ok(open_checkpoint(&DiskFiles, path, which, |_| Ok::<_, StorageError>(()))?.0)
}

/// Lets `read` read the checkpoint that `which` means in `path`, a run folder or the folder of one checkpoint, and
/// verifies all of it, each file in the pass in which it is read.
///
/// Where the file `best` is missing or names nothing, the newest checkpoint that verifies is taken, and the warning
/// says so. One that was asked for and is damaged is an error: which other one to take is the user's choice.
///
/// # Errors
/// There is no such checkpoint, or it is damaged; else those of `read`.
pub fn open_checkpoint<T, E: From<StorageError>>(
    files: &dyn Files,
    path: &Path,
    which: Which,
    mut read: impl FnMut(&mut CheckpointReader<'_>) -> Result<T, E>,
) -> Result<(FoundCheckpoint, T), E> {
    if path.join(MANIFEST_FILE).exists() {
        return open_one(files, path, which, read);
    }
    if !path.exists() {
        return Err(StorageError::not_there(path).into());
    }
    if !path.join(CHECKPOINTS).is_dir() {
        // A run that trains has no checkpoint before the first is saved.
        if is_run(path) {
            return Err(StorageError::NoCheckpoint { run: path.to_path_buf() }.into());
        }
        return Err(StorageError::NotARun { path: path.to_path_buf() }.into());
    }
    match which {
        Which::Step(step) => return open_step(files, path, step, read),
        Which::Last => {
            let newest = steps_in(files, path)?.last().copied();
            let newest = newest.ok_or_else(|| StorageError::NoCheckpoint { run: path.to_path_buf() })?;
            return open_step(files, path, newest, read);
        }
        Which::Best => {}
    }
    if let Some(step) = best_step(files, path).filter(|&step| is_there(&checkpoint_folder(path, step))) {
        return open_step(files, path, step, read);
    }
    let (mut found, value) = open_newest_whole(files, path, &mut read)?;
    let (file, step) = (path.join(BEST_FILE), found.manifest.step);
    let why = match files.kind(&file).is_ok() {
        true => format!("`{}` names no checkpoint", file.display()),
        false => format!("`{}` has no best checkpoint yet, since nothing was evaluated", path.display()),
    };
    let warning = format!("{why}; the newest whole one is taken: step {step}");
    found.warning.get_or_insert(warning);
    Ok((found, value))
}

/// Verifies the newest checkpoint that is whole, as [`open_newest_whole`] does.
///
/// # Errors
/// None verifies, or there is none.
pub fn newest_whole(run: &Path) -> Result<FoundCheckpoint, StorageError> {
    Ok(open_newest_whole(&DiskFiles, run, |_| Ok::<_, StorageError>(()))?.0)
}

/// Lets `read` read the newest checkpoint that verifies, each file in the pass in which it is verified; the warning
/// says so if newer ones don't. Runs that nobody watches resume from here.
///
/// # Errors
/// None verifies, or there is none; else those of `read`.
pub fn open_newest_whole<T, E: From<StorageError>>(
    files: &dyn Files,
    run: &Path,
    mut read: impl FnMut(&mut CheckpointReader<'_>) -> Result<T, E>,
) -> Result<(FoundCheckpoint, T), E> {
    let mut damage = None;
    for step in steps_in(files, run)?.into_iter().rev() {
        match read_verified(files, run, &checkpoint_folder(run, step), &mut read) {
            Ok(outcome) => {
                let (manifest, value) = outcome?;
                let warning = damage.map(|error: StorageError| {
                    format!("{error}; the newest whole checkpoint is taken instead: step {step}")
                });
                return Ok((found(run, step, manifest, warning), value));
            }
            Err(error) => {
                damage.get_or_insert(error);
            }
        }
    }
    // None verifies: what is wrong with the newest says more than that there is none.
    Err(damage.unwrap_or_else(|| StorageError::NoCheckpoint { run: run.to_path_buf() }).into())
}

/// Makes a run folder ready for writing: removes what a process that was killed left half written.
/// To be called by the one process that may write there.
///
/// # Errors
/// What the system says.
pub fn clean_run(files: &dyn Files, run: &Path) -> Result<(), StorageError> {
    remove_leftovers(files, run)?;
    remove_leftovers(files, &run.join(CHECKPOINTS))
}

fn open_one<T, E: From<StorageError>>(
    files: &dyn Files,
    folder: &Path,
    which: Which,
    read: impl FnMut(&mut CheckpointReader<'_>) -> Result<T, E>,
) -> Result<(FoundCheckpoint, T), E> {
    let run = run_of(folder)?;
    let (manifest, value) = read_verified(files, &run, folder, read)??;
    if let Which::Step(step) = which
        && step != manifest.step
    {
        let available = vec![manifest.step];
        return Err(StorageError::NoSuchStep { run: folder.to_path_buf(), step, available }.into());
    }
    Ok((FoundCheckpoint { folder: folder.to_path_buf(), manifest, run, warning: None }, value))
}

fn open_step<T, E: From<StorageError>>(
    files: &dyn Files,
    run: &Path,
    step: u64,
    read: impl FnMut(&mut CheckpointReader<'_>) -> Result<T, E>,
) -> Result<(FoundCheckpoint, T), E> {
    let folder = checkpoint_folder(run, step);
    if !is_there(&folder) {
        let available = steps_in(files, run)?;
        return Err(StorageError::NoSuchStep { run: run.to_path_buf(), step, available }.into());
    }
    match read_verified(files, run, &folder, read) {
        Ok(outcome) => {
            let (manifest, value) = outcome?;
            Ok((found(run, step, manifest, None), value))
        }
        Err(StorageError::Damaged { folder, problem, .. }) => {
            let other = newest_but(files, run, step)?;
            Err(StorageError::Damaged { folder, problem, other }.into())
        }
        Err(error) => Err(error.into()),
    }
}

/// What `read` makes of a checkpoint, once all of it is verified; the outer error is that it isn't whole.
fn read_verified<T, E: From<StorageError>>(
    files: &dyn Files,
    run: &Path,
    folder: &Path,
    mut read: impl FnMut(&mut CheckpointReader<'_>) -> Result<T, E>,
) -> Result<Result<(Manifest, T), E>, StorageError> {
    let mut reader = CheckpointReader::open(files, run, folder)?;
    let outcome = read(&mut reader);
    // A damaged file that `read` came upon is looked at again here, which makes it damage of the checkpoint.
    let manifest = reader.finish()?;
    Ok(outcome.map(|value| (manifest, value)))
}

fn found(run: &Path, step: u64, manifest: Manifest, warning: Option<String>) -> FoundCheckpoint {
    FoundCheckpoint { folder: checkpoint_folder(run, step), manifest, run: run.to_path_buf(), warning }
}

/// The newest step that verifies, leaving out `step`. Reads no more files than it must.
fn newest_but(files: &dyn Files, run: &Path, step: u64) -> Result<Option<u64>, StorageError> {
    let others = steps_in(files, run)?.into_iter().rev().filter(|&other| other != step);
    let mut whole = others.filter(|&other| verify_checkpoint(files, &checkpoint_folder(run, other)).is_ok());
    Ok(whole.next())
}

/// Whether a checkpoint has this name: a folder, or a link, also one that leads nowhere, which is damage.
pub fn is_there(folder: &Path) -> bool {
    fs::symlink_metadata(folder).is_ok_and(|metadata| metadata.is_dir() || metadata.is_symlink())
}

/// The run folder that the folder of a checkpoint lies in: the one above it as it was named, else the one above it
/// where links lead; of a checkpoint that was copied away, its own folder, if the tokenizer lies there.
fn run_of(folder: &Path) -> Result<PathBuf, StorageError> {
    let above = |full: &Path| full.parent().and_then(Path::parent).map(Path::to_path_buf);
    // These make the folders above known when only `step-00000500` or `.` was given.
    let named = std::path::absolute(folder).map_err(StorageError::io("find", folder))?;
    let real = fs::canonicalize(folder).map_err(StorageError::io("find", folder))?;
    let places = [above(&named), above(&real), Some(folder.to_path_buf())];
    let with_tokenizer = places.iter().flatten().find(|place| place.join(TOKENIZER_FILE).is_file());
    Ok(with_tokenizer.cloned().or_else(|| above(&named)).unwrap_or_else(|| folder.to_path_buf()))
}
