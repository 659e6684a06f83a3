//! Models whose matrices stay as a file has them, to be read with on the CPU.

use std::collections::{BTreeMap, BTreeSet};

use burn::tensor::{Device, Tensor, TensorData};
use kiln_kernels::multiplies_packed;
use kiln_packed::{Format, PackedMatrix, Piece};
use kiln_storage::TensorFileError;
use kiln_storage::formats::{TensorInfo, TensorSource};

use super::problem::{LoadError, WeightProblem};
use super::weights::{load, misfits_of};
use crate::LanguageModel;
use crate::matrix::Matrix;
use crate::weight::Orientation;

/// How weights become those of a model.
pub(super) type Loader = fn(LanguageModel, &mut dyn TensorSource) -> Result<LanguageModel, LoadError>;

/// How a model is loaded that is only read with.
pub(super) fn loader_to_read(device: &Device) -> Loader {
    if multiplies_packed(device) { load_packed } else { load }
}

/// As [`load`], but the matrices stay packed as the source has them. Those that it keeps by columns are transposed.
///
/// # Errors
/// As [`load`].
pub(super) fn load_packed(mut model: LanguageModel, source: &mut dyn TensorSource) -> Result<LanguageModel, LoadError> {
    // What doesn't fit is named with all else that doesn't.
    if misfits_of(&model, source) {
        return load(model, source);
    }
    let (mut taken, mut problems) = (BTreeSet::new(), Vec::new());
    for Matrix { name, orientation, weight } in model.matrices() {
        let [height, width] = weight.dims(orientation);
        let (axis, inputs) = match orientation {
            Orientation::Table => (0, width),
            Orientation::Projection => (1, height),
        };
        let pieces = match source.read_packed(&name, axis)? {
            Some(pieces) => pieces,
            None => vec![rows(source, &name, orientation)?],
        };
        let mut first = 0;
        for piece in &pieces {
            if let Some(index) = piece.first_not_finite() {
                problems.push(WeightProblem::NotFinite { name: name.clone(), index: first + index });
                break;
            }
            first += piece.rows() * inputs;
        }
        *weight = PackedMatrix::join(inputs, pieces).map_err(|error| unfit(&name, &error))?.into();
        taken.insert(name);
    }
    if problems.is_empty() { load(model, &mut Without { source, taken }) } else { Err(LoadError::Problems(problems)) }
}

/// A matrix whose rows are not together in the source.
fn rows(source: &mut dyn TensorSource, name: &str, orientation: Orientation) -> Result<Piece, LoadError> {
    let data = source.read(name)?;
    let table = Tensor::<2>::from_data(data, &Device::flex());
    let table = if orientation == Orientation::Projection { table.transpose() } else { table };
    let [_, inputs] = table.dims();
    let numbers: Vec<f32> = table.into_data().iter().collect();
    // Numbers of 16 bits go back to them without a loss.
    let format = source.format(name).filter(|format| format.is_float()).unwrap_or(Format::F32);
    let packed = PackedMatrix::pack(format, inputs, &numbers).map_err(|error| unfit(name, &error))?;
    Ok(packed.pieces()[0].clone())
}

fn unfit(name: &str, error: &dyn std::error::Error) -> LoadError {
    TensorFileError::Recipe { tensor: name.to_owned(), problem: error.to_string() }.into()
}

/// A source without some of its tensors.
struct Without<'a> {
    source: &'a mut dyn TensorSource,
    taken: BTreeSet<String>,
}

impl TensorSource for Without<'_> {
    fn names(&self) -> Vec<String> {
        self.source.names().into_iter().filter(|name| !self.taken.contains(name)).collect()
    }

    fn info(&self, name: &str) -> Option<TensorInfo> {
        self.source.info(name)
    }

    fn metadata(&self) -> &BTreeMap<String, String> {
        self.source.metadata()
    }

    fn read(&mut self, name: &str) -> Result<TensorData, TensorFileError> {
        self.source.read(name)
    }

    fn read_packed(&mut self, name: &str, axis: usize) -> Result<Option<Vec<Piece>>, TensorFileError> {
        self.source.read_packed(name, axis)
    }

    fn format(&self, name: &str) -> Option<Format> {
        self.source.format(name)
    }
}
