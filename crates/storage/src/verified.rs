//! Which checkpoints this process knows to be whole.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use crate::error::StorageError;
use crate::files::Files;
use crate::layout::checkpoint_folder;
use crate::manifest::Manifest;
use crate::reader::verify_checkpoint;

/// The checkpoints of a run that this process wrote or verified, or found damaged: their content need not be read again
/// to count them. A change from outside that keeps every length is noticed when a checkpoint is opened, which always
/// verifies it.
#[derive(Debug, Default)]
pub struct VerifiedSteps(Mutex<BTreeMap<u64, Option<Manifest>>>);

impl VerifiedSteps {
    /// Remembers a checkpoint that was just written or verified.
    pub fn note(&self, manifest: Manifest) {
        self.steps().insert(manifest.step, Some(manifest));
    }

    /// Whether the checkpoint of `step` is whole. The content of its files is read if that is not known yet; else only
    /// their lengths are compared.
    pub fn is_whole(&self, files: &dyn Files, run: &Path, step: u64) -> bool {
        let folder = checkpoint_folder(run, step);
        let known = self.steps().get(&step).cloned();
        match known {
            Some(manifest) => manifest
                .is_some_and(|manifest| manifest.files.iter().all(|file| file.check_length(files, &folder).is_ok())),
            None => self.look(files, &folder, step),
        }
    }

    fn look(&self, files: &dyn Files, folder: &Path, step: u64) -> bool {
        let found = match verify_checkpoint(files, folder) {
            Ok(manifest) => Some(manifest),
            Err(StorageError::Damaged { .. } | StorageError::Newer { .. }) => None,
            // What could not be read now may be readable the next time.
            Err(_) => return false,
        };
        let is_whole = found.is_some();
        self.steps().insert(step, found);
        is_whole
    }

    fn steps(&self) -> std::sync::MutexGuard<'_, BTreeMap<u64, Option<Manifest>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
