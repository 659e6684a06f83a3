//! The order in which training windows are read.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

use super::batch::{HostBatch, TooShort, read_examples, read_windows};
use super::examples::{ExampleOrder, check_examples};
use super::permutation::{Permutation, mix};
use crate::shards::{ShardError, TokenFile};

/// How training windows are picked: `run.windows`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Windows {
    /// Each window starts anywhere, drawn anew for every batch (nanoGPT's way).
    Random,
    /// The text is cut into windows, each is read once an epoch, in an order shuffled by (seed, epoch).
    Shuffled,
    /// The text is cut into as many parallel streams as the batch has rows; windows follow one another and the
    /// recurrent state goes along (truncated back-propagation through time). At the end of an epoch it starts cold
    /// again.
    Streams,
}

impl Windows {
    /// Whether a training split has a batch of `rows` windows of `columns` tokens, or of as many examples.
    ///
    /// # Errors
    /// When it doesn't.
    pub fn check(self, file: &TokenFile, rows: usize, columns: usize) -> Result<(), TooShort> {
        match file.examples() {
            Some(examples) => check_examples("training", examples, rows, columns),
            None => self.check_length(file.len(), rows, columns),
        }
    }

    /// Whether a training split of `tokens` tokens has a batch of `rows` windows of `columns` tokens.
    ///
    /// # Errors
    /// When it doesn't.
    pub fn check_length(self, tokens: u64, rows: usize, columns: usize) -> Result<(), TooShort> {
        let (needed, what) = match self {
            Self::Random => (columns as u64 + 1, format!("a window of {columns} and the token after it")),
            Self::Shuffled | Self::Streams => {
                let needed = (rows as u64).saturating_mul(columns as u64).saturating_add(1);
                (needed, format!("{rows} windows of {columns} and the token after them"))
            }
        };
        let advice = "a smaller `run.context` or `run.batch`";
        if tokens >= needed {
            return Ok(());
        }
        let (unit, more) = ("tokens", "a longer text");
        Err(TooShort { split: "training", unit, found: tokens, needed, what, more, advice })
    }
}

/// Where in the data a run is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Position {
    /// Passes through the text that are complete; 0 for random windows.
    pub epoch: u64,
    /// The batch within the pass.
    pub index: u64,
}

/// The batches of one token file in one order: position to batch, a pure function.
///
/// # Examples
/// Two streams of a file of the tokens 0, 1, ..., 8, read side by side in windows of two:
/// ```
/// use kiln_data::batches::{BatchOrder, Windows};
/// use kiln_data::shards::{TextIdentity, TokenFileWriter};
///
/// let folder = tempfile::tempdir()?;
/// let mut writer = TokenFileWriter::create(&folder.path().join("tokens"), [0; 32], 9)?;
/// writer.push(&[0, 1, 2, 3, 4, 5, 6, 7, 8])?;
/// let file = writer.finish(TextIdentity::default())?;
///
/// let order = BatchOrder::new(file, Windows::Streams, 2, 2, 1)?;
/// assert_eq!(order.batches_per_epoch(), 2);
/// let batch = order.read(1)?;
/// assert_eq!((batch.inputs, batch.targets), (vec![2, 3, 6, 7], vec![3, 4, 7, 8]));
/// assert!(batch.carries_state);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct BatchOrder {
    file: TokenFile,
    /// Where the file has examples.
    examples: Option<ExampleOrder>,
    windows: Windows,
    rows: usize,
    columns: usize,
    seed: u64,
}

impl BatchOrder {
    /// The batches of `rows` windows of `columns` tokens; of a file of examples, batches of `rows` of those that fit.
    ///
    /// # Errors
    /// When the file is too short for one batch.
    pub fn new(file: TokenFile, windows: Windows, rows: usize, columns: usize, seed: u64) -> Result<Self, TooShort> {
        windows.check(&file, rows, columns)?;
        let examples = file.examples().map(|examples| ExampleOrder::new(examples, windows, rows, columns, seed));
        Ok(Self { examples, file, windows, rows, columns, seed })
    }

    /// Batches in a pass through the text; for random windows as many as hold as many tokens as the text.
    pub fn batches_per_epoch(&self) -> u64 {
        if let Some(examples) = &self.examples {
            return examples.batches_per_epoch();
        }
        let targets = self.file.len() - 1;
        let (rows, columns) = (self.rows as u64, self.columns as u64);
        match self.windows {
            Windows::Random => (targets / (rows * columns)).max(1),
            Windows::Shuffled => targets / columns / rows,
            Windows::Streams => targets / rows / columns,
        }
    }

    /// Epoch and place of the batch number `batch`, counted from the start of the run.
    pub fn position(&self, batch: u64) -> Position {
        match self.windows {
            Windows::Random => Position { epoch: 0, index: batch },
            Windows::Shuffled | Windows::Streams => {
                let batches = self.batches_per_epoch();
                Position { epoch: batch / batches, index: batch % batches }
            }
        }
    }

    /// Batch number `batch` of the run.
    ///
    /// # Errors
    /// When the file cannot be read or holds a token outside the vocabulary.
    pub fn read(&self, batch: u64) -> Result<HostBatch, ShardError> {
        let position = self.position(batch);
        if let (Some(order), Some(examples)) = (&self.examples, self.file.examples()) {
            return read_examples(&self.file, examples, &order.numbers(examples, position), self.columns);
        }
        let starts = match self.windows {
            Windows::Random => self.random_starts(position),
            Windows::Shuffled => self.shuffled_starts(position),
            Windows::Streams => self.stream_starts(position),
        };
        let carries_state = self.windows == Windows::Streams && position.index > 0;
        read_windows(&self.file, &starts, self.columns, carries_state)
    }

    fn random_starts(&self, position: Position) -> Vec<u64> {
        let mut random = ChaCha8Rng::seed_from_u64(mix(self.seed, 0));
        random.set_stream(position.index);
        let last = self.file.len() - self.columns as u64;
        (0..self.rows).map(|_| random.random_range(0..last)).collect()
    }

    fn shuffled_starts(&self, position: Position) -> Vec<u64> {
        let windows = (self.file.len() - 1) / self.columns as u64;
        let order = Permutation::new(windows, mix(mix(self.seed, 1), position.epoch));
        let first = position.index * self.rows as u64;
        (first..first + self.rows as u64).map(|index| order.apply(index) * self.columns as u64).collect()
    }

    fn stream_starts(&self, position: Position) -> Vec<u64> {
        let length = (self.file.len() - 1) / self.rows as u64;
        (0..self.rows as u64).map(|stream| stream * length + position.index * self.columns as u64).collect()
    }
}
