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
    too_long: TooLong,
}

/// An example as a row of a batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Row {
    /// Its tokens: inputs, each followed by what is to be predicted.
    pub(crate) tokens: Vec<u32>,
    /// For each of them whether it is predicted.
    pub(crate) counted: Vec<bool>,
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
    pub(super) fn new(tokens: &TokenFile, marks: TokenFile, too_long: TooLong) -> Result<Self, ShardError> {
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
        bounds.push(marks.len());
        Ok(Self { marks, bounds: bounds.into(), unpredicted: unpredicted.into(), counted, too_long })
    }

    /// How many there are.
    pub fn count(&self) -> u64 {
        self.bounds.len() as u64 - 1
    }

    /// How many tokens are predicted in all.
    pub fn counted(&self) -> u64 {
        self.counted
    }

    /// The tokens of an example.
    fn range(&self, example: u64) -> Range<u64> {
        self.bounds[example as usize]..self.bounds[example as usize + 1]
    }

    /// How many inputs an example has in windows of `columns` tokens: the last token is no input.
    pub(crate) fn inputs(&self, example: u64, columns: usize) -> usize {
        let Range { start, end } = self.range(example);
        (end - start).saturating_sub(1).min(columns as u64) as usize
    }

    /// Those that have something to be predicted in windows of `columns` tokens.
    pub fn fitting(&self, columns: usize) -> Fitting {
        let longest = columns as u64;
        let (mut examples, mut cut) = (Vec::new(), 0);
        for (example, before) in (0..self.count()).zip(self.unpredicted.iter()) {
            let Range { start, end } = self.range(example);
            let is_long = end - start > longest + 1;
            if *before <= longest && (!is_long || self.too_long == TooLong::Cut) {
                cut += u64::from(is_long);
                examples.push(example);
            }
        }
        let left_out = self.count() - examples.len() as u64;
        Fitting { examples: examples.into(), cut, left_out }
    }

    /// An example of `tokens` in a window of `columns` tokens.
    pub(crate) fn row(&self, tokens: &TokenFile, example: u64, columns: usize) -> Result<Row, ShardError> {
        let length = self.inputs(example, columns) + 1;
        let (mut row, mut marks) = (vec![0; length], vec![0; length]);
        let start = self.range(example).start;
        tokens.read(start, &mut row)?;
        self.marks.read(start, &mut marks)?;
        Ok(Row { tokens: row, counted: marks.into_iter().map(|mark| Mark::from(mark).counted).collect() })
    }
}
