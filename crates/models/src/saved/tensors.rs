//! Named tensors as the bytes of a safetensors file, and back.
//!
//! The format (<https://github.com/huggingface/safetensors>): eight bytes with the length of the header, the header as
//! JSON (name to type, shape and place, and a table of texts under `__metadata__`), then the raw little-endian values.
//! Writing is done here and not by the `safetensors` crate, because that keeps the texts in a hash map: two files with
//! the same content would differ, and the equality of checkpoints could not be checked by their hashes.
//! Reading trusts no number of the file: every length is compared with the length of the file before memory is taken.

use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::path::Path;

use burn::tensor::{BoolStore, DType, TensorData};
use safetensors::Dtype;
use serde::Serialize;
use serde::ser::{SerializeMap, Serializer};

use super::error::SavedModelError;
use super::header::{FileHeader, LONGEST_HEADER};
use kiln_settings::files::{Links, open_regular};

/// The name under which the format keeps its table of texts: no tensor may have it.
pub(super) const RESERVED_NAME: &str = "__metadata__";

/// Tensors by name, and the texts of the header.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct TensorFile {
    /// The tensors by name.
    pub tensors: BTreeMap<String, TensorData>,
    /// The table of texts in the header, for example `format`.
    pub metadata: BTreeMap<String, String>,
}

/// Why bytes are not a safetensors file, or tensors cannot become one.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TensorFileError {
    /// The file ends before its header does.
    #[error("its header claims {claimed} bytes, and the file has {length}")]
    HeaderBeyondEnd {
        /// The length that the first eight bytes declare.
        claimed: u64,
        /// The length of the file.
        length: u64,
    },
    /// The header is longer than any that is read.
    #[error("its header claims {claimed} bytes, and at most {LONGEST_HEADER} are read")]
    HeaderTooLong {
        /// The length that the first eight bytes declare.
        claimed: u64,
    },
    /// The file has fewer than the eight bytes that every such file begins with.
    #[error("it has {length} bytes, too few for a safetensors file")]
    TooShort {
        /// The length of the file.
        length: u64,
    },
    /// The header is no JSON, or its names, shapes and places contradict each other or the values.
    #[error("its header is not valid: {0}")]
    Header(String),
    /// The tensors end before the file does, or beyond it.
    #[error("its header describes {described} bytes, and the file has {length}")]
    Length {
        /// Header and tensors as the header describes them.
        described: u64,
        /// The length of the file.
        length: u64,
    },
    /// A type of number that Burn or the format has not.
    #[error("the tensor `{tensor}` has the type {found}, which cannot be kept in both Burn and safetensors")]
    UnknownType {
        /// The name of the tensor.
        tensor: String,
        /// The type as its side calls it.
        found: String,
    },
    /// A tensor has the one name that the format keeps for itself.
    #[error("no tensor may be named `{RESERVED_NAME}`")]
    ReservedName,
    /// Reading or writing failed on the way.
    #[error("{0}")]
    Io(#[from] io::Error),
}

/// The bytes of a safetensors file with these tensors and texts; the same content always gives the same bytes.
///
/// # Errors
/// A type of number that the format has not, or a tensor named `__metadata__`.
pub fn tensors_to_safetensors(
    tensors: &BTreeMap<String, TensorData>,
    metadata: &BTreeMap<String, String>,
) -> Result<Vec<u8>, TensorFileError> {
    let mut bytes = Vec::new();
    write_tensors(&mut bytes, tensors, metadata)?;
    Ok(bytes)
}

/// The tensors and texts in the bytes of a safetensors file.
///
/// # Errors
/// Anything that is not exactly such a file; see [`TensorFileError`].
pub fn tensors_from_safetensors(mut bytes: &[u8]) -> Result<TensorFile, TensorFileError> {
    let length = bytes.len() as u64;
    read_tensors(&mut bytes, length)
}

