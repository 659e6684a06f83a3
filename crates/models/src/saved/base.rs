//! The model that adapters are for, where a checkpoint holds those alone.

use std::path::{Path, PathBuf};

use kiln_storage::layout::{WEIGHTS_FILE, checkpoint_folder, is_run};
use kiln_storage::{CheckpointReader, DiskFiles, TensorSource, Which, open_checkpoint};

use super::description::ModelDescription;
use super::error::SavedModelError;
use super::lineage::{Lineage, hash_of};
use super::open::{Opening, SavedModel, describe, has_weights_alone, is_foreign};
use super::peft::{base_of_peft, is_peft, with_peft};
use super::problem::LoadError;
use super::weights::load_adapters;
use crate::LanguageModel;

/// What is wrong with the base of a checkpoint of adapters.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BaseProblem {
    /// It isn't where it was.
    #[error("there is no `{}`", .0.display())]
    NotThere(PathBuf),
    /// There is another model.
    #[error("`{}` is another model, with the SHA-256 {found}", path.display())]
    Other {
        /// Where it is.
        path: PathBuf,
        /// The SHA-256 of its weights.
        found: String,
    },
    /// The hash is right, and the sizes are not.
    #[error("`{}` doesn't fit: {problem}", path.display())]
    Unfit {
        /// Where it is.
        path: PathBuf,
        /// Why not.
        problem: String,
    },
}

/// The adapters of `source`, in a checkpoint at `folder` of `run`, on their base, if they have one; the description
/// then says where it was found.
pub(super) fn adapted(
    [run, folder]: [&Path; 2],
    description: &mut ModelDescription,
    source: &mut dyn TensorSource,
    opening: Opening<'_>,
) -> Result<Option<LanguageModel>, SavedModelError> {
    let Some(base) = description.base.clone() else { return Ok(None) };
    let wrong = |problem| SavedModelError::Base { model: folder.to_path_buf(), base: base.clone(), problem };
    let path = find(&base, run, opening.base)?.map_err(wrong)?;
    description.base = Some(Lineage { path: path.display().to_string(), ..base.clone() }.absolute());
    let mut saved = SavedModel::open_as(&path, Which::Best, Opening { base: None, ..opening })?;
    saved.merge();
    let attached = attach(&saved, description, source);
    attached.map(Some).map_err(|error| match error {
        AttachError::Unfit(problem) => wrong(BaseProblem::Unfit { path, problem }),
        AttachError::Load(error) => SavedModelError::load(error, folder),
    })
}

/// Why adapters can't be put on a model.
enum AttachError {
    Unfit(String),
    Load(LoadError),
}

/// The adapters of `source` on their base.
fn attach(
    base: &SavedModel,
    description: &ModelDescription,
    source: &mut dyn TensorSource,
) -> Result<LanguageModel, AttachError> {
    if base.description.vocabulary_size != description.vocabulary_size {
        let [theirs, ours] = [base.description.vocabulary_size, description.vocabulary_size];
        return Err(AttachError::Unfit(format!("it knows {theirs} tokens, and the adapters {ours}")));
    }
    if !base.description.model.is_same_function(&description.model) {
        return Err(AttachError::Unfit("it is a model of another configuration".to_owned()));
    }
    let model = base.model.clone().reconfigured(&description.model, description.context).map_err(AttachError::Unfit)?;
    let Some(adapter) = &description.adapter else { return Ok(model) };
    let device = model.device();
    let model = model.with_blank_adapters(adapter, &device).map_err(|error| AttachError::Unfit(error.to_string()))?;
    load_adapters(model, source).map_err(AttachError::Load)
}

impl SavedModel {
    /// The model with the adapters of a run, a checkpoint or a folder in `peft`'s form; adapters of its own are merged
    /// first.
    ///
    /// # Errors
    /// There are none, or they are for another model.
    pub fn with_adapter(&self, path: &Path, which: Which) -> Result<Self, SavedModelError> {
        let mut base = self.with(self.model.clone(), self.description.clone());
        base.merge();
        if is_peft(path) {
            return with_peft(&base, path);
        }
        if is_foreign(path) || has_weights_alone(path) {
            return Err(SavedModelError::NoAdapter { path: path.to_path_buf() });
        }
        let hash = hash_of(&self.folder)?;
        let (_, saved) = open_checkpoint(&DiskFiles, path, which, |checkpoint: &mut CheckpointReader<'_>| {
            let folder = checkpoint.folder().to_path_buf();
            let file = folder.join(WEIGHTS_FILE);
            checkpoint.read_tensors(WEIGHTS_FILE, |source| {
                let description = describe(&file, source.metadata())?;
                let Some(expected) = description.base.clone() else {
                    return Err(SavedModelError::NoAdapter { path: path.to_path_buf() });
                };
                let wrong = |problem| SavedModelError::Base { model: folder.clone(), base: expected.clone(), problem };
                if hash != expected.sha256 {
                    return Err(wrong(BaseProblem::Other { path: self.folder.clone(), found: hash.clone() }));
                }
                let model = attach(&base, &description, source).map_err(|error| match error {
                    AttachError::Unfit(problem) => wrong(BaseProblem::Unfit { path: self.folder.clone(), problem }),
                    AttachError::Load(error) => SavedModelError::load(error, &folder),
                })?;
                Ok(base.with(model, description))
            })
        })?;
        Ok(saved)
    }

    /// Opens a folder in `peft`'s form with the base that it names, or that was.
    pub(super) fn open_peft(folder: &Path, opening: Opening<'_>) -> Result<Self, SavedModelError> {
        let name = base_of_peft(folder)?;
        let named = name.as_ref().map(PathBuf::from);
        let beside = named.as_ref().map(|name| folder.join(name));
        let candidates = [opening.base.map(Path::to_path_buf), named, beside];
        let Some(path) = candidates.into_iter().flatten().find(|path| path.exists()) else {
            return Err(SavedModelError::NoBase { folder: folder.to_path_buf(), name });
        };
        Self::open_as(&path, Which::Best, Opening { base: None, ..opening })?.with_adapter(folder, Which::Best)
    }
}

/// Where the base is: where it was named, or was, or beside the run, if both were moved together.
fn find(base: &Lineage, run: &Path, named: Option<&Path>) -> Result<Result<PathBuf, BaseProblem>, SavedModelError> {
    let was = PathBuf::from(&base.path);
    let candidates = match named {
        Some(named) => vec![named.to_path_buf()],
        None => [was.clone()].into_iter().chain(beside(&was, run)).collect(),
    };
    let mut problem = None;
    for path in candidates {
        let path = match base.step {
            Some(step) if is_run(&path) => checkpoint_folder(&path, step),
            _ => path,
        };
        if !path.exists() {
            problem.get_or_insert(BaseProblem::NotThere(path));
            continue;
        }
        let found = hash_of(&path)?;
        if found == base.sha256 {
            return Ok(Ok(path));
        }
        problem = Some(BaseProblem::Other { path, found });
    }
    Ok(Err(problem.unwrap_or(BaseProblem::NotThere(was))))
}

/// What the path of the base may be in the folder of the run, or in those above, by its last parts.
fn beside(was: &Path, run: &Path) -> Vec<PathBuf> {
    let parts: Vec<_> = was.iter().collect();
    let Some(folder) = std::path::absolute(run).ok().and_then(|run| run.parent().map(Path::to_path_buf)) else {
        return Vec::new();
    };
    let ends = (1..parts.len()).rev().map(|count| parts[parts.len() - count..].iter().collect::<PathBuf>());
    ends.map(|end| folder.join(end)).filter(|path| path != was && path.exists()).collect()
}
