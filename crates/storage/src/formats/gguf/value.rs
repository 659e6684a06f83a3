//! The values of the table at the beginning of a file.

use std::io::{Read, Write};

use super::error::GgufError;
use super::header::Counted;

/// Longest text that is read, bytes: tokenizers and templates are far below.
const LONGEST_TEXT: u64 = 16 << 20;
/// Most items of an array: several times the largest vocabulary.
const MOST_ITEMS: u64 = 4 << 20;

/// A value of the table.
#[derive(Debug, Clone, PartialEq)]
#[expect(missing_docs, reason = "the names say it")]
pub enum GgufValue {
    U8(u8),
    I8(i8),
    U16(u16),
    I16(i16),
    U32(u32),
    I32(i32),
    F32(f32),
    Bool(bool),
    Text(String),
    Array(GgufArray),
    U64(u64),
    I64(i64),
    F64(f64),
}

/// Values of one type.
#[derive(Debug, Clone, PartialEq)]
pub enum GgufArray {
    /// Texts.
    Texts(Vec<String>),
    /// Whole numbers of any width, written as `i32`.
    Whole(Vec<i64>),
    /// Floats, written as `f32`.
    Floats(Vec<f64>),
    /// Truth values.
    Flags(Vec<bool>),
}

const ARRAY: u32 = 9;
const TEXT: u32 = 8;

impl GgufValue {
    /// A whole number that isn't negative.
    pub fn as_u64(&self) -> Option<u64> {
        self.as_i64().and_then(|whole| u64::try_from(whole).ok()).or(match self {
            Self::U64(value) => Some(*value),
            _ => None,
        })
    }

    fn as_i64(&self) -> Option<i64> {
        Some(match self {
            Self::U8(value) => i64::from(*value),
            Self::I8(value) => i64::from(*value),
            Self::U16(value) => i64::from(*value),
            Self::I16(value) => i64::from(*value),
            Self::U32(value) => i64::from(*value),
            Self::I32(value) => i64::from(*value),
            Self::I64(value) => *value,
            Self::U64(value) => i64::try_from(*value).ok()?,
            _ => return None,
        })
    }

    /// A number of any type.
    pub fn as_f64(&self) -> Option<f64> {
        match self {
            Self::F32(value) => Some(f64::from(*value)),
            Self::F64(value) => Some(*value),
            other => other.as_i64().map(|whole| whole as f64),
        }
    }

    /// A text.
    pub fn as_text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }

    /// A truth value.
    pub fn as_bool(&self) -> Option<bool> {
        match self {
            Self::Bool(value) => Some(*value),
            _ => None,
        }
    }

    /// Texts in an array.
    pub fn as_texts(&self) -> Option<&[String]> {
        match self {
            Self::Array(GgufArray::Texts(texts)) => Some(texts),
            _ => None,
        }
    }

    /// Whole numbers in an array.
    pub fn as_whole_numbers(&self) -> Option<&[i64]> {
        match self {
            Self::Array(GgufArray::Whole(numbers)) => Some(numbers),
            _ => None,
        }
    }

    /// Floats in an array.
    pub fn as_floats(&self) -> Option<&[f64]> {
        match self {
            Self::Array(GgufArray::Floats(numbers)) => Some(numbers),
            _ => None,
        }
    }

    pub(super) fn read<R: Read>(input: &mut Counted<R>) -> Result<Self, GgufError> {
        let kind = input.u32()?;
        if kind == ARRAY {
            return GgufArray::read(input).map(Self::Array);
        }
        Self::read_as(kind, input)
    }

    fn read_as<R: Read>(kind: u32, input: &mut Counted<R>) -> Result<Self, GgufError> {
        Ok(match kind {
            0 => Self::U8(u8::from_le_bytes(input.bytes()?)),
            1 => Self::I8(i8::from_le_bytes(input.bytes()?)),
            2 => Self::U16(u16::from_le_bytes(input.bytes()?)),
            3 => Self::I16(i16::from_le_bytes(input.bytes()?)),
            4 => Self::U32(u32::from_le_bytes(input.bytes()?)),
            5 => Self::I32(i32::from_le_bytes(input.bytes()?)),
            6 => Self::F32(f32::from_le_bytes(input.bytes()?)),
            7 => match u8::from_le_bytes(input.bytes()?) {
                0 => Self::Bool(false),
                1 => Self::Bool(true),
                other => return Err(GgufError::Header(format!("a truth value is {other}"))),
            },
            TEXT => Self::Text(input.text(LONGEST_TEXT)?),
            10 => Self::U64(u64::from_le_bytes(input.bytes()?)),
            11 => Self::I64(i64::from_le_bytes(input.bytes()?)),
            12 => Self::F64(f64::from_le_bytes(input.bytes()?)),
            other => return Err(GgufError::Header(format!("a value has the type {other}, which there is none of"))),
        })
    }

    fn kind(&self) -> u32 {
        match self {
            Self::U8(_) => 0,
            Self::I8(_) => 1,
            Self::U16(_) => 2,
            Self::I16(_) => 3,
            Self::U32(_) => 4,
            Self::I32(_) => 5,
            Self::F32(_) => 6,
            Self::Bool(_) => 7,
            Self::Text(_) => TEXT,
            Self::Array(_) => ARRAY,
            Self::U64(_) => 10,
            Self::I64(_) => 11,
            Self::F64(_) => 12,
        }
    }

    pub(super) fn write(&self, output: &mut impl Write) -> std::io::Result<()> {
        output.write_all(&self.kind().to_le_bytes())?;
        self.write_value(output)
    }

    fn write_value(&self, output: &mut impl Write) -> std::io::Result<()> {
        match self {
            Self::U8(value) => output.write_all(&value.to_le_bytes()),
            Self::I8(value) => output.write_all(&value.to_le_bytes()),
            Self::U16(value) => output.write_all(&value.to_le_bytes()),
            Self::I16(value) => output.write_all(&value.to_le_bytes()),
            Self::U32(value) => output.write_all(&value.to_le_bytes()),
            Self::I32(value) => output.write_all(&value.to_le_bytes()),
            Self::F32(value) => output.write_all(&value.to_le_bytes()),
            Self::Bool(value) => output.write_all(&[u8::from(*value)]),
            Self::Text(text) => write_text(text, output),
            Self::Array(array) => array.write(output),
            Self::U64(value) => output.write_all(&value.to_le_bytes()),
            Self::I64(value) => output.write_all(&value.to_le_bytes()),
            Self::F64(value) => output.write_all(&value.to_le_bytes()),
        }
    }
}

