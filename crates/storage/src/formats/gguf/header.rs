//! Everything before the values of the tensors.

use std::collections::BTreeMap;
use std::io::{ErrorKind, Read};

use kiln_packed::Format;

use super::error::GgufError;
use super::kind::{from_number, name_of_unread};
use super::value::GgufValue;

pub(super) const MAGIC: [u8; 4] = *b"GGUF";
pub(super) const ALIGNMENT_KEY: &str = "general.alignment";
pub(super) const DEFAULT_ALIGNMENT: u64 = 32;

/// Longest name of a key or a tensor, bytes.
const LONGEST_NAME: u64 = 1 << 16;
/// Most tensors, and most keys, that are read.
const MOST_ENTRIES: u64 = 1 << 16;
/// Most axes that a tensor has.
const MOST_AXES: u32 = 4;

/// Where a tensor is, and what it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) kind: Format,
    /// The slowest axis first.
    pub(super) shape: Vec<usize>,
    /// Bytes from the start of the file.
    pub(super) start: u64,
    pub(super) bytes: usize,
}

/// The table and the places of the tensors.
#[derive(Debug)]
pub(super) struct Header {
    pub(super) values: BTreeMap<String, GgufValue>,
    pub(super) places: BTreeMap<String, Place>,
}

impl Header {
    /// Reads the header of a file of `length` bytes; every place is compared with the length.
    pub(super) fn read(reader: impl Read, length: u64) -> Result<Self, GgufError> {
        let mut input = Counted { reader, position: 0, length };
        if input.bytes()? != MAGIC {
            return Err(GgufError::Magic);
        }
        let version = input.u32()?;
        if !(2..=3).contains(&version) {
            return Err(GgufError::Version(version));
        }
        let [tensors, entries] = [input.u64()?, input.u64()?];
        for (count, what) in [(tensors, "tensors"), (entries, "values")] {
            if count > MOST_ENTRIES {
                return Err(GgufError::Header(format!("{count} {what}, and at most {MOST_ENTRIES} are read")));
            }
        }
        let values = values(&mut input, entries)?;
        let alignment = alignment(&values)?;
        let mut unplaced = Vec::new();
        for _ in 0..tensors {
            unplaced.push(Unplaced::read(&mut input)?);
        }
        let start = input.position.next_multiple_of(alignment);
        let mut places = BTreeMap::new();
        let mut taken = BTreeMap::new();
        for tensor in unplaced {
            let (name, place) = tensor.place(start, alignment, length)?;
            if place.bytes > 0 && taken.insert(place.start, (place.start + place.bytes as u64, name.clone())).is_some()
            {
                return Err(GgufError::Header(format!("the tensor `{name}` begins where another one does")));
            }
            if places.insert(name.clone(), place).is_some() {
                return Err(GgufError::Header(format!("the tensor `{name}` stands there twice")));
            }
        }
        let mut end = start;
        for (from, (to, name)) in taken {
            if from < end {
                return Err(GgufError::Header(format!("the tensor `{name}` begins before the end of another one")));
            }
            end = to;
        }
        Ok(Self { values, places })
    }
}

fn values<R: Read>(input: &mut Counted<R>, count: u64) -> Result<BTreeMap<String, GgufValue>, GgufError> {
    let mut values = BTreeMap::new();
    for _ in 0..count {
        let key = input.text(LONGEST_NAME)?;
        let value = GgufValue::read(input)?;
        if values.insert(key.clone(), value).is_some() {
            return Err(GgufError::Header(format!("`{key}` stands there twice")));
        }
    }
    Ok(values)
}

fn alignment(values: &BTreeMap<String, GgufValue>) -> Result<u64, GgufError> {
    let Some(value) = values.get(ALIGNMENT_KEY) else { return Ok(DEFAULT_ALIGNMENT) };
    let alignment = value.as_u64().filter(|alignment| alignment.is_power_of_two() && *alignment <= 1 << 20);
    alignment.ok_or_else(|| GgufError::Header(format!("`{ALIGNMENT_KEY}` is {value:?}, which is no power of two")))
}

/// A tensor as the header has it.
struct Unplaced {
    name: String,
    axes: Vec<u64>,
    number: u32,
    offset: u64,
}

