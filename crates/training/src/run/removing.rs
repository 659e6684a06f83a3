//! What a run no longer needs: checkpoints, the state of training in them, or all of it.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use kiln_models::saved::has_weights_alone;
use kiln_storage::layout::{
    BEST_FILE, CARRIED_STATE_FILE, CHECKPOINTS, CONFIG_FILE, DIVERGED_FILE, HISTORY_FILE, LOCK_FILE, METRICS_FILE,
    OPTIMIZER_FILE, RECORD_FILE, TOKENIZER_FILE, TRAINING_WEIGHTS_FILE, WEIGHTS_FILE, is_run, is_sweep,
};
use kiln_storage::{
    DiskFiles, StorageError, best_step, checkpoint_folder, clean_run, drop_files, list_checkpoints, list_leftovers,
    remove_folder_atomically,
};

use super::error::FolderError;
use super::lock::lock;
use super::survey::measure;

/// Which checkpoints stay.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keep {
    /// All that are whole.
    All,
    /// The one that `best` names.
    Best,
    /// The newest.
    Last,
    /// This many of the newest, and the best.
    Newest(usize),
}

impl FromStr for Keep {
    type Err = String;

    /// `best`, `last`, or a number from 1 on.
    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "best" => Ok(Self::Best),
            "last" => Ok(Self::Last),
            number => match number.parse() {
                Ok(count) if count > 0 => Ok(Self::Newest(count)),
                _ => Err(format!("`{number}` is neither `best`, nor `last`, nor a number from 1 on")),
            },
        }
    }
}

/// What pruning did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pruned {
    /// The steps of the checkpoints that stay, oldest first.
    pub kept: Vec<u64>,
    /// Those of the others, damaged ones among them.
    pub removed: Vec<u64>,
    /// Bytes that are free now.
    pub freed: u64,
    /// Bytes that went from the run and stay on the disk, since their files have other names outside of it.
    pub linked: u64,
}

/// Removes the checkpoints of a run that need not stay, and with `weights_only` of those that stay everything that only
/// training needs. All are verified first: damaged ones never count as kept.
///
/// # Errors
/// The run is being trained, has no whole checkpoint, or no best one where that is to stay; then nothing is removed.
/// Else what the system says.
pub fn prune(run: &Path, keep: Keep, weights_only: bool) -> Result<Pruned, FolderError> {
    let _lock = lock(run)?;
    let before = Stored::of(run);
    clean_run(&DiskFiles, run)?;
    let entries = list_checkpoints(run)?;
    let whole: Vec<u64> = entries.iter().filter(|entry| entry.valid.is_ok()).map(|entry| entry.step).collect();
    if whole.is_empty() {
        return Err(StorageError::NoCheckpoint { run: run.to_path_buf() }.into());
    }
    let best = best_step(&DiskFiles, run).filter(|best| whole.contains(best));
    let newest = |count: usize| whole[whole.len().saturating_sub(count)..].to_vec();
    let kept = match keep {
        Keep::All => whole,
        Keep::Best => vec![best.ok_or_else(|| FolderError::NoBest { path: run.to_path_buf() })?],
        Keep::Last => newest(1),
        Keep::Newest(count) => {
            let older_best = best.filter(|best| !newest(count).contains(best));
            older_best.into_iter().chain(newest(count)).collect()
        }
    };
    let is_kept = |step: &u64| kept.contains(step);
    if best_step(&DiskFiles, run).is_some_and(|best| !is_kept(&best)) {
        let path = run.join(BEST_FILE);
        fs::remove_file(&path).map_err(StorageError::io("remove", &path))?;
    }
    let removed: Vec<u64> = entries.iter().map(|entry| entry.step).filter(|step| !is_kept(step)).collect();
    for &step in &removed {
        remove_folder_atomically(&DiskFiles, &checkpoint_folder(run, step))?;
    }
    for &step in kept.iter().filter(|_| weights_only) {
        let of_training = [OPTIMIZER_FILE, TRAINING_WEIGHTS_FILE, CARRIED_STATE_FILE];
        drop_files(&DiskFiles, &checkpoint_folder(run, step), &of_training)?;
    }
    let [freed, linked] = before.without(&Stored::of(run));
    Ok(Pruned { kept, removed, freed, linked })
}

