//! The windows of an evaluation: every token of the split predicted once, in order.

use std::ops::Range;
use std::sync::Arc;

use kiln_models::DocumentStarts;

use super::batch::{HostBatch, TooShort, read_examples};
use super::examples::check_examples;
use crate::shards::{Examples, ShardError, TokenFile};

/// A text too short to be evaluated at all.
#[derive(Debug, thiserror::Error)]
#[error(
    "the text has {tokens} {}, and at least 2 are needed: each is predicted from those before it",
    if *tokens == 1 { "token" } else { "tokens" }
)]
pub struct NothingToPredict {
    /// Tokens of the text.
    pub tokens: u64,
}

/// A batch of an evaluation.
#[derive(Debug, Clone, PartialEq)]
pub struct EvaluationBatch {
    /// Token ids of the inputs, [rows, columns].
    pub inputs: Vec<i32>,
    /// Token ids one place further, [rows, columns].
    pub targets: Vec<i32>,
    /// 1 if the prediction counts, 0 if it only warms the state up or fills the batch, [rows, columns].
    pub weights: Vec<f32>,
    /// Number of windows.
    pub rows: usize,
    /// Tokens in a window.
    pub columns: usize,
    /// Whether the state after the batch before goes in.
    pub carries_state: bool,
    /// Of preferences, as those of a training batch.
    pub references: Option<Vec<f32>>,
    /// How many predictions count.
    pub scored: u64,
    /// Where a recurrent state begins anew.
    pub document_starts: DocumentStarts,
}

/// How a split is read: all batches have one shape, and each target among the first `targets` counts exactly once, but
/// for those in the start that stands before the text.
///
/// Without state, windows follow one another; the last is moved back to end with the text, and only what is new in it
/// counts. With state, the text is cut into `rows` streams that are read side by side; each stream but the first starts
/// [`EvaluationPlan::WARMUP`] tokens early, uncounted, so that no prediction is made from a cold state.
///
/// Examples are read each by itself, the shortest first, in batches as wide as their longest one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EvaluationPlan {
    rows: usize,
    columns: usize,
    /// The first target that counts, and the number of all.
    first: u64,
    targets: u64,
    carries_state: bool,
    /// The numbers of those that are read, where the file has examples.
    examples: Option<Arc<[u64]>>,
}

impl EvaluationPlan {
    /// Tokens that a stream reads before its predictions count.
    pub const WARMUP: u64 = 512;

    /// The plan for the first `fraction` of `file`, in batches of `rows` windows of `columns` tokens.
    ///
    /// # Errors
    /// When the split doesn't have even one window.
    pub fn new(
        file: &TokenFile,
        fraction: f64,
        rows: usize,
        columns: usize,
        carries_state: bool,
    ) -> Result<Self, TooShort> {
        Self::check(file, columns)?;
        if let Some(examples) = file.examples() {
            return Ok(Self::of_examples(examples, fraction, rows, columns));
        }
        let all = file.len() - 1;
        let targets = ((all as f64 * fraction) as u64).clamp(columns as u64, all);
        Ok(Self { rows, columns, first: first_target(file), targets, carries_state, examples: None })
    }

    /// Whether a validation split has a window of `columns` tokens, or an example that fits one.
    ///
    /// # Errors
    /// When it doesn't.
    pub fn check(file: &TokenFile, columns: usize) -> Result<(), TooShort> {
        match file.examples() {
            Some(examples) => check_examples("validation", examples, 1, columns),
            None => Self::check_length(file.len(), columns),
        }
    }

    /// The first `fraction` of the examples, at least one, the shortest first.
    fn of_examples(examples: &Examples, fraction: f64, rows: usize, columns: usize) -> Self {
        let fitting = examples.fitting(columns).examples;
        let taken = ((fitting.len() as f64 * fraction) as usize).clamp(1, fitting.len().max(1));
        let mut numbers: Vec<u64> = fitting.iter().copied().take(taken).collect();
        numbers.sort_by_key(|example| examples.inputs(*example, columns));
        let part = numbers.len() as f64 / examples.count().max(1) as f64;
        let targets = (examples.counted() as f64 * part) as u64;
        Self { rows, columns, first: 0, targets, carries_state: false, examples: Some(numbers.into()) }
    }

    /// Whether a validation split of `tokens` tokens has a window of `columns` tokens.
    ///
    /// # Errors
    /// When it doesn't.
    pub fn check_length(tokens: u64, columns: usize) -> Result<(), TooShort> {
        let needed = columns as u64 + 1;
        let what = || format!("a window of {columns} and the token after it");
        let advice = "a larger `data.validation-fraction` or a smaller `run.context`";
        if tokens < needed {
            let (unit, more) = ("tokens", "a longer text");
            return Err(TooShort { split: "validation", unit, found: tokens, needed, what: what(), more, advice });
        }
        Ok(())
    }

    /// The plan for all of a text of two tokens or more: one that is shorter than a window of `columns` tokens is one
    /// shorter window.
    ///
    /// # Errors
    /// When there is no token to be predicted.
    pub fn of_text(
        file: &TokenFile,
        rows: usize,
        columns: usize,
        carries_state: bool,
    ) -> Result<Self, NothingToPredict> {
        if let Some(examples) = file.examples() {
            let plan = Self::of_examples(examples, 1.0, rows, columns);
            return if plan.batches() > 0 { Ok(plan) } else { Err(NothingToPredict { tokens: 0 }) };
        }
        let (first, targets) = (first_target(file), file.len().saturating_sub(1));
        if targets <= first {
            return Err(NothingToPredict { tokens: file.len() });
        }
        let columns = columns.min(usize::try_from(targets).unwrap_or(usize::MAX));
        Ok(Self { rows, columns, first, targets, carries_state, examples: None })
    }

