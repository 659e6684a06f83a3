//! A GGUF file as a source: its header at once, its tensors when they are asked for.

use std::collections::BTreeMap;
use std::io::{self, BufReader, Read, Seek, SeekFrom};

use burn::tensor::{DType, TensorData};
use kiln_packed::{Format, Piece, unpack};

use super::super::error::TensorFileError;
use super::super::source::{TensorInfo, TensorSource};
use super::error::GgufError;
use super::header::{Header, Place};
use super::kind::dtype;
use super::value::GgufValue;

/// A GGUF file whose header was read and checked against the length of the file. Packed numbers are read as `f32`.
#[derive(Debug)]
pub struct GgufReader<R> {
    reader: R,
    header: Header,
    /// Names in the order of the file.
    names: Vec<String>,
    /// The format has typed values in place of texts.
    no_texts: BTreeMap<String, String>,
}

impl<R: Read + Seek> GgufReader<R> {
    /// Reads the header of a file of `length` bytes; `reader` is at its start.
    ///
    /// # Errors
    /// Anything that is not exactly such a file; see [`GgufError`].
    pub fn new(mut reader: R, length: u64) -> Result<Self, GgufError> {
        let header = Header::read(BufReader::new(&mut reader), length)?;
        let mut names: Vec<String> = header.places.keys().cloned().collect();
        names.sort_by_key(|name| header.places.get(name).map(|place| place.start));
        Ok(Self { reader, header, names, no_texts: BTreeMap::new() })
    }

    /// The values of its table.
    pub fn values(&self) -> &BTreeMap<String, GgufValue> {
        &self.header.values
    }

    /// How the numbers of a tensor are packed.
    pub fn kind(&self, name: &str) -> Option<Format> {
        self.header.places.get(name).map(|place| place.kind)
    }

    fn place(&self, name: &str) -> Result<Place, TensorFileError> {
        self.header.places.get(name).cloned().ok_or_else(|| TensorFileError::Missing(name.to_owned()))
    }

    /// Fills a place in memory with a tensor as it lies in the file.
    fn fill(&mut self, place: &Place, bytes: &mut [u8]) -> Result<(), TensorFileError> {
        self.reader.seek(SeekFrom::Start(place.start))?;
        Ok(self.reader.read_exact(bytes)?)
    }
}

impl<R: Read + Seek> TensorSource for GgufReader<R> {
    fn names(&self) -> Vec<String> {
        self.names.clone()
    }

    fn info(&self, name: &str) -> Option<TensorInfo> {
        let place = self.header.places.get(name)?;
        Some(TensorInfo { dtype: dtype(place.kind), shape: place.shape.clone() })
    }

    fn metadata(&self) -> &BTreeMap<String, String> {
        &self.no_texts
    }

    fn read(&mut self, name: &str) -> Result<TensorData, TensorFileError> {
        let place = self.place(name)?;
        // The header was checked, so the file has that many bytes; but a file with holes can be longer than memory.
        let mut bytes = Vec::new();
        bytes.try_reserve_exact(place.bytes).map_err(|_| io::Error::from(io::ErrorKind::OutOfMemory))?;
        bytes.resize(place.bytes, 0);
        self.fill(&place, &mut bytes)?;
        let Place { kind, shape, .. } = place;
        let wrong = |problem: String| TensorFileError::Header(format!("the tensor `{name}`: {problem}"));
        if dtype(kind) == DType::F32 && kind != Format::F32 {
            let count = bytes.len() / kind.block_bytes() * kind.block();
            let mut numbers: Vec<f32> = Vec::new();
            numbers.try_reserve_exact(count).map_err(|_| io::Error::from(io::ErrorKind::OutOfMemory))?;
            unpack(kind, &bytes, &mut numbers);
            return Ok(TensorData::new(numbers, shape));
        }
        TensorData::try_from_bytes_vec(bytes, shape, dtype(kind)).map_err(|error| wrong(error.to_string()))
    }

    fn read_packed(&mut self, name: &str, axis: usize) -> Result<Option<Vec<Piece>>, TensorFileError> {
        // Read at once to where it stays.
        let place = self.place(name)?;
        let (&[rows, inputs], 0) = (&place.shape[..], axis) else { return Ok(None) };
        if place.kind.row_bytes(inputs).is_none() {
            return Ok(None);
        }
        let fill = |bytes: &mut [u8]| self.fill(&place, bytes);
        Ok(Some(vec![Piece::filled(place.kind, inputs, rows, fill)?]))
    }

    fn format(&self, name: &str) -> Option<Format> {
        self.kind(name)
    }
}