/// The files of a run, by what they are on the disk: a file may have several names.
struct Stored(BTreeMap<String, StoredFile>);

struct StoredFile {
    bytes: u64,
    /// Its names in the run, and all that it has.
    names: u64,
    all_names: u64,
}

impl Stored {
    /// The folder of the checkpoints may be a link to one elsewhere.
    fn of(run: &Path) -> Self {
        let mut stored = Self(BTreeMap::new());
        stored.add(run);
        let checkpoints = run.join(CHECKPOINTS);
        if checkpoints.is_symlink() {
            stored.add(&checkpoints);
        }
        stored
    }

    fn add(&mut self, folder: &Path) {
        for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
            match entry.metadata() {
                Ok(metadata) if metadata.is_dir() => self.add(&entry.path()),
                Ok(metadata) => {
                    let (identity, all_names) = identity(&entry.path(), &metadata);
                    let bytes = metadata.len();
                    self.0.entry(identity).or_insert(StoredFile { bytes, names: 0, all_names }).names += 1;
                }
                Err(_) => {}
            }
        }
    }

    /// Bytes of the files that are not in `left` any more, less those that are new there: of files that are gone, and
    /// of files that have other names.
    fn without(&self, left: &Self) -> [u64; 2] {
        let [gone, linked] = self.only_here(left);
        [gone.saturating_sub(left.only_here(self)[0]), linked]
    }

    fn only_here(&self, other: &Self) -> [u64; 2] {
        let files = || self.0.iter().filter(|(identity, _)| !other.0.contains_key(*identity)).map(|(_, file)| file);
        let bytes = |is_linked: bool| {
            files().filter(|file| (file.all_names > file.names) == is_linked).map(|file| file.bytes).sum()
        };
        [bytes(false), bytes(true)]
    }
}

/// What a file is on the disk, and how many names it has.
#[cfg(unix)]
fn identity(_path: &Path, metadata: &fs::Metadata) -> (String, u64) {
    use std::os::unix::fs::MetadataExt;
    (format!("{} {}", metadata.dev(), metadata.ino()), metadata.nlink())
}

#[cfg(not(unix))]
fn identity(path: &Path, _metadata: &fs::Metadata) -> (String, u64) {
    (path.to_string_lossy().into_owned(), 1)
}

/// What removing a run or a sweep takes away, and what it leaves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Removal {
    /// Bytes of the files that go.
    pub bytes: u64,
    /// What links lead to, which stays: where the path is one, all of it; else the folders of checkpoints, or the runs
    /// of a sweep, that are elsewhere.
    pub stays: Vec<PathBuf>,
}

impl Removal {
    /// Of the run or sweep at `path`.
    pub fn of(path: &Path) -> Self {
        let path: PathBuf = path.components().collect();
        if path.is_symlink() {
            return Self { bytes: 0, stays: fs::canonicalize(&path).into_iter().collect() };
        }
        let entries = list(&path).unwrap_or_default();
        let runs = entries.iter().filter(|entry| is_sweep(&path) && entry.is_dir());
        let links = runs.clone().filter(|run| run.is_symlink()).filter_map(|run| fs::canonicalize(run).ok());
        let here = std::iter::once(&path).chain(runs.filter(|run| !run.is_symlink()));
        let moved: Vec<PathBuf> = here.filter_map(|run| moved_checkpoints(run)).collect();
        let elsewhere: u64 = moved.iter().map(|folder| measure(folder).0).sum();
        Self { bytes: measure(&path).0.saturating_sub(elsewhere), stays: links.chain(moved).collect() }
    }
}

