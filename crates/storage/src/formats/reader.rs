//! A safetensors file as a source: its header at once, its tensors when they are asked for.

use std::collections::BTreeMap;
use std::io::{self, Cursor, Read, Seek, SeekFrom};

use burn::tensor::{BoolStore, DType, TensorData};
use kiln_packed::{Format, Piece};

use super::error::TensorFileError;
use super::header::{FileHeader, Place};
use super::number_types::from_safetensors;
use super::packed::PackedPlace;
use super::source::{TensorFile, TensorInfo, TensorSource, format_of};

/// A safetensors file whose header was read and checked against the length of the file.
#[derive(Debug)]
pub struct SafetensorsReader<R> {
    reader: R,
    /// Names in the order of the file.
    names: Vec<String>,
    places: BTreeMap<String, (Place, DType)>,
    /// Which tensors of bytes are packed matrices.
    packed: BTreeMap<String, PackedPlace>,
    metadata: BTreeMap<String, String>,
    /// Where the tensors begin.
    start: u64,
    /// Where the next byte comes from; unknown after a failure.
    position: Option<u64>,
}

impl<R: Read + Seek> SafetensorsReader<R> {
    /// Reads the header of a file of `length` bytes; `reader` is at its start.
    ///
    /// # Errors
    /// Anything that is not exactly such a file; see [`TensorFileError`].
    pub fn new(mut reader: R, length: u64) -> Result<Self, TensorFileError> {
        let header = FileHeader::read(&mut reader, length)?;
        let names = header.tensors.iter().map(|(name, _)| name.clone()).collect();
        let mut places = BTreeMap::new();
        for (name, place) in header.tensors {
            let Some(dtype) = from_safetensors(place.dtype) else {
                return Err(TensorFileError::UnknownType { tensor: name, found: place.dtype.to_string() });
            };
            places.insert(name, (place, dtype));
        }
        let (metadata, start) = (header.metadata, header.length);
        let bytes_of = |name: &str| {
            let (place, dtype) = places.get(name)?;
            (*dtype == DType::U8).then(|| place.length())
        };
        let packed = PackedPlace::read_all(&metadata, bytes_of)?;
        Ok(Self { reader, names, places, packed, metadata, start, position: Some(start) })
    }

    /// The next `length` bytes from `start`. The header was checked, so the file has that many; but a file with holes
    /// can be longer than memory.
    fn bytes(&mut self, start: u64, length: usize) -> Result<Vec<u8>, TensorFileError> {
        let mut bytes = Vec::new();
        bytes.try_reserve_exact(length).map_err(|_| io::Error::from(io::ErrorKind::OutOfMemory))?;
        bytes.resize(length, 0);
        self.fill(start, &mut bytes)?;
        Ok(bytes)
    }

    /// Fills a place with the bytes from `start` on.
    fn fill(&mut self, start: u64, place: &mut [u8]) -> Result<(), TensorFileError> {
        if self.position.take() != Some(start) {
            self.reader.seek(SeekFrom::Start(start))?;
        }
        self.reader.read_exact(place)?;
        self.position = Some(start + place.len() as u64);
        Ok(())
    }
}

impl<R: Read + Seek> TensorSource for SafetensorsReader<R> {
    fn names(&self) -> Vec<String> {
        self.names.clone()
    }

    fn info(&self, name: &str) -> Option<TensorInfo> {
        if let Some(packed) = self.packed.get(name) {
            return Some(TensorInfo { dtype: DType::F32, shape: packed.shape().to_vec() });
        }
        let (place, dtype) = self.places.get(name)?;
        Some(TensorInfo { dtype: *dtype, shape: place.shape.clone() })
    }

    fn metadata(&self) -> &BTreeMap<String, String> {
        &self.metadata
    }

    fn read(&mut self, name: &str) -> Result<TensorData, TensorFileError> {
        let (place, dtype) = self.places.get(name).ok_or_else(|| TensorFileError::Missing(name.to_owned()))?;
        let (start, length, shape, dtype) = (self.start + place.start(), place.length(), place.shape.clone(), *dtype);
        let bytes = self.bytes(start, length)?;
        if let Some(packed) = self.packed.get(name) {
            return packed.unpacked(&bytes);
        }
        if dtype == DType::Bool(BoolStore::Native)
            && let Some(index) = bytes.iter().position(|byte| *byte > 1)
        {
            let problem = format!("the tensor `{name}` holds a truth value that is neither 0 nor 1, at index {index}");
            return Err(TensorFileError::Header(problem));
        }
        TensorData::try_from_bytes_vec(bytes, shape, dtype)
            .map_err(|error| TensorFileError::Header(format!("the tensor `{name}`: {error}")))
    }

    fn read_packed(&mut self, name: &str, axis: usize) -> Result<Option<Vec<Piece>>, TensorFileError> {
        if let Some(packed) = self.packed.get(name).cloned() {
            let (place, _) = self.places.get(name).ok_or_else(|| TensorFileError::Missing(name.to_owned()))?;
            let (start, length) = (self.start + place.start(), place.length());
            return if packed.is_by(axis) { Ok(Some(packed.pieces(&self.bytes(start, length)?)?)) } else { Ok(None) };
        }
        // Read only if its rows lie one after the other, and at once to where they stay.
        let (place, _) = self.places.get(name).ok_or_else(|| TensorFileError::Missing(name.to_owned()))?;
        let (Some(format), &[rows, inputs], 0) = (self.format(name), &place.shape[..], axis) else { return Ok(None) };
        let start = self.start + place.start();
        Ok(Some(vec![Piece::filled(format, inputs, rows, |bytes| self.fill(start, bytes))?]))
    }

    fn format(&self, name: &str) -> Option<Format> {
        match self.packed.get(name) {
            Some(packed) => packed.format(),
            None => format_of(self.places.get(name)?.1),
        }
    }
}

/// The tensors and texts in the bytes of a safetensors file.
///
/// # Errors
/// Anything that is not exactly such a file; see [`TensorFileError`].
pub fn tensors_from_safetensors(bytes: &[u8]) -> Result<TensorFile, TensorFileError> {
    TensorFile::read(&mut SafetensorsReader::new(Cursor::new(bytes), bytes.len() as u64)?)
}
