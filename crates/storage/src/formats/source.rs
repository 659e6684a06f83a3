//! Where tensors come from.

use std::collections::BTreeMap;

use burn::tensor::{DType, TensorData};
use kiln_packed::{Format, Piece};

use super::error::TensorFileError;
use super::packed::PackedTensor;

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

    /// A matrix as it is kept, in pieces one after the other; `axis` counts its packed rows. `None` where it isn't kept
    /// row by row along this axis, or in a form that [`kiln_packed`] doesn't have.
    ///
    /// # Errors
    /// As [`TensorSource::read`].
    fn read_packed(&mut self, name: &str, axis: usize) -> Result<Option<Vec<Piece>>, TensorFileError>;

    /// How the numbers of a tensor are kept; `None` where they aren't in such a form, or in several.
    fn format(&self, name: &str) -> Option<Format>;
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

    fn read_packed(&mut self, name: &str, axis: usize) -> Result<Option<Vec<Piece>>, TensorFileError> {
        (**self).read_packed(name, axis)
    }

    fn format(&self, name: &str) -> Option<Format> {
        (**self).format(name)
    }
}

/// The format of numbers that are floats of this type.
pub(super) fn format_of(dtype: DType) -> Option<Format> {
    match dtype {
        DType::F32 => Some(Format::F32),
        DType::F16 => Some(Format::F16),
        DType::BF16 => Some(Format::Bf16),
        _ => None,
    }
}

/// A matrix of floats whose rows lie one after the other, `axis` being theirs.
pub(super) fn piece_of(data: &TensorData, axis: usize) -> Option<Piece> {
    match (&data.shape()[..], axis) {
        (&[_, inputs], 0) => Piece::new(format_of(data.dtype())?, inputs, data.as_bytes()).ok(),
        _ => None,
    }
}

/// Everything that a source holds, in memory.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct TensorFile {
    /// The tensors by name.
    pub tensors: BTreeMap<String, TensorData>,
    /// Packed matrices by name.
    pub packed: BTreeMap<String, PackedTensor>,
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
        Ok(Self { tensors, packed: BTreeMap::new(), metadata: source.metadata().clone() })
    }
}

/// Tensors that are in memory are a source too.
impl TensorSource for TensorFile {
    fn names(&self) -> Vec<String> {
        self.tensors.keys().chain(self.packed.keys()).cloned().collect()
    }

    fn info(&self, name: &str) -> Option<TensorInfo> {
        if let Some(packed) = self.packed.get(name) {
            return Some(TensorInfo { dtype: DType::F32, shape: packed.shape().to_vec() });
        }
        let data = self.tensors.get(name)?;
        Some(TensorInfo { dtype: data.dtype(), shape: data.shape().to_vec() })
    }

    fn metadata(&self) -> &BTreeMap<String, String> {
        &self.metadata
    }

    fn read(&mut self, name: &str) -> Result<TensorData, TensorFileError> {
        if let Some(packed) = self.packed.get(name) {
            return Ok(packed.unpacked());
        }
        self.tensors.get(name).cloned().ok_or_else(|| TensorFileError::Missing(name.to_owned()))
    }

    fn read_packed(&mut self, name: &str, axis: usize) -> Result<Option<Vec<Piece>>, TensorFileError> {
        if let Some(packed) = self.packed.get(name) {
            return Ok((packed.axis == axis).then(|| packed.matrix.pieces().to_vec()));
        }
        let data = self.tensors.get(name).ok_or_else(|| TensorFileError::Missing(name.to_owned()))?;
        Ok(piece_of(data, axis).map(|piece| vec![piece]))
    }

    fn format(&self, name: &str) -> Option<Format> {
        if let Some(packed) = self.packed.get(name) {
            let mut formats = packed.matrix.pieces().iter().map(Piece::format);
            let first = formats.next()?;
            return formats.all(|format| format == first).then_some(first);
        }
        self.tensors.get(name).and_then(|data| format_of(data.dtype()))
    }
}