/// Removes the folder of a run or a sweep, which loses its name first. Links are never followed: one that is given, or
/// that is in the folder, goes alone, and what it leads to stays. Nothing is removed where a run in it is being
/// trained, or where it holds something that no run has.
///
/// # Errors
/// It isn't a run, or it is one of those; else what the system says.
pub fn remove(path: &Path) -> Result<Removal, FolderError> {
    // With a slash at its end a link is the folder that it leads to.
    let given: PathBuf = path.components().collect();
    let removal = Removal::of(&given);
    let unlink = || fs::remove_file(&given).map_err(StorageError::io("remove", &given));
    if given.is_symlink() && !given.exists() {
        unlink()?;
        return Ok(removal);
    }
    // The last part of `.` is not the name that the folder has.
    let path = fs::canonicalize(&given).map_err(StorageError::io("find", &given))?;
    let runs = runs_in(&path)?;
    if let Some(inside) = runs.iter().find_map(|run| foreign(run).transpose()).transpose()? {
        return Err(FolderError::NotOurs { path, inside });
    }
    let _locks = runs.iter().map(|run| lock(run)).collect::<Result<Vec<_>, _>>()?;
    if given.is_symlink() {
        unlink()?;
    } else {
        remove_folder_atomically(&DiskFiles, &path)?;
    }
    Ok(removal)
}

/// Where the checkpoints of a run are, if its folder has a link to them.
pub fn moved_checkpoints(run: &Path) -> Option<PathBuf> {
    let checkpoints = run.join(CHECKPOINTS);
    if checkpoints.is_symlink() { fs::canonicalize(checkpoints).ok() } else { None }
}

/// The run itself, or those of a sweep.
fn runs_in(path: &Path) -> Result<Vec<PathBuf>, FolderError> {
    if !is_sweep(path) {
        return Ok(vec![path.to_path_buf()]);
    }
    let entries = list(path)?;
    let folders: Vec<PathBuf> = entries.into_iter().filter(|entry| entry.is_dir()).collect();
    match folders.iter().find(|folder| !is_run(folder)) {
        Some(folder) => Err(FolderError::NotOurs { path: path.to_path_buf(), inside: folder.clone() }),
        None => Ok(folders),
    }
}

/// Something in the folder of a run that Kiln did not put there. A folder with a `config.toml` need not be a run.
fn foreign(run: &Path) -> Result<Option<PathBuf>, FolderError> {
    const OURS: [&str; 9] = [
        CONFIG_FILE,
        TOKENIZER_FILE,
        RECORD_FILE,
        METRICS_FILE,
        HISTORY_FILE,
        BEST_FILE,
        LOCK_FILE,
        DIVERGED_FILE,
        CHECKPOINTS,
    ];
    let leftovers = list_leftovers(run)?;
    let is_ours = |path: &PathBuf| {
        OURS.iter().any(|name| path.file_name().is_some_and(|other| other == *name)) || leftovers.contains(path)
    };
    if has_weights_alone(run) {
        let ours = [WEIGHTS_FILE, TOKENIZER_FILE];
        let is_ours = |path: &PathBuf| ours.iter().any(|name| path.file_name().is_some_and(|other| other == *name));
        return Ok(list(run)?.into_iter().find(|path| !is_ours(path)));
    }
    if !is_run(run) {
        return Err(StorageError::NotARun { path: run.to_path_buf() }.into());
    }
    Ok(list(run)?.into_iter().find(|path| !is_ours(path)))
}

fn list(folder: &Path) -> Result<Vec<PathBuf>, FolderError> {
    let failed = |source| FolderError::from(StorageError::io("list", folder)(source));
    let entries = fs::read_dir(folder).map_err(failed)?;
    entries.map(|entry| Ok(entry.map_err(failed)?.path())).collect()
}