    /// Predictions that count; of examples an approximation.
    pub fn targets(&self) -> u64 {
        self.targets - self.first
    }

    /// Number of batches.
    pub fn batches(&self) -> u64 {
        match &self.examples {
            Some(numbers) => numbers.len().div_ceil(self.rows) as u64,
            None if self.carries_state => self.stream_windows(),
            None => self.windows().div_ceil(self.rows as u64),
        }
    }

    /// Batch number `index`.
    ///
    /// # Errors
    /// When the file cannot be read or holds a token outside the vocabulary.
    pub fn read(&self, file: &TokenFile, index: u64) -> Result<EvaluationBatch, ShardError> {
        if let (Some(numbers), Some(examples)) = (&self.examples, file.examples()) {
            let numbers = numbers.chunks(self.rows).nth(index as usize).unwrap_or_default();
            return Ok(read_examples(file, examples, numbers, self.columns)?.into());
        }
        let rows = 0..self.rows as u64;
        let windows: Vec<(u64, Range<u64>)> = if self.carries_state {
            rows.map(|stream| self.stream_window(stream, index)).collect()
        } else {
            rows.map(|row| self.window(index * self.rows as u64 + row)).collect()
        };
        let mut batch = EvaluationBatch {
            inputs: Vec::new(),
            targets: Vec::new(),
            weights: Vec::new(),
            references: None,
            rows: self.rows,
            columns: self.columns,
            carries_state: self.carries_state && index > 0,
            scored: windows.iter().map(|(_, counted)| counted.end - counted.start).sum(),
            document_starts: DocumentStarts::default(),
        };
        let mut window = vec![0_u32; self.columns + 1];
        for (start, counted) in windows {
            let available = (self.targets + 1).saturating_sub(start).min(window.len() as u64) as usize;
            if available > 0 {
                file.read(start, &mut window[..available])?;
            }
            window[available..].fill(0);
            batch.inputs.extend(window[..self.columns].iter().map(|&token| token as i32));
            batch.targets.extend(window[1..].iter().map(|&token| token as i32));
            batch.weights.extend((0..self.columns as u64).map(|column| f32::from(u8::from(counted.contains(&column)))));
        }
        batch.document_starts = file.document_starts(&batch.inputs, self.columns);
        Ok(batch)
    }

    fn windows(&self) -> u64 {
        self.targets.div_ceil(self.columns as u64)
    }

    /// Where window number `index` starts and which of its targets count; one past the last is empty.
    fn window(&self, index: u64) -> (u64, Range<u64>) {
        let columns = self.columns as u64;
        if index >= self.windows() {
            return (self.targets + 1, 0..0);
        }
        let first = index * columns;
        let start = first.min(self.targets - columns);
        (start, first.max(self.first).min(start + columns) - start..columns)
    }

    fn stream_length(&self) -> u64 {
        self.targets.div_ceil(self.rows as u64)
    }

    fn stream_windows(&self) -> u64 {
        (self.stream_length() + self.warmup()).div_ceil(self.columns as u64)
    }

    /// The warm-up of the streams; none if there is only one, which starts where the text does.
    fn warmup(&self) -> u64 {
        if self.rows == 1 { 0 } else { Self::WARMUP }
    }

    /// The same for window `index` of stream `stream`, whose own targets are [stream x length, (stream + 1) x length).
    ///
    /// A stream too near the start of the text for a whole warm-up starts with the text and is done before the others.
    fn stream_window(&self, stream: u64, index: u64) -> (u64, Range<u64>) {
        let (columns, length) = (self.columns as u64, self.stream_length());
        let own = (stream * length).min(self.targets)..((stream + 1) * length).min(self.targets);
        let start = own.start.saturating_sub(self.warmup()) + index * columns;
        let from = own.start.max(self.first).clamp(start, start + columns);
        let to = own.end.clamp(from, start + columns);
        (start, from - start..to - start)
    }
}

impl From<EvaluationBatch> for HostBatch {
    fn from(batch: EvaluationBatch) -> Self {
        let EvaluationBatch { inputs, targets, weights, references, rows, columns, .. } = batch;
        let (weights, carries_state, document_starts) = (Some(weights), batch.carries_state, batch.document_starts);
        Self { inputs, targets, weights, references, rows, columns, carries_state, document_starts }
    }
}

impl From<HostBatch> for EvaluationBatch {
    fn from(batch: HostBatch) -> Self {
        let scored = batch.counted();
        let HostBatch { inputs, targets, weights, references, rows, columns, carries_state, document_starts } = batch;
        let weights = weights.unwrap_or_else(|| vec![1.0; targets.len()]);
        Self { inputs, targets, weights, references, rows, columns, carries_state, scored, document_starts }
    }
}

/// The first target that isn't in the start.
fn first_target(file: &TokenFile) -> u64 {
    file.start_len().saturating_sub(1)
}
