//! Where the checkpoints of a run are, and which one is meant.
//!
//! ```text
//! runs/<name>/
//!   tokenizer.json
//!   checkpoints/step-00000500/    model.safetensors, manifest.json, and what training needs to go on
//!   best                          the name of the checkpoint with the lowest validation loss
//! ```

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use super::atomic::{remove_leftovers, write_file_atomically};
use super::error::SavedModelError;
use super::files::{DiskFiles, Files, Kind};
use super::manifest::{MANIFEST_FILE, Manifest, read_small};

/// The folder of the checkpoints in a run.
pub const CHECKPOINTS: &str = "checkpoints";

/// Which checkpoint of a run is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Which {
    /// The one with the lowest validation loss.
    #[default]
    Best,
    /// The newest.
    Last,
    /// The one after so many updates.
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

/// The file in a run folder that names the checkpoint with the lowest validation loss. None names the newest: that is found
/// by looking, since a file can lie.
const BEST: &str = "best";

/// Makes the file `best` name the checkpoint of `step`, as a whole or not at all.
///
/// # Errors
/// What the system says.
pub fn name_best(files: &dyn Files, run: &Path, step: u64) -> Result<(), SavedModelError> {
    write_file_atomically(files, &run.join(BEST), format!("{}\n", checkpoint_name(step)).as_bytes())
}

/// The step of the checkpoint that the file `best` names; nothing where it is missing or names none.
pub fn best_step(files: &dyn Files, run: &Path) -> Option<u64> {
    let content = read_small(files, &run.join(BEST), 64).ok()?;
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
    pub valid: Result<Manifest, SavedModelError>,
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

impl FoundCheckpoint {
    /// The path of a file of the checkpoint. What lies beside the files that the manifest lists was never verified.
    ///
    /// # Errors
    /// [`SavedModelError::Damaged`] where the manifest lists no such file.
    pub fn file(&self, name: &str) -> Result<PathBuf, SavedModelError> {
        if self.manifest.lists(name) {
            return Ok(self.folder.join(name));
        }
        Err(SavedModelError::damaged(&self.folder, format!("its manifest lists no `{name}`")))
    }
}

/// The folder of the checkpoint of `step` in a run.
pub fn checkpoint_folder(run: &Path, step: u64) -> PathBuf {
    run.join(CHECKPOINTS).join(checkpoint_name(step))
}

/// Every checkpoint of a run, oldest first, each verified: this reads all their files.
///
/// # Errors
/// The folder of the checkpoints cannot be listed.
pub fn list_checkpoints(run: &Path) -> Result<Vec<CheckpointEntry>, SavedModelError> {
    list_checkpoints_in(&DiskFiles, run)
}

/// The same in another file system than the disk.
///
/// # Errors
/// As [`list_checkpoints`].
pub fn list_checkpoints_in(files: &dyn Files, run: &Path) -> Result<Vec<CheckpointEntry>, SavedModelError> {
    let entry = |step| {
        let folder = checkpoint_folder(run, step);
        let valid = verify_checkpoint(files, &folder);
        CheckpointEntry { step, folder, valid }
    };
    Ok(steps_in(files, run)?.into_iter().map(entry).collect())
}

/// The steps of a run's checkpoints by their names, oldest first, without looking into them.
///
/// # Errors
/// The folder of the checkpoints cannot be listed; where there is none, there are no checkpoints.
pub fn steps(run: &Path) -> Result<Vec<u64>, SavedModelError> {
    steps_in(&DiskFiles, run)
}

fn steps_in(files: &dyn Files, run: &Path) -> Result<Vec<u64>, SavedModelError> {
    let folder = run.join(CHECKPOINTS);
    let entries = match files.list(&folder) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        other => other.map_err(SavedModelError::io("list", &folder))?,
    };
    let mut steps = Vec::new();
    for path in entries {
        let Some(step) = path.file_name().and_then(|name| name.to_str()).and_then(step_of) else { continue };
        match files.kind(&path) {
            Ok(Kind::Folder) => steps.push(step),
            Ok(_) => {}
            // Whoever trains there has just removed it.
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => return Err(SavedModelError::io("list", &path)(error)),
        }
    }
    steps.sort_unstable();
    Ok(steps)
}

/// The newest checkpoint of a run that verifies, leaving out `except`. Reads no more files than it must.
///
/// # Errors
/// The folder of the checkpoints cannot be listed.
pub fn newest_checkpoint(run: &Path, except: Option<u64>) -> Result<Option<FoundCheckpoint>, SavedModelError> {
    for step in steps(run)?.into_iter().rev().filter(|&step| Some(step) != except) {
        let folder = checkpoint_folder(run, step);
        if let Ok(manifest) = verify_checkpoint(&DiskFiles, &folder) {
            return Ok(Some(FoundCheckpoint { folder, manifest, run: run.to_path_buf(), warning: None }));
        }
    }
    Ok(None)
}

