//! The header of a safetensors file, read entry by entry so that no entry takes more memory than its text, and checked
//! against the length of the file before anything behind it is read.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::io::Read;

use safetensors::Dtype;
use serde::de::{Error, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};

use super::error::{LONGEST_HEADER, RESERVED_NAME, TensorFileError};
use super::packed::PackedPlace;

/// Most tensors that are read.
const MOST_TENSORS: usize = 50_000;
/// Most axes of a tensor.
const MOST_AXES: usize = 64;

/// What a file says about its tensors.
#[derive(Debug)]
pub(crate) struct FileHeader {
    /// Names and places in the order of the file.
    pub(crate) tensors: Vec<(String, Place)>,
    /// The table of texts.
    pub(crate) metadata: BTreeMap<String, String>,
    /// How many bytes it takes: where the tensors begin.
    pub(super) length: u64,
}

/// One tensor as the header describes it.
#[derive(Debug, Deserialize)]
pub(crate) struct Place {
    pub(crate) dtype: Dtype,
    #[serde(deserialize_with = "shape")]
    pub(crate) shape: Vec<usize>,
    /// First byte, and the one after the last, counted from the end of the header.
    data_offsets: (usize, usize),
}

impl Place {
    /// Its first byte, counted from the end of the header.
    pub(super) fn start(&self) -> u64 {
        self.data_offsets.0 as u64
    }

    /// How many bytes the tensor takes.
    pub(super) fn length(&self) -> usize {
        self.data_offsets.1 - self.data_offsets.0
    }

    /// How many bytes its type and shape make; `None` if no number of bytes does.
    fn described(&self) -> Option<usize> {
        let elements = self.shape.iter().try_fold(1_usize, |product, axis| product.checked_mul(*axis))?;
        let bits = elements.checked_mul(self.dtype.bitsize())?;
        bits.is_multiple_of(8).then_some(bits / 8)
    }
}

impl FileHeader {
    /// Which of its tensors of bytes are packed matrices.
    pub(crate) fn packed(&self) -> Result<BTreeMap<String, PackedPlace>, TensorFileError> {
        let length = |(_, place): &(String, Place)| (place.dtype == Dtype::U8).then(|| place.length());
        let bytes_of = |name: &str| self.tensors.iter().find(|(own, _)| own == name).and_then(length);
        PackedPlace::read_all(&self.metadata, bytes_of)
    }

    /// Reads and checks the header of a file of `length` bytes: places without gaps or overlaps, each as long as its
    /// shape says, and together the whole file.
    pub(crate) fn read(reader: &mut dyn Read, length: u64) -> Result<Self, TensorFileError> {
        let mut prefix = [0; 8];
        if length < prefix.len() as u64 {
            return Err(TensorFileError::TooShort { length });
        }
        reader.read_exact(&mut prefix)?;
        let claimed = u64::from_le_bytes(prefix);
        if claimed > length - 8 {
            return Err(TensorFileError::HeaderBeyondEnd { claimed, length });
        }
        if claimed > LONGEST_HEADER {
            return Err(TensorFileError::HeaderTooLong { claimed });
        }
        let mut text = vec![0; claimed as usize];
        reader.read_exact(&mut text)?;
        let mut header: Self =
            serde_json::from_slice(&text).map_err(|error| TensorFileError::Header(error.to_string()))?;
        header.length = 8 + claimed;
        header.tensors.sort_by_key(|(_, place)| place.data_offsets);
        let end = header.check()? as u64;
        let described = end.saturating_add(header.length);
        if described != length {
            return Err(TensorFileError::Length { described, length });
        }
        Ok(header)
    }

    /// Checks every place against the one before it and against its shape, and gives the end of the last.
    fn check(&self) -> Result<usize, TensorFileError> {
        let mut end = 0;
        for (name, place) in &self.tensors {
            let wrong = |problem: String| TensorFileError::Header(format!("the tensor `{name}` {problem}"));
            let (from, to) = place.data_offsets;
            if from != end || to < from {
                return Err(wrong(format!(
                    "takes the bytes {from} to {to} of the data, where {end} is the next free one"
                )));
            }
            if place.described() != Some(to - from) {
                let (dtype, shape) = (place.dtype, &place.shape);
                return Err(wrong(format!("takes {} bytes, which is not {dtype} of shape {shape:?}", to - from)));
            }
            end = to;
        }
        Ok(end)
    }
}

impl<'de> Deserialize<'de> for FileHeader {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(HeaderVisitor)
    }
}

struct HeaderVisitor;

impl<'de> Visitor<'de> for HeaderVisitor {
    type Value = FileHeader;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a table of tensors")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<FileHeader, A::Error> {
        let (mut tensors, mut names, mut metadata) = (Vec::new(), BTreeSet::new(), None);
        while let Some(name) = entries.next_key::<String>()? {
            if name == RESERVED_NAME {
                if metadata.replace(entries.next_value::<Option<Texts>>()?).is_some() {
                    return Err(A::Error::custom(format!("`{RESERVED_NAME}` stands there twice")));
                }
                continue;
            }
            if tensors.len() == MOST_TENSORS {
                return Err(A::Error::custom(format!("there are more than {MOST_TENSORS} tensors")));
            }
            let place: Place = entries.next_value()?;
            if !names.insert(name.clone()) {
                return Err(A::Error::custom(format!("the tensor `{name}` stands there twice")));
            }
            tensors.push((name, place));
        }
        Ok(FileHeader { tensors, metadata: metadata.flatten().unwrap_or_default().0, length: 0 })
    }
}

/// Texts by name, each name once.
#[derive(Default)]
struct Texts(BTreeMap<String, String>);

impl<'de> Deserialize<'de> for Texts {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(TextsVisitor)
    }
}

struct TextsVisitor;

impl<'de> Visitor<'de> for TextsVisitor {
    type Value = Texts;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a table of texts")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Texts, A::Error> {
        let mut texts = BTreeMap::new();
        while let Some((name, text)) = entries.next_entry::<String, String>()? {
            if texts.contains_key(&name) {
                return Err(A::Error::custom(format!("the text `{name}` stands there twice")));
            }
            texts.insert(name, text);
        }
        Ok(Texts(texts))
    }
}

/// The axes of a tensor, no more than any tensor has.
fn shape<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<usize>, D::Error> {
    deserializer.deserialize_seq(ShapeVisitor)
}

struct ShapeVisitor;

impl<'de> Visitor<'de> for ShapeVisitor {
    type Value = Vec<usize>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "up to {MOST_AXES} lengths of axes")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Vec<usize>, A::Error> {
        let mut axes = Vec::new();
        while let Some(axis) = items.next_element()? {
            if axes.len() == MOST_AXES {
                return Err(A::Error::custom(format!("a tensor has more than {MOST_AXES} axes")));
            }
            axes.push(axis);
        }
        Ok(axes)
    }
}
