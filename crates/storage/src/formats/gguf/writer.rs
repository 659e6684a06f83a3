//! Writing a GGUF file, tensor by tensor.

use std::collections::BTreeMap;
use std::io::Write;

use burn::tensor::{DType, TensorData};
use kiln_packed::{Format, pack};

use super::super::source::TensorSource;
use super::error::GgufError;
use super::header::{DEFAULT_ALIGNMENT, MAGIC};
use super::kind::number;
use super::value::{GgufValue, write_text};

const VERSION: u32 = 3;

/// A tensor to be written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GgufTensor {
    /// Its name, in the source and in the file.
    pub name: String,
    /// How its numbers are packed.
    pub kind: Format,
}

/// Writes a file of version 3 with these values, and the tensors of a source in this order. No more than one tensor is
/// in memory.
///
/// # Errors
/// A tensor that isn't there or doesn't fit its type: the formats of [`pack`] are written; and what the system says.
pub fn write_gguf(
    output: &mut impl Write,
    values: &BTreeMap<String, GgufValue>,
    tensors: &[GgufTensor],
    source: &mut impl TensorSource,
) -> Result<(), GgufError> {
    let mut header = Vec::new();
    header.extend_from_slice(&MAGIC);
    header.extend_from_slice(&VERSION.to_le_bytes());
    header.extend_from_slice(&(tensors.len() as u64).to_le_bytes());
    header.extend_from_slice(&(values.len() as u64).to_le_bytes());
    for (key, value) in values {
        write_text(key, &mut header)?;
        value.write(&mut header)?;
    }
    let mut offset = 0_u64;
    for tensor in tensors {
        let bytes = describe(tensor, source, offset, &mut header)?;
        offset += bytes.next_multiple_of(DEFAULT_ALIGNMENT);
    }
    pad(&mut header);
    output.write_all(&header)?;
    for tensor in tensors {
        let mut bytes = match as_it_is(tensor, source)? {
            Some(bytes) => bytes,
            None => packed(tensor, &source.read(&tensor.name)?)?,
        };
        pad(&mut bytes);
        output.write_all(&bytes)?;
    }
    Ok(())
}

fn pad(bytes: &mut Vec<u8>) {
    bytes.resize(bytes.len().next_multiple_of(DEFAULT_ALIGNMENT as usize), 0);
}

/// Appends the place of a tensor, and gives its length.
fn describe(
    tensor: &GgufTensor,
    source: &impl TensorSource,
    offset: u64,
    header: &mut Vec<u8>,
) -> Result<u64, GgufError> {
    let GgufTensor { name, kind } = tensor;
    let unfit = |problem: String| GgufError::Unfit { tensor: name.clone(), problem };
    let info = source.info(name).ok_or_else(|| unfit("it is not there".to_owned()))?;
    let row = info.shape.last().copied().unwrap_or(1);
    if row % kind.block() != 0 {
        return Err(unfit(format!("its rows have {row} numbers, no multiple of {} for {}", kind.block(), kind.name())));
    }
    write_text(name, header)?;
    header.extend_from_slice(&(info.shape.len() as u32).to_le_bytes());
    for axis in info.shape.iter().rev() {
        header.extend_from_slice(&(*axis as u64).to_le_bytes());
    }
    header.extend_from_slice(&number(*kind).to_le_bytes());
    header.extend_from_slice(&offset.to_le_bytes());
    Ok(info.elements() / kind.block() as u64 * kind.block_bytes() as u64)
}

/// The bytes of a tensor that the source has in its format already.
fn as_it_is(tensor: &GgufTensor, source: &mut impl TensorSource) -> Result<Option<Vec<u8>>, GgufError> {
    if source.format(&tensor.name) != Some(tensor.kind) || tensor.kind.is_float() {
        return Ok(None);
    }
    let Some(pieces) = source.read_packed(&tensor.name, 0)? else { return Ok(None) };
    Ok(Some(pieces.iter().flat_map(|piece| piece.bytes(0..piece.rows())).copied().collect()))
}

fn packed(tensor: &GgufTensor, data: &TensorData) -> Result<Vec<u8>, GgufError> {
    let unfit = |problem: String| GgufError::Unfit { tensor: tensor.name.clone(), problem };
    let data = data.clone().try_cast(DType::F32).map_err(|error| unfit(error.to_string()))?;
    let numbers = data.as_slice::<f32>().map_err(|error| unfit(format!("{error:?}")))?;
    let mut bytes = Vec::new();
    pack(tensor.kind, numbers, &mut bytes).map_err(|error| unfit(error.to_string()))?;
    Ok(bytes)
}