/// Reads a safetensors file.
///
/// # Errors
/// As [`tensors_from_safetensors`], and what the system says; only a regular file is opened.
pub fn read_safetensors(path: &Path) -> Result<TensorFile, SavedModelError> {
    let mut file = open_regular(path, Links::Refused)
        .map_err(SavedModelError::io("read", path))?
        .ok_or_else(|| SavedModelError::NotAFile { path: path.to_path_buf() })?;
    let length = file.metadata().map_err(SavedModelError::io("read", path))?.len();
    read_tensors(&mut file, length).map_err(|problem| problem.at(path, "read"))
}

impl TensorFileError {
    /// The error with its path: the system's own words, or what is wrong with the file.
    pub(super) fn at(self, path: &Path, action: &'static str) -> SavedModelError {
        match self {
            Self::Io(source) => SavedModelError::Io { action, path: path.to_path_buf(), source },
            source => SavedModelError::TensorFile { path: path.to_path_buf(), source },
        }
    }
}

/// Writes a safetensors file in pieces.
pub(super) fn write_tensors(
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

fn read_tensors(reader: &mut dyn Read, length: u64) -> Result<TensorFile, TensorFileError> {
    let header = FileHeader::read(reader, length)?;
    let mut tensors = BTreeMap::new();
    for (name, place) in header.tensors {
        let dtype = from_safetensors(place.dtype)
            .ok_or_else(|| TensorFileError::UnknownType { tensor: name.clone(), found: place.dtype.to_string() })?;
        let bytes = read_bytes(reader, place.length())?;
        if dtype == DType::Bool(BoolStore::Native)
            && let Some(index) = bytes.iter().position(|byte| *byte > 1)
        {
            let problem = format!("the tensor `{name}` holds a truth value that is neither 0 nor 1, at index {index}");
            return Err(TensorFileError::Header(problem));
        }
        let data = TensorData::try_from_bytes_vec(bytes, place.shape, dtype)
            .map_err(|error| TensorFileError::Header(format!("the tensor `{name}`: {error}")))?;
        tensors.insert(name, data);
    }
    Ok(TensorFile { tensors, metadata: header.metadata })
}

/// The next `length` bytes. The header was checked, so the file has so many; but a file with holes can be longer than memory.
fn read_bytes(reader: &mut dyn Read, length: usize) -> Result<Vec<u8>, TensorFileError> {
    let mut bytes = Vec::new();
    bytes.try_reserve_exact(length).map_err(|_| io::Error::from(io::ErrorKind::OutOfMemory))?;
    bytes.resize(length, 0);
    reader.read_exact(&mut bytes)?;
    Ok(bytes)
}

fn to_safetensors(dtype: DType) -> Option<Dtype> {
    Some(match dtype {
        DType::F64 => Dtype::F64,
        DType::F32 => Dtype::F32,
        DType::F16 => Dtype::F16,
        DType::BF16 => Dtype::BF16,
        DType::I64 => Dtype::I64,
        DType::I32 => Dtype::I32,
        DType::I16 => Dtype::I16,
        DType::I8 => Dtype::I8,
        DType::U64 => Dtype::U64,
        DType::U32 => Dtype::U32,
        DType::U16 => Dtype::U16,
        DType::U8 => Dtype::U8,
        DType::Bool(BoolStore::Native) => Dtype::BOOL,
        // Other layouts of truth values and quantized numbers would come back as something else than they were.
        DType::Bool(_) | DType::QFloat(_) | DType::Flex32 => return None,
    })
}

fn from_safetensors(dtype: Dtype) -> Option<DType> {
    Some(match dtype {
        Dtype::F64 => DType::F64,
        Dtype::F32 => DType::F32,
        Dtype::F16 => DType::F16,
        Dtype::BF16 => DType::BF16,
        Dtype::I64 => DType::I64,
        Dtype::I32 => DType::I32,
        Dtype::I16 => DType::I16,
        Dtype::I8 => DType::I8,
        Dtype::U64 => DType::U64,
        Dtype::U32 => DType::U32,
        Dtype::U16 => DType::U16,
        Dtype::U8 => DType::U8,
        Dtype::BOOL => DType::Bool(BoolStore::Native),
        _ => return None,
    })
}
