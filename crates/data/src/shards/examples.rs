//! Examples in a token file: which of its tokens are predicted, and where each example starts.
//!
//! The marks are a second token file of the same length, with a vocabulary of four: bit 0 says that a token is
//! predicted, bit 1 that an example starts with it.

use std::ops::Range;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{ShardError, TokenFile};

/// How many different marks there are.
pub const MARKS: usize = 4;

/// How many marks are read at a time.
const BLOCK: usize = 64 << 10;

/// What becomes of an example that is longer than a window.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TooLong {
    /// It is left out.
    #[default]
    LeaveOut,
    /// Its beginning is read; left out is only what has nothing to be predicted there.
    Cut,
}

/// How examples are read.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ExampleReading {
    /// What becomes of those that are longer than a window.
    pub too_long: TooLong,
    /// Whether two that follow one another are a pair, which is read as one.
    pub pairs: bool,
}

/// A token's mark.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Mark {
    /// Whether the token is predicted: its loss counts.
    pub counted: bool,
    /// Whether an example starts with it.
    pub starts: bool,
}

impl From<Mark> for u32 {
    fn from(mark: Mark) -> Self {
        Self::from(mark.counted) | Self::from(mark.starts) << 1
    }
}

impl From<u32> for Mark {
    fn from(mark: u32) -> Self {
        Self { counted: mark & 1 != 0, starts: mark & 2 != 0 }
    }
}

/// The marks of an example of which these tokens are predicted.
pub fn marks(counted: &[bool]) -> Vec<u32> {
    counted.iter().enumerate().map(|(place, &counted)| Mark { counted, starts: place == 0 }.into()).collect()
}

/// The examples of a token file. Each is read by itself: none sees another.
#[derive(Debug, Clone)]
pub struct Examples {
    marks: TokenFile,
    /// Where each starts, and the end of the last.
    bounds: Arc<[u64]>,
    /// How many tokens of each stand before the first that is predicted.
    unpredicted: Arc<[u64]>,
    counted: u64,
    reading: ExampleReading,
}

/// An example as a row of a batch.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Row {
    /// Its tokens: inputs, each followed by what is to be predicted.
    pub(crate) tokens: Vec<u32>,
    /// For each of them whether it is predicted.
    pub(crate) counted: Vec<bool>,
    /// The log-probability of what is predicted, under the reference model.
    pub(crate) reference: Option<f32>,
}

/// Which examples fit windows of some length.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fitting {
    /// Their numbers, rising.
    pub examples: Arc<[u64]>,
    /// How many of them lose their end.
    pub cut: u64,
    /// How many are left out.
    pub left_out: u64,
}

impl Examples {
    /// Those that `marks` tells of, which are for `tokens`.
    ///
    /// # Errors
    /// When the marks can't be read, or aren't those of the tokens.
    pub(super) fn new(tokens: &TokenFile, marks: TokenFile, reading: ExampleReading) -> Result<Self, ShardError> {
        let invalid = |reason: String| ShardError::Invalid { path: marks.path().to_owned(), reason };
        if marks.len() != tokens.len() || marks.vocabulary_size() != MARKS {
            let (found, expected) = (marks.len(), tokens.len());
            return Err(invalid(format!("it has {found} marks for {expected} tokens")));
        }
        let (mut bounds, mut unpredicted, mut counted) = (Vec::new(), Vec::new(), 0);
        let mut block = vec![0; BLOCK];
        let mut position = 0;
        while position < marks.len() {
            let block = &mut block[..(marks.len() - position).min(BLOCK as u64) as usize];
            marks.read(position, block)?;
            for (place, mark) in (position..).zip(block.iter().copied().map(Mark::from)) {
                if mark.starts && mark.counted || place == 0 && !mark.starts {
                    return Err(invalid(format!("its mark {place} predicts what nothing stands before")));
                }
                if mark.starts {
                    bounds.push(place);
                    unpredicted.push(u64::MAX);
                }
                if mark.counted {
                    counted += 1;
                    if let (Some(start), Some(before)) = (bounds.last(), unpredicted.last_mut()) {
                        *before = (*before).min(place - start);
                    }
                }
            }
            position += block.len() as u64;
        }
        if reading.pairs && bounds.len() % 2 != 0 {
            return Err(invalid(format!("it has {} examples, which are no pairs", bounds.len())));
        }
        bounds.push(marks.len());
        Ok(Self { marks, bounds: bounds.into(), unpredicted: unpredicted.into(), counted, reading })
    }

    /// How many there are, a pair counting as one.
    pub fn count(&self) -> u64 {
        (self.bounds.len() as u64 - 1) / self.rows()
    }

    /// How many rows of a batch each is.
    pub(crate) fn rows(&self) -> u64 {
        if self.reading.pairs { 2 } else { 1 }
    }

    /// How many tokens are predicted in all.
    pub fn counted(&self) -> u64 {
        self.counted
    }

    /// The rows of an example.
    fn rows_of(&self, example: u64) -> Range<u64> {
        example * self.rows()..(example + 1) * self.rows()
    }

    /// The tokens of a row.
    fn range(&self, row: u64) -> Range<u64> {
        self.bounds[row as usize]..self.bounds[row as usize + 1]
    }

    /// How many inputs an example has in windows of `columns` tokens, of a pair the longer one: the last token is no
    /// input.
    pub(crate) fn inputs(&self, example: u64, columns: usize) -> usize {
        self.rows_of(example).map(|row| self.row_inputs(row, columns)).max().unwrap_or_default()
    }

    fn row_inputs(&self, row: u64, columns: usize) -> usize {
        let Range { start, end } = self.range(row);
        (end - start).saturating_sub(1).min(columns as u64) as usize
    }

    /// Those that have something to be predicted in windows of `columns` tokens.
    pub fn fitting(&self, columns: usize) -> Fitting {
        let longest = columns as u64;
        let (mut examples, mut cut) = (Vec::new(), 0);
        for example in 0..self.count() {
            let is_row_long = |row: u64| {
                let Range { start, end } = self.range(row);
                end - start > longest + 1
            };
            let is_long = self.rows_of(example).any(is_row_long);
            let is_predicted = self.rows_of(example).all(|row| self.unpredicted[row as usize] <= longest);
            if is_predicted && (!is_long || self.reading.too_long == TooLong::Cut) {
                cut += u64::from(is_long);
                examples.push(example);
            }
        }
        let left_out = self.count() - examples.len() as u64;
        Fitting { examples: examples.into(), cut, left_out }
    }

    /// An example of `tokens` in a window of `columns` tokens: a row, or two of a pair.
    pub(crate) fn read(&self, tokens: &TokenFile, example: u64, columns: usize) -> Result<Vec<Row>, ShardError> {
        self.rows_of(example).map(|row| self.row(tokens, row, columns)).collect()
    }

    fn row(&self, tokens: &TokenFile, row: u64, columns: usize) -> Result<Row, ShardError> {
        let length = self.row_inputs(row, columns) + 1;
        let (mut read, mut marks) = (vec![0; length], vec![0; length]);
        let start = self.range(row).start;
        tokens.read(start, &mut read)?;
        self.marks.read(start, &mut marks)?;
        let reference = tokens.references().map(|references| references[row as usize]);
        let counted = marks.into_iter().map(|mark| Mark::from(mark).counted).collect();
        Ok(Row { tokens: read, counted, reference })
    }
}
