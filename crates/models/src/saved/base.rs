//! The model that adapters are for, where a checkpoint holds those alone.

use std::path::{Path, PathBuf};

use kiln_storage::layout::{checkpoint_folder, is_run};
use kiln_storage::{TensorSource, Which};

use super::description::ModelDescription;
use super::error::SavedModelError;
use super::lineage::{Lineage, hash_of};
use super::open::{Opening, SavedModel};
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
    let unfit = |problem| wrong(BaseProblem::Unfit { path: path.clone(), problem });
    if saved.description.vocabulary_size != description.vocabulary_size {
        let [theirs, ours] = [saved.description.vocabulary_size, description.vocabulary_size];
        return Err(unfit(format!("it knows {theirs} tokens, and the adapters {ours}")));
    }
    if !saved.description.model.is_same_function(&description.model) {
        return Err(unfit("it is a model of another configuration".to_owned()));
    }
    let model = saved.model.reconfigured(&description.model, description.context).map_err(unfit)?;
    let Some(adapter) = &description.adapter else { return Ok(Some(model)) };
    let model = model.with_blank_adapters(adapter, opening.device).map_err(|error| unfit(error.to_string()))?;
    load_adapters(model, source).map(Some).map_err(|error| SavedModelError::load(error, folder))
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
