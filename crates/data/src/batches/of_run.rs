//! What a model learns from, by number: windows of a text, or pairs.

use super::batch::HostBatch;
use super::order::BatchOrder;
use super::pairs::{PairBatch, PairOrder};
use crate::shards::ShardError;

/// The training batches of a run.
pub enum Batches {
    /// Windows of a text.
    Windows(BatchOrder),
    /// Sources and what they are translated to.
    Pairs(PairOrder),
}

/// One of them.
#[derive(Debug, Clone, PartialEq)]
pub enum Batch {
    /// Windows of a text.
    Windows(HostBatch),
    /// Sources and targets.
    Pairs(PairBatch),
}

impl From<HostBatch> for Batch {
    fn from(windows: HostBatch) -> Self {
        Self::Windows(windows)
    }
}

impl From<PairBatch> for Batch {
    fn from(pairs: PairBatch) -> Self {
        Self::Pairs(pairs)
    }
}

impl Batches {
    /// Batch number `batch` of the run.
    ///
    /// # Errors
    /// When the file cannot be read or holds a token outside the vocabulary.
    pub fn read(&self, batch: u64) -> Result<Batch, ShardError> {
        match self {
            Self::Windows(order) => order.read(batch).map(Batch::Windows),
            Self::Pairs(order) => order.read(batch).map(Batch::Pairs),
        }
    }
}

impl Batch {
    /// Windows, or pairs.
    pub fn rows(&self) -> usize {
        match self {
            Self::Windows(windows) => windows.rows,
            Self::Pairs(pairs) => pairs.rows(),
        }
    }

    /// Targets that count, over which its loss is a mean.
    pub fn counted(&self) -> u64 {
        match self {
            Self::Windows(windows) => windows.counted(),
            Self::Pairs(pairs) => pairs.tokens(),
        }
    }

    /// Terms of the mean that its loss is: targets that count, or pairs of answers.
    pub fn terms(&self) -> u64 {
        match self {
            Self::Windows(windows) => windows.terms(),
            Self::Pairs(pairs) => pairs.tokens(),
        }
    }

    /// Rows of the upper half, where it is cut in two.
    pub fn upper_half(&self) -> usize {
        match self {
            Self::Windows(windows) => windows.upper_half(),
            Self::Pairs(pairs) => pairs.rows() / 2,
        }
    }

    /// Whether the recurrent state of the batch before belongs to this one.
    pub fn carries_state(&self) -> bool {
        match self {
            Self::Windows(windows) => windows.carries_state,
            Self::Pairs(_) => false,
        }
    }

    /// The first `rows` windows or pairs, and the others.
    ///
    /// # Panics
    /// When there are fewer.
    pub fn split(self, rows: usize) -> (Self, Self) {
        match self {
            Self::Windows(windows) => {
                let (first, others) = windows.split(rows);
                (Self::Windows(first), Self::Windows(others))
            }
            Self::Pairs(pairs) => {
                let (first, others) = pairs.split(rows);
                (Self::Pairs(first), Self::Pairs(others))
            }
        }
    }
}
