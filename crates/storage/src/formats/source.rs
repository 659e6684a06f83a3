//! Where tensors come from.

use std::collections::BTreeMap;

use burn::tensor::{DType, TensorData};

use super::error::TensorFileError;

/// What is known of a tensor before it is read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TensorInfo {
    /// The type of its numbers.
    pub dtype: DType,
    /// The sizes of its axes.
    pub shape: Vec<usize>,
}

impl TensorInfo {
    /// How many numbers it has; as large as can be where no memory holds that many.
    pub fn elements(&self) -> u64 {
        self.shape.iter().fold(1, |product, &axis| product.saturating_mul(axis as u64))
    }
}

/// Named tensors, of which everything but the values is known at once; the values of each are read when they are asked
/// for, so that no more than one tensor need be in memory.
pub trait TensorSource {
    /// All names, in the order in which the tensors are read without going back.
    fn names(&self) -> Vec<String>;

    /// Type and shape of a tensor; `None` if there is none of this name.
    fn info(&self, name: &str) -> Option<TensorInfo>;

    /// The texts that stand beside the tensors, for example `format`.
    fn metadata(&self) -> &BTreeMap<String, String>;

    /// The values of a tensor, of the type and shape that [`TensorSource::info`] gives.
    ///
    /// # Errors
    /// There is no such tensor, or it cannot be read.
    fn read(&mut self, name: &str) -> Result<TensorData, TensorFileError>;
}

impl<S: TensorSource + ?Sized> TensorSource for &mut S {
    fn names(&self) -> Vec<String> {
        (**self).names()
    }

    fn info(&self, name: &str) -> Option<TensorInfo> {
        (**self).info(name)
    }

    fn metadata(&self) -> &BTreeMap<String, String> {
        (**self).metadata()
    }

    fn read(&mut self, name: &str) -> Result<TensorData, TensorFileError> {
        (**self).read(name)
    }
}

/// Everything that a source holds, in memory.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct TensorFile {
    /// The tensors by name.
    pub tensors: BTreeMap<String, TensorData>,
    /// The texts beside them.
    pub metadata: BTreeMap<String, String>,
}

impl TensorFile {
    /// Reads all of a source.
    ///
    /// # Errors
    /// Those of the source.
    pub fn read(source: &mut dyn TensorSource) -> Result<Self, TensorFileError> {
        let mut tensors = BTreeMap::new();
        for name in source.names() {
            let data = source.read(&name)?;
            tensors.insert(name, data);
        }
        Ok(Self { tensors, metadata: source.metadata().clone() })
    }
}

/// Tensors that are in memory are a source too.
impl TensorSource for TensorFile {
    fn names(&self) -> Vec<String> {
        self.tensors.keys().cloned().collect()
    }

    fn info(&self, name: &str) -> Option<TensorInfo> {
        let data = self.tensors.get(name)?;
        Some(TensorInfo { dtype: data.dtype(), shape: data.shape().to_vec() })
    }

    fn metadata(&self) -> &BTreeMap<String, String> {
        &self.metadata
    }

    fn read(&mut self, name: &str) -> Result<TensorData, TensorFileError> {
        self.tensors.get(name).cloned().ok_or_else(|| TensorFileError::Missing(name.to_owned()))
    }
}