impl Unplaced {
    fn read<R: Read>(input: &mut Counted<R>) -> Result<Self, GgufError> {
        let name = input.text(LONGEST_NAME)?;
        let count = input.u32()?;
        if count > MOST_AXES {
            return Err(GgufError::Header(format!("the tensor `{name}` has {count} axes, more than {MOST_AXES}")));
        }
        let mut axes = Vec::new();
        for _ in 0..count {
            axes.push(input.u64()?);
        }
        Ok(Self { name, axes, number: input.u32()?, offset: input.u64()? })
    }

    fn place(self, start: u64, alignment: u64, length: u64) -> Result<(String, Place), GgufError> {
        let name = self.name;
        let wrong = |problem: String| GgufError::Header(format!("the tensor `{name}` {problem}"));
        let Some(kind) = from_number(self.number) else {
            let known: Vec<&str> = Format::ALL.iter().map(|kind| kind.name()).collect();
            let found = name_of_unread(self.number)
                .map_or_else(|| format!("number {}", self.number), |name| (*name).to_owned());
            return Err(GgufError::UnknownType { tensor: name, found, known: known.join(", ") });
        };
        let block = kind.block() as u64;
        let row = self.axes.first().copied().unwrap_or(1);
        if row % block != 0 {
            return Err(wrong(format!("has rows of {row} numbers, which are no whole blocks of {}", kind.name())));
        }
        let count = self.axes.iter().try_fold(1_u64, |count, axis| count.checked_mul(*axis));
        let bytes = count.and_then(|count| (count / block).checked_mul(kind.block_bytes() as u64));
        let end = bytes.and_then(|bytes| start.checked_add(self.offset)?.checked_add(bytes));
        let (Some(bytes), Some(end)) = (bytes.and_then(|bytes| usize::try_from(bytes).ok()), end) else {
            return Err(wrong(format!("has the shape {:?}, which no memory holds", self.axes)));
        };
        if end > length {
            return Err(wrong(format!("ends at byte {end}, and the file has {length}")));
        }
        if !self.offset.is_multiple_of(alignment) {
            return Err(wrong(format!("begins at byte {} of the data, no multiple of {alignment}", self.offset)));
        }
        let shape = self.axes.iter().rev().map(|axis| *axis as usize).collect();
        Ok((name, Place { kind, shape, start: start + self.offset, bytes }))
    }
}

/// A reader that knows where it is and how long the file is.
pub(super) struct Counted<R> {
    reader: R,
    position: u64,
    length: u64,
}

impl<R: Read> Counted<R> {
    /// Makes sure that `count` bytes are left, before memory is taken for them.
    fn expect(&mut self, count: u64) -> Result<(), GgufError> {
        let needed = self.position.saturating_add(count);
        if needed > self.length {
            return Err(GgufError::CutOff { needed });
        }
        self.position = needed;
        Ok(())
    }

    fn fill(&mut self, bytes: &mut [u8]) -> Result<(), GgufError> {
        self.reader.read_exact(bytes).map_err(|error| match error.kind() {
            ErrorKind::UnexpectedEof => GgufError::CutOff { needed: self.position },
            _ => error.into(),
        })
    }

    pub(super) fn bytes<const N: usize>(&mut self) -> Result<[u8; N], GgufError> {
        self.expect(N as u64)?;
        let mut bytes = [0; N];
        self.fill(&mut bytes)?;
        Ok(bytes)
    }

    pub(super) fn u32(&mut self) -> Result<u32, GgufError> {
        self.bytes().map(u32::from_le_bytes)
    }

    pub(super) fn u64(&mut self) -> Result<u64, GgufError> {
        self.bytes().map(u64::from_le_bytes)
    }

    /// A text. Some tokens of vocabularies are no UTF-8; those bytes become U+FFFD.
    pub(super) fn text(&mut self, longest: u64) -> Result<String, GgufError> {
        let length = self.u64()?;
        if length > longest {
            return Err(GgufError::Header(format!("a text has {length} bytes, and at most {longest} are read")));
        }
        self.expect(length)?;
        let mut bytes = vec![0; length as usize];
        self.fill(&mut bytes)?;
        Ok(String::from_utf8(bytes).unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned()))
    }
}
