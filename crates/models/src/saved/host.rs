//! A model on the host, ready to be written.

use std::collections::BTreeMap;
use std::path::PathBuf;

use burn::module::Module;
use burn::tensor::TensorData;
use kiln_storage::formats::{add_packed, tensors_to_safetensors};
use kiln_storage::layout::WEIGHTS_FILE;
use kiln_storage::{StagedFolder, StorageError};

use super::description::ModelDescription;
use super::error::SavedModelError;
use super::weights::{check_finite, collect_tensors};
use crate::LanguageModel;

/// The numbers of a model on the host, with its description: what `model.safetensors` holds.
pub struct HostModel {
    tensors: BTreeMap<String, TensorData>,
    metadata: BTreeMap<String, String>,
}

impl HostModel {
    /// Copies the parameters from their device.
    ///
    /// # Errors
    /// A value that is not finite (a checkpoint never holds one), or the device fails.
    pub fn copy<M: Module>(model: &M, description: &ModelDescription) -> Result<Self, SavedModelError> {
        Self::new(collect_tensors(model)?, description)
    }

    /// A model that may have packed matrices, which stay packed.
    ///
    /// # Errors
    /// As [`HostModel::copy`].
    pub(super) fn of(model: &LanguageModel, description: &ModelDescription) -> Result<Self, SavedModelError> {
        let mut copy = Self::copy(model, description)?;
        add_packed(&model.packed_tensors(), &mut copy.tensors, &mut copy.metadata)
            .map_err(|problem| StorageError::tensors(problem, WEIGHTS_FILE.as_ref(), "write"))?;
        Ok(copy)
    }

    /// What [`HostModel::write`] writes.
    pub(super) fn to_bytes(&self) -> Result<Vec<u8>, SavedModelError> {
        let failed = |problem| StorageError::tensors(problem, WEIGHTS_FILE.as_ref(), "write");
        Ok(tensors_to_safetensors(&self.tensors, &self.metadata).map_err(failed)?)
    }

    /// Parameters that are on the host already, by path.
    ///
    /// # Errors
    /// A value that is not finite: a checkpoint never holds one.
    pub fn new(tensors: BTreeMap<String, TensorData>, description: &ModelDescription) -> Result<Self, SavedModelError> {
        let path = PathBuf::from(WEIGHTS_FILE);
        check_finite(&tensors, &path)?;
        let metadata = description.to_metadata().map_err(|problem| SavedModelError::Description { path, problem })?;
        Ok(Self { tensors, metadata })
    }

    /// Writes `model.safetensors` into a checkpoint: the parameters by their paths, and the description in the header.
    ///
    /// # Errors
    /// The system refuses.
    pub fn write(&self, folder: &mut StagedFolder<'_>) -> Result<(), SavedModelError> {
        Ok(folder.write_tensors(WEIGHTS_FILE, &self.tensors, &self.metadata)?)
    }
}
