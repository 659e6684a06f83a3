//! Named tensors as the bytes of a safetensors file.
//!
//! Done here and not by the `safetensors` crate, because that keeps the texts in a hash map: two files with the same
//! content would differ, and the equality of checkpoints could not be checked by their hashes.

use std::collections::BTreeMap;
use std::io::Write;

use burn::tensor::TensorData;
use safetensors::Dtype;
use serde::Serialize;
use serde::ser::{SerializeMap, Serializer};

use super::error::{RESERVED_NAME, TensorFileError};
use super::number_types::to_safetensors;

/// The bytes of a safetensors file with these tensors and texts; the same content always gives the same bytes.
///
/// # Errors
/// A type of number that the format doesn't have, or a tensor named `__metadata__`.
pub fn tensors_to_safetensors(
    tensors: &BTreeMap<String, TensorData>,
    metadata: &BTreeMap<String, String>,
) -> Result<Vec<u8>, TensorFileError> {
    let mut bytes = Vec::new();
    write_tensors(&mut bytes, tensors, metadata)?;
    Ok(bytes)
}

/// Writes a safetensors file in pieces.
pub(crate) fn write_tensors(
    writer: &mut dyn Write,
    tensors: &BTreeMap<String, TensorData>,
    metadata: &BTreeMap<String, String>,
) -> Result<(), TensorFileError> {
    let header = Header::describe(tensors, metadata)?;
    let mut text = serde_json::to_vec(&header).map_err(|error| TensorFileError::Header(error.to_string()))?;
    // Blanks up to a multiple of eight, so that the values are aligned when the file is mapped into memory.
    text.resize(text.len().next_multiple_of(8), b' ');
    writer.write_all(&(text.len() as u64).to_le_bytes())?;
    writer.write_all(&text)?;
    for place in &header.places {
        writer.write_all(place.data.as_bytes())?;
    }
    Ok(())
}

/// The header in the order in which the values follow it.
struct Header<'a> {
    metadata: &'a BTreeMap<String, String>,
    places: Vec<Place<'a>>,
}

struct Place<'a> {
    name: &'a str,
    data: &'a TensorData,
    info: TensorInfo<'a>,
}

#[derive(Serialize)]
struct TensorInfo<'a> {
    dtype: Dtype,
    shape: &'a [usize],
    data_offsets: [usize; 2],
}

impl<'a> Header<'a> {
    /// Widest numbers first, then by name: every tensor is then aligned to its own numbers without gaps.
    fn describe(
        tensors: &'a BTreeMap<String, TensorData>,
        metadata: &'a BTreeMap<String, String>,
    ) -> Result<Self, TensorFileError> {
        if tensors.contains_key(RESERVED_NAME) {
            return Err(TensorFileError::ReservedName);
        }
        let mut typed = Vec::with_capacity(tensors.len());
        for (name, data) in tensors {
            let dtype = to_safetensors(data.dtype()).ok_or_else(|| TensorFileError::UnknownType {
                tensor: name.clone(),
                found: format!("{:?}", data.dtype()),
            })?;
            typed.push((name.as_str(), data, dtype));
        }
        typed.sort_by_key(|(_, _, dtype)| std::cmp::Reverse(dtype.bitsize()));

        let mut end = 0;
        let places = typed.into_iter().map(|(name, data, dtype)| {
            let start = end;
            end += data.as_bytes().len();
            Place { name, data, info: TensorInfo { dtype, shape: data.shape(), data_offsets: [start, end] } }
        });
        Ok(Self { metadata, places: places.collect() })
    }
}

impl Serialize for Header<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        if !self.metadata.is_empty() {
            map.serialize_entry(RESERVED_NAME, self.metadata)?;
        }
        for place in &self.places {
            map.serialize_entry(place.name, &place.info)?;
        }
        map.end()
    }
}
