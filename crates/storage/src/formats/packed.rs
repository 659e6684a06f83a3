//! Packed matrices in a safetensors file: the blocks of each as one tensor of bytes, and under `packed` in the texts of
//! the header what they are.
//!
//! ```json
//! {"blocks.0.attention.output.weight": {"axis": 1, "inputs": 128, "pieces": [["Q4_0", 128]]}}
//! ```
//!
//! `axis` counts the packed rows in the shape that the tensor has unpacked, `inputs` are the numbers of a row, and the
//! pieces are rows of one format, one after the other, their blocks as in GGUF.

use std::collections::BTreeMap;

use burn::tensor::TensorData;
use kiln_packed::{Format, PackedMatrix, Piece};
use serde::{Deserialize, Serialize};

use super::error::TensorFileError;
use super::rearrange;

/// The key of the description in the texts of the header.
const KEY: &str = "packed";

/// A packed matrix as a tensor.
#[derive(Debug, Clone, PartialEq)]
pub struct PackedTensor {
    /// The axis that counts its rows: 0 or 1.
    pub axis: usize,
    /// Its numbers.
    pub matrix: PackedMatrix,
}

impl PackedTensor {
    /// The sizes of its axes.
    pub fn shape(&self) -> [usize; 2] {
        shape(self.axis, [self.matrix.outputs(), self.matrix.inputs()])
    }

    /// Its numbers in single precision.
    pub fn unpacked(&self) -> TensorData {
        let mut numbers = Vec::new();
        self.matrix.unpack(0..self.matrix.outputs(), &mut numbers);
        from_rows(self.axis, [self.matrix.outputs(), self.matrix.inputs()], numbers)
    }
}

fn shape(axis: usize, [outputs, inputs]: [usize; 2]) -> [usize; 2] {
    if axis == 0 { [outputs, inputs] } else { [inputs, outputs] }
}

fn from_rows(axis: usize, rows: [usize; 2], numbers: Vec<f32>) -> TensorData {
    if axis == 0 {
        return TensorData::new(numbers, rows);
    }
    let turned = rearrange::transpose(bytemuck::cast_slice(&numbers), rows, size_of::<f32>());
    TensorData::from_bytes_vec(turned, shape(axis, rows), burn::tensor::DType::F32)
}

/// Adds packed matrices to tensors and texts that are about to be written.
///
/// # Errors
/// [`TensorFileError::Header`] if the description cannot be written.
pub fn add_packed(
    packed: &BTreeMap<String, PackedTensor>,
    tensors: &mut BTreeMap<String, TensorData>,
    texts: &mut BTreeMap<String, String>,
) -> Result<(), TensorFileError> {
    if packed.is_empty() {
        return Ok(());
    }
    let mut places = BTreeMap::new();
    for (name, PackedTensor { axis, matrix }) in packed {
        let pieces = matrix.pieces().iter().map(|piece| (piece.format().name().to_owned(), piece.rows()));
        places.insert(name, PackedPlace { axis: *axis, inputs: matrix.inputs(), pieces: pieces.collect() });
        let bytes: Vec<u8> = matrix.pieces().iter().flat_map(|piece| piece.bytes(0..piece.rows())).copied().collect();
        tensors.insert(name.clone(), TensorData::new(bytes, [matrix.bytes()]));
    }
    let text = serde_json::to_string(&places).map_err(|error| TensorFileError::Header(error.to_string()))?;
    texts.insert(KEY.to_owned(), text);
    Ok(())
}

/// What the bytes of a tensor are.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct PackedPlace {
    axis: usize,
    inputs: usize,
    pieces: Vec<(String, usize)>,
}

impl PackedPlace {
    /// The description in the texts of a header, compared with how many bytes each tensor of bytes has.
    pub(crate) fn read_all(
        texts: &BTreeMap<String, String>,
        bytes_of: impl Fn(&str) -> Option<usize>,
    ) -> Result<BTreeMap<String, Self>, TensorFileError> {
        let Some(text) = texts.get(KEY) else { return Ok(BTreeMap::new()) };
        let wrong = |problem: String| TensorFileError::Header(format!("its text `{KEY}`: {problem}"));
        let places: BTreeMap<String, Self> = serde_json::from_str(text).map_err(|error| wrong(error.to_string()))?;
        for (name, place) in &places {
            let expected = place.bytes().ok_or_else(|| wrong(format!("`{name}` isn't described as a matrix")))?;
            match bytes_of(name) {
                Some(found) if found == expected => {}
                Some(found) => {
                    return Err(wrong(format!("`{name}` takes {expected} bytes, and the tensor has {found}")));
                }
                None => return Err(wrong(format!("there is no tensor of bytes `{name}`"))),
            }
        }
        Ok(places)
    }

    /// How many bytes the pieces take; `None` if they are none.
    fn bytes(&self) -> Option<usize> {
        if self.axis > 1 || self.inputs == 0 || self.pieces.is_empty() {
            return None;
        }
        self.pieces.iter().try_fold(0_usize, |sum, (name, rows)| {
            let row = Format::from_name(name)?.row_bytes(self.inputs)?;
            sum.checked_add(row.checked_mul(*rows)?)
        })
    }

    fn rows(&self) -> usize {
        self.pieces.iter().map(|(_, rows)| rows).sum()
    }

    pub(crate) fn shape(&self) -> [usize; 2] {
        shape(self.axis, [self.rows(), self.inputs])
    }

    /// The formats of its pieces, each once.
    pub(crate) fn formats(&self) -> Vec<&str> {
        let mut names: Vec<&str> = self.pieces.iter().map(|(name, _)| name.as_str()).collect();
        names.dedup();
        names
    }

    pub(super) fn is_by(&self, axis: usize) -> bool {
        self.axis == axis
    }

    /// The format of all of it.
    pub(super) fn format(&self) -> Option<Format> {
        let (first, others) = self.pieces.split_first()?;
        others.iter().all(|(name, _)| *name == first.0).then(|| Format::from_name(&first.0)).flatten()
    }

    /// The pieces in these bytes, whose number was compared.
    pub(super) fn pieces(&self, mut bytes: &[u8]) -> Result<Vec<Piece>, TensorFileError> {
        let mut pieces = Vec::new();
        for (name, rows) in &self.pieces {
            let format = Format::from_name(name).ok_or_else(|| TensorFileError::Header(format!("no format {name}")))?;
            let (own, rest) = bytes.split_at(rows * format.row_bytes(self.inputs).unwrap_or(0));
            let piece = Piece::new(format, self.inputs, own);
            pieces.push(piece.map_err(|error| TensorFileError::Header(error.to_string()))?);
            bytes = rest;
        }
        Ok(pieces)
    }

    /// The numbers in these bytes.
    pub(super) fn unpacked(&self, bytes: &[u8]) -> Result<TensorData, TensorFileError> {
        let mut numbers = Vec::new();
        let count = self.rows() * self.inputs;
        numbers.try_reserve_exact(count).map_err(|_| std::io::Error::from(std::io::ErrorKind::OutOfMemory))?;
        for piece in self.pieces(bytes)? {
            kiln_packed::unpack(piece.format(), piece.bytes(0..piece.rows()), &mut numbers);
        }
        Ok(from_rows(self.axis, [self.rows(), self.inputs], numbers))
    }
}
