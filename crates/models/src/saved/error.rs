//! What can be wrong with a saved model.

use std::path::{Path, PathBuf};

use kiln_storage::StorageError;

use super::base::BaseProblem;
use super::gguf::GgufModelError;
use super::hugging_face::HuggingFaceError;
use super::imported::ImportError;
use super::lineage::Lineage;
use super::problem::{LoadError, WeightProblem, summary};

/// Why a model could not be saved or opened. The message says what, where and why.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SavedModelError {
    /// A file or a checkpoint.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// The tensors do not fit the model, or hold a value that is not finite.
    #[error("`{path}` does not fit the model: {}", summary(problems))]
    Weights {
        /// The file.
        path: PathBuf,
        /// Every tensor that does not fit.
        problems: Vec<WeightProblem>,
    },
    /// The description of the model inside the weights is missing or makes no sense.
    #[error("`{path}` does not say which model it holds: {problem}")]
    Description {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// The tokenizer beside the checkpoint is not the one that the model was trained with.
    #[error(
        "the tokenizer `{tokenizer}` ({found_size} tokens, hash {found_hash}) is not the one that `{model}` was \
         trained with ({expected_size} tokens, hash {expected_hash})"
    )]
    VocabularyMismatch {
        /// The tokenizer file.
        tokenizer: PathBuf,
        /// The checkpoint folder.
        model: PathBuf,
        /// Tokens in the tokenizer that was found.
        found_size: usize,
        /// Its hash, in hexadecimal.
        found_hash: String,
        /// Tokens that the model knows.
        expected_size: usize,
        /// The hash of the tokenizer that it was trained with.
        expected_hash: String,
    },
    /// `tokenizer.json` is missing or cannot be read.
    #[error("cannot use the tokenizer `{path}`: {problem}")]
    Tokenizer {
        /// The file.
        path: PathBuf,
        /// Why not.
        problem: String,
    },
    /// The base of adapters isn't there, or is another model.
    #[error("`{}` holds adapters of `{}` (SHA-256 {}), but {problem}", model.display(), base.path, base.short_hash())]
    Base {
        /// The checkpoint folder.
        model: PathBuf,
        /// What they are for.
        base: Lineage,
        /// What is wrong with what is there.
        problem: BaseProblem,
    },
    /// A folder that another program wrote.
    #[error("cannot read the model in `{}`: {problem}", folder.display())]
    HuggingFace {
        /// The folder.
        folder: PathBuf,
        /// What is wrong.
        problem: HuggingFaceError,
    },
    /// A model that cannot be written in the form of another program.
    #[error("cannot write the model `{}` in that form: {problem}", folder.display())]
    Unwritable {
        /// Where the model is.
        folder: PathBuf,
        /// Why not.
        problem: String,
    },
    /// A recurrent model of another program.
    #[error("cannot make a model of `{}`: {problem}", path.display())]
    Import {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        problem: ImportError,
    },
    /// A GGUF file.
    #[error("cannot read the model in `{}`: {problem}", path.display())]
    Gguf {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        problem: GgufModelError,
    },
    /// The device failed while the weights were read from it.
    #[error("cannot read the model from its device: {problem}")]
    Device {
        /// What the device said.
        problem: String,
    },
}

impl SavedModelError {
    /// Why a model could not be loaded from the file at `path`.
    pub(super) fn load(error: LoadError, path: &Path) -> Self {
        match error {
            LoadError::Problems(problems) => Self::Weights { path: path.to_path_buf(), problems },
            LoadError::Source(error) => StorageError::tensors(error, path, "read").into(),
        }
    }
}