/// The verified checkpoint that `which` means in `path`, a run folder or the folder of one checkpoint.
///
/// Where the file `best` is missing or names nothing, the newest checkpoint that verifies is taken, which is told. One that was
/// asked for and is damaged is an error: which other one to take is the user's choice.
///
/// # Errors
/// There is no such checkpoint, or it is damaged.
pub fn find_checkpoint(path: &Path, which: Which) -> Result<FoundCheckpoint, SavedModelError> {
    if path.join(MANIFEST_FILE).exists() {
        return open_one(path, which);
    }
    if !path.exists() {
        return Err(SavedModelError::NotThere { path: path.to_path_buf() });
    }
    if !path.join(CHECKPOINTS).is_dir() {
        return Err(SavedModelError::NotARun { path: path.to_path_buf() });
    }
    match which {
        Which::Step(step) => return open_step(path, step),
        Which::Last => {
            let newest = steps(path)?.last().copied();
            return open_step(path, newest.ok_or_else(|| SavedModelError::NoCheckpoint { run: path.to_path_buf() })?);
        }
        Which::Best => {}
    }
    if let Some(step) = best_step(&DiskFiles, path).filter(|&step| checkpoint_folder(path, step).is_dir()) {
        return open_step(path, step);
    }
    let mut found = newest_whole(path)?;
    let (file, step) = (path.join(BEST), found.manifest.step);
    let told = format!("`{}` names no checkpoint, so the newest whole one is taken: step {step}", file.display());
    found.warning.get_or_insert(told);
    Ok(found)
}

/// The newest checkpoint that verifies; that newer ones do not is told. From here a run goes on that nobody watches.
///
/// # Errors
/// None verifies, or there is none.
pub fn newest_whole(run: &Path) -> Result<FoundCheckpoint, SavedModelError> {
    let mut damage = None;
    for step in steps(run)?.into_iter().rev() {
        let folder = checkpoint_folder(run, step);
        match verify_checkpoint(&DiskFiles, &folder) {
            Ok(manifest) => {
                let warning =
                    damage.map(|error| format!("{error}; the newest whole checkpoint is taken instead: step {step}"));
                return Ok(FoundCheckpoint { folder, manifest, run: run.to_path_buf(), warning });
            }
            Err(error) => {
                damage.get_or_insert(error);
            }
        }
    }
    // None verifies: what is wrong with the newest says more than that there is none.
    Err(damage.unwrap_or_else(|| SavedModelError::NoCheckpoint { run: run.to_path_buf() }))
}

/// Makes a run folder ready for writing: removes what a process that was killed left half written.
/// To be called by the one process that may write there.
///
/// # Errors
/// What the system says.
pub fn clean_run(files: &dyn Files, run: &Path) -> Result<(), SavedModelError> {
    remove_leftovers(files, run)?;
    remove_leftovers(files, &run.join(CHECKPOINTS))
}

fn open_one(folder: &Path, which: Which) -> Result<FoundCheckpoint, SavedModelError> {
    let manifest = verify_checkpoint(&DiskFiles, folder)?;
    if let Which::Step(step) = which
        && step != manifest.step
    {
        return Err(SavedModelError::NoSuchStep { run: folder.to_path_buf(), step, available: vec![manifest.step] });
    }
    // `canonicalize` makes the folders above known when only `step-00000500` or `.` was given.
    let full = fs::canonicalize(folder).map_err(SavedModelError::io("find", folder))?;
    let run = full.parent().and_then(Path::parent).unwrap_or(folder).to_path_buf();
    Ok(FoundCheckpoint { folder: folder.to_path_buf(), manifest, run, warning: None })
}

fn open_step(run: &Path, step: u64) -> Result<FoundCheckpoint, SavedModelError> {
    let folder = checkpoint_folder(run, step);
    if !folder.is_dir() {
        return Err(SavedModelError::NoSuchStep { run: run.to_path_buf(), step, available: steps(run)? });
    }
    match verify_checkpoint(&DiskFiles, &folder) {
        Ok(manifest) => Ok(FoundCheckpoint { folder, manifest, run: run.to_path_buf(), warning: None }),
        Err(SavedModelError::Damaged { folder, problem, .. }) => {
            let other = newest_checkpoint(run, Some(step))?.map(|found| found.manifest.step);
            Err(SavedModelError::Damaged { folder, problem, other })
        }
        Err(error) => Err(error),
    }
}

/// Verifies a checkpoint folder; one that is named after a step must be of that step.
pub(super) fn verify_checkpoint(files: &dyn Files, folder: &Path) -> Result<Manifest, SavedModelError> {
    if files.kind(&folder.join(MANIFEST_FILE)).is_err_and(|error| error.kind() == ErrorKind::NotFound) {
        return Err(SavedModelError::damaged(folder, format!("`{MANIFEST_FILE}` is missing")));
    }
    let manifest = Manifest::verify_in(files, folder)?;
    match folder.file_name().and_then(|name| name.to_str()).and_then(step_of) {
        Some(step) if step != manifest.step => {
            Err(SavedModelError::damaged(folder, format!("its manifest is that of step {}", manifest.step)))
        }
        _ => Ok(manifest),
    }
}

fn checkpoint_name(step: u64) -> String {
    format!("step-{step:08}")
}

/// The step in the name of a checkpoint, only where it is written as [`checkpoint_name`] writes it.
fn step_of(name: &str) -> Option<u64> {
    let step = name.strip_prefix("step-")?.parse().ok()?;
    (checkpoint_name(step) == name).then_some(step)
}