impl GgufArray {
    fn read<R: Read>(input: &mut Counted<R>) -> Result<Self, GgufError> {
        let (kind, count) = (input.u32()?, input.u64()?);
        if count > MOST_ITEMS {
            return Err(GgufError::Header(format!("an array has {count} items, and at most {MOST_ITEMS} are read")));
        }
        let other = || GgufError::Header(format!("an array has items of type {kind}, which are not read"));
        let mut next = || GgufValue::read_as(kind, input);
        let count = 0..count;
        Ok(match kind {
            TEXT => Self::Texts(items(count, || next()?.as_text().map(str::to_owned).ok_or_else(other))?),
            6 | 12 => Self::Floats(items(count, || next()?.as_f64().ok_or_else(other))?),
            7 => Self::Flags(items(count, || next()?.as_bool().ok_or_else(other))?),
            0..=5 | 10 | 11 => Self::Whole(items(count, || next()?.as_i64().ok_or_else(other))?),
            _ => return Err(other()),
        })
    }

    fn write(&self, output: &mut impl Write) -> std::io::Result<()> {
        let (kind, count) = match self {
            Self::Texts(texts) => (TEXT, texts.len()),
            Self::Whole(numbers) => (5, numbers.len()),
            Self::Floats(numbers) => (6, numbers.len()),
            Self::Flags(flags) => (7, flags.len()),
        };
        output.write_all(&kind.to_le_bytes())?;
        output.write_all(&(count as u64).to_le_bytes())?;
        match self {
            Self::Texts(texts) => texts.iter().try_for_each(|text| write_text(text, output)),
            Self::Whole(numbers) => {
                numbers.iter().try_for_each(|number| output.write_all(&(*number as i32).to_le_bytes()))
            }
            Self::Floats(numbers) => {
                numbers.iter().try_for_each(|number| output.write_all(&(*number as f32).to_le_bytes()))
            }
            Self::Flags(flags) => flags.iter().try_for_each(|flag| output.write_all(&[u8::from(*flag)])),
        }
    }
}

/// Items one by one: no number of the file is believed before as many items were read.
fn items<T>(count: std::ops::Range<u64>, mut next: impl FnMut() -> Result<T, GgufError>) -> Result<Vec<T>, GgufError> {
    count.map(|_| next()).collect()
}

pub(super) fn write_text(text: &str, output: &mut impl Write) -> std::io::Result<()> {
    output.write_all(&(text.len() as u64).to_le_bytes())?;
    output.write_all(text.as_bytes())
}
