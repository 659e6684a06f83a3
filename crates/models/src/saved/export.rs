//! Writing a model in the forms of other programs.

use std::collections::BTreeMap;
use std::path::Path;

use burn::tensor::{DType, TensorData};
use kiln_packed::Format;
use kiln_storage::StorageError;
use kiln_storage::formats::{Mapped, TensorFile};
use serde_json::Value;

use super::error::SavedModelError;
use super::foreign::Foreign;
use super::hugging_face::written::{self as hugging_face, config, tensors};
use super::open::SavedModel;
use super::weights::collect_tensors;
use super::{gguf, hugging_face::HuggingFaceError};
use crate::ModelConfig;

/// How precise the written matrices are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Precision {
    /// Single.
    F32,
    /// Half.
    F16,
    /// The upper half of single.
    Bf16,
    /// Eight bits with a scale for each 32 numbers; in GGUF alone.
    Q8_0,
}

impl Precision {
    fn dtype(self) -> Option<DType> {
        match self {
            Self::F32 => Some(DType::F32),
            Self::F16 => Some(DType::F16),
            Self::Bf16 => Some(DType::BF16),
            Self::Q8_0 => None,
        }
    }

    fn gguf(self) -> Format {
        match self {
            Self::F32 => Format::F32,
            Self::F16 => Format::F16,
            Self::Bf16 => Format::Bf16,
            Self::Q8_0 => Format::Q8_0,
        }
    }
}

/// What was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Written {
    /// The family that the model became.
    pub family: String,
    /// What the user should know.
    pub notes: Vec<String>,
}

/// A model that is to be written.
pub(super) struct Unexported<'a> {
    pub(super) saved: &'a SavedModel,
}

impl Unexported<'_> {
    /// The `config.json` of the family that has all of the model's options.
    pub(super) fn described(&self) -> Result<(Value, Foreign), SavedModelError> {
        let description = &self.saved.description;
        let config = match &description.model {
            ModelConfig::Transformer(config) => Ok(config),
            _ => Err(HuggingFaceError::Recurrent),
        };
        let described =
            config.and_then(|config| config::described(config, description.vocabulary_size, description.context));
        described.map_err(|problem| self.unwritable(&problem))
    }

    /// The error that the model has no counterpart.
    pub(super) fn unwritable(&self, problem: &dyn std::fmt::Display) -> SavedModelError {
        SavedModelError::Unwritable { folder: self.saved.folder.clone(), problem: problem.to_string() }
    }

    /// The tensors of the family, and others `beside` them.
    pub(super) fn tensors(
        &self,
        foreign: &Foreign,
        beside: BTreeMap<String, TensorData>,
    ) -> Result<Mapped<TensorFile>, SavedModelError> {
        let parameters: BTreeMap<String, TensorData> = collect_tensors(&self.saved.model)?;
        let path = &self.saved.folder;
        tensors::tensors(foreign, parameters, beside)
            .map_err(|problem| StorageError::tensors(problem, path, "write").into())
    }
}

/// Writes a folder that `transformers` opens: `folder` is there and empty.
///
/// # Errors
/// No family has all of the model's options, [`Precision::Q8_0`], which these folders don't have, or the system
/// refuses.
pub fn export_hugging_face(
    saved: &SavedModel,
    precision: Precision,
    folder: &Path,
) -> Result<Written, SavedModelError> {
    let model = Unexported { saved };
    match precision.dtype() {
        Some(dtype) => hugging_face::write(&model, dtype, folder),
        None => Err(model.unwritable(&HuggingFaceError::NoPacked)),
    }
}

/// Writes a file that `llama.cpp` opens.
///
/// # Errors
/// No family has all of the model's options or of its tokenizer's, or the system refuses.
pub fn export_gguf(saved: &SavedModel, precision: Precision, path: &Path) -> Result<Written, SavedModelError> {
    gguf::write(&Unexported { saved }, precision.gguf(), path)
}
