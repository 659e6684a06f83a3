//! A batch on the host, and reading it from a file of tokens.

use kiln_models::DocumentStarts;

use crate::shards::{Examples, Row, ShardError, TokenFile};

/// The text has fewer tokens than one batch needs.
#[derive(Debug, thiserror::Error)]
#[error(
    "the {split} split has {found} {unit}, but {needed} are needed for one batch ({what}); use {more}, or {advice}"
)]
pub struct TooShort {
    /// `training` or `validation`.
    pub split: &'static str,
    /// What is counted: `tokens` or `examples`.
    pub unit: &'static str,
    /// How many the split has.
    pub found: u64,
    /// How many one batch needs.
    pub needed: u64,
    /// What the number comes from.
    pub what: String,
    /// What helps.
    pub more: &'static str,
    /// What else helps.
    pub advice: &'static str,
}

/// Token windows on the host, [rows, columns] in row-major order, with the tokens that follow each.
#[derive(Debug, Clone, PartialEq)]
pub struct HostBatch {
    /// Token ids of the inputs.
    pub inputs: Vec<i32>,
    /// Token ids one place further.
    pub targets: Vec<i32>,
    /// For each target 1 if its loss counts, else 0; nothing where all count.
    pub weights: Option<Vec<f32>>,
    /// Of preferences, whose rows are a chosen and a rejected answer in turns: the log-probability of each under the
    /// reference model.
    pub references: Option<Vec<f32>>,
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
    /// How many targets count.
    pub fn counted(&self) -> u64 {
        match &self.weights {
            Some(weights) => weights.iter().filter(|weight| **weight > 0.0).count() as u64,
            None => self.targets.len() as u64,
        }
    }

    /// How many targets of the even rows count: of preferences, those of the chosen answers.
    pub fn counted_of_chosen(&self) -> u64 {
        let weights = self.weights.iter().flat_map(|weights| weights.chunks(self.columns).step_by(2));
        weights.map(|row| row.iter().filter(|weight| **weight > 0.0).count() as u64).sum()
    }

    /// What the loss is a mean over: the targets that count, or the pairs of preferences.
    pub fn terms(&self) -> u64 {
        if self.references.is_some() { self.rows as u64 / 2 } else { self.counted() }
    }

    /// How many rows the upper half has: pairs stay together.
    pub fn upper_half(&self) -> usize {
        if self.references.is_some() { self.rows / 4 * 2 } else { self.rows / 2 }
    }

    /// The first `rows` windows, and the others.
    ///
    /// # Panics
    /// When there are fewer.
    pub fn split(mut self, rows: usize) -> (Self, Self) {
        let inputs = self.inputs.split_off(rows * self.columns);
        let targets = self.targets.split_off(rows * self.columns);
        let weights = self.weights.as_mut().map(|weights| weights.split_off(rows * self.columns));
        let references = self.references.as_mut().map(|references| references.split_off(rows));
        let (upper, lower) = self.document_starts.split(rows);
        let others =
            Self { inputs, targets, weights, references, rows: self.rows - rows, document_starts: lower, ..self };
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
    let (weights, references, rows) = (None, None, starts.len());
    Ok(HostBatch { inputs, targets, weights, references, rows, columns, carries_state, document_starts })
}

/// Reads these pairs of a file of pairs, as a batch of the order of training.
///
/// # Errors
/// When the file cannot be read or holds a token outside the vocabulary.
pub fn read_pairs(file: &TokenFile, numbers: &[u64], columns: usize) -> Result<HostBatch, ShardError> {
    match file.examples() {
        Some(examples) => read_examples(file, examples, numbers, columns),
        None => read_windows(file, &[], columns, false),
    }
}

/// Reads these examples, each as a row of its own, padded behind its end to the longest of them.
pub(crate) fn read_examples(
    file: &TokenFile,
    examples: &Examples,
    numbers: &[u64],
    columns: usize,
) -> Result<HostBatch, ShardError> {
    let columns = numbers.iter().map(|number| examples.inputs(*number, columns)).max().unwrap_or_default().max(1);
    let mut read = Vec::new();
    for number in numbers {
        read.extend(examples.read(file, *number, columns)?);
    }
    let places = read.len() * columns;
    let (mut inputs, mut targets, mut weights) = (vec![0; places], vec![0; places], vec![0.0; places]);
    for (row, Row { tokens, counted, .. }) in read.iter().enumerate() {
        let pairs = tokens.iter().zip(&tokens[1..]).zip(&counted[1..]);
        for (place, ((input, target), counted)) in (row * columns..).zip(pairs) {
            inputs[place] = *input as i32;
            targets[place] = *target as i32;
            weights[place] = f32::from(u8::from(*counted));
        }
    }
    let (rows, weights, document_starts) = (read.len(), Some(weights), DocumentStarts::default());
    let references = read.iter().map(|row| row.reference).collect();
    Ok(HostBatch { inputs, targets, weights, references, rows, columns, carries_state: false, document_starts })
}
