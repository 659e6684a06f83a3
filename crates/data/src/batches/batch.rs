//! A batch on the host, and reading it from a file of tokens.

use kiln_models::DocumentStarts;

use crate::shards::{ShardError, TokenFile};

/// The text has fewer tokens than one batch needs.
#[derive(Debug, thiserror::Error)]
#[error(
    "the {split} split has {tokens} tokens, but {needed} are needed for one batch ({what}); \
     use a longer text, or {advice}"
)]
pub struct TooShort {
    /// `training` or `validation`.
    pub split: &'static str,
    /// Tokens in the split.
    pub tokens: u64,
    /// Tokens that one batch needs.
    pub needed: u64,
    /// What the number comes from.
    pub what: String,
    /// What else helps.
    pub advice: &'static str,
}

/// Token windows on the host, [rows, columns] in row-major order, with the tokens that follow each.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostBatch {
    /// Token ids of the inputs.
    pub inputs: Vec<i32>,
    /// Token ids one place further.
    pub targets: Vec<i32>,
    /// Number of windows.
    pub rows: usize,
    /// Tokens in a window.
    pub columns: usize,
    /// Whether the recurrent state of the batch before belongs to this one.
    pub carries_state: bool,
    /// Where a recurrent state begins anew.
    pub document_starts: DocumentStarts,
}

impl HostBatch {
    /// The first `rows` windows, and the others.
    ///
    /// # Panics
    /// When there are fewer.
    pub fn split(mut self, rows: usize) -> (Self, Self) {
        let inputs = self.inputs.split_off(rows * self.columns);
        let targets = self.targets.split_off(rows * self.columns);
        let (upper, lower) = self.document_starts.split(rows);
        let others = Self { inputs, targets, rows: self.rows - rows, document_starts: lower, ..self };
        (Self { rows, document_starts: upper, ..self }, others)
    }
}

/// Reads windows of `columns` tokens, and their successors, that start at `starts`.
pub(crate) fn read_windows(
    file: &TokenFile,
    starts: &[u64],
    columns: usize,
    carries_state: bool,
) -> Result<HostBatch, ShardError> {
    let mut inputs = Vec::with_capacity(starts.len() * columns);
    let mut targets = Vec::with_capacity(starts.len() * columns);
    let mut window = vec![0_u32; columns + 1];
    for &start in starts {
        file.read(start, &mut window)?;
        inputs.extend(window[..columns].iter().map(|&token| token as i32));
        targets.extend(window[1..].iter().map(|&token| token as i32));
    }
    let document_starts = file.document_starts(&inputs, columns);
    Ok(HostBatch { inputs, targets, rows: starts.len(), columns, carries_state, document_starts })
}
