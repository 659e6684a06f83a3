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
        if !description.ranks.is_empty() {
            return Err(self.unwritable(&HuggingFaceError::Factored));
        }
        if description.adapter.is_some() {
            return Err(self.unwritable(&HuggingFaceError::Adapted));
        }
        self.family()
    }

    /// The same of a model that may have adapters.
    pub(super) fn family(&self) -> Result<(Value, Foreign), SavedModelError> {
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

    /// The tensors of the family, and others `beside` them; packed matrices stay packed.
    pub(super) fn tensors(
        &self,
        foreign: &Foreign,
        beside: BTreeMap<String, TensorData>,
    ) -> Result<Mapped<TensorFile>, SavedModelError> {
        let parameters = TensorFile {
            tensors: collect_tensors(&self.saved.model)?,
            packed: self.saved.model.packed_tensors(),
            ..TensorFile::default()
        };
        let path = &self.saved.folder;
        tensors::tensors(foreign, parameters, beside)
            .map_err(|problem| StorageError::tensors(problem, path, "write").into())
    }
}

/// Writes a folder that `transformers` opens, with matrices of `format`, by default single precision: `folder` is there
/// and empty.
///
/// # Errors
/// No family has all of the model's options, a format of whole numbers, which these folders don't have, or the system
/// refuses.
pub fn export_hugging_face(
    saved: &SavedModel,
    format: Option<Format>,
    folder: &Path,
) -> Result<Written, SavedModelError> {
    let model = Unexported { saved };
    let dtype = match format {
        None | Some(Format::F32) => DType::F32,
        Some(Format::F16) => DType::F16,
        Some(Format::Bf16) => DType::BF16,
        Some(_) => return Err(model.unwritable(&HuggingFaceError::NoPacked)),
    };
    hugging_face::write(&model, dtype, folder)
}

/// Writes a file that `llama.cpp` opens, with matrices of `format`; by default as the model has them, which keeps the
/// very bits of packed ones.
///
/// # Errors
/// No family has all of the model's options or of its tokenizer's, or the system refuses.
pub fn export_gguf(saved: &SavedModel, format: Option<Format>, path: &Path) -> Result<Written, SavedModelError> {
    gguf::write(&Unexported { saved }, format, path)
}
