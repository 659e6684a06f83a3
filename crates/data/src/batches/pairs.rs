//! Batches of pairs, by length: a budget of tokens, so that little of a batch is padding.

use std::sync::{Arc, Mutex, PoisonError};

use super::order::Position;
use super::permutation::{Permutation, mix};
use crate::shards::{ShardError, TokenFile};

/// Pairs on the host: sources and targets, padded with 0 to the longest of each.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PairBatch {
    /// Token ids of the sources, each with the end token, [rows, source_columns].
    pub sources: Vec<i32>,
    /// Tokens of each source.
    pub source_lengths: Vec<usize>,
    /// What is read while the targets are written, the end token first, [rows, columns].
    pub inputs: Vec<i32>,
    /// Token ids of the targets, each with the end token, [rows, columns].
    pub targets: Vec<i32>,
    /// Tokens of each target.
    pub lengths: Vec<usize>,
    /// The longest source.
    pub source_columns: usize,
    /// The longest target.
    pub columns: usize,
}

impl PairBatch {
    /// Number of pairs.
    pub fn rows(&self) -> usize {
        self.lengths.len()
    }

    /// Tokens that are predicted.
    pub fn tokens(&self) -> u64 {
        self.lengths.iter().sum::<usize>() as u64
    }

    /// 1 for each target token, 0 for padding, [rows, columns].
    pub fn weights(&self) -> Vec<f32> {
        let of_row = |length: &usize| {
            let length = *length;
            (0..self.columns).map(move |column| f32::from(u8::from(column < length)))
        };
        self.lengths.iter().flat_map(of_row).collect()
    }

    /// The first `rows` pairs, and the others.
    ///
    /// # Panics
    /// When there are fewer.
    pub fn split(mut self, rows: usize) -> (Self, Self) {
        let others = Self {
            sources: self.sources.split_off(rows * self.source_columns),
            source_lengths: self.source_lengths.split_off(rows),
            inputs: self.inputs.split_off(rows * self.columns),
            targets: self.targets.split_off(rows * self.columns),
            lengths: self.lengths.split_off(rows),
            ..self
        };
        (self, others)
    }
}

/// Why a file of tokens gives no batch of pairs.
#[derive(Debug, thiserror::Error)]
pub enum PairsError {
    /// The file cannot be read.
    #[error(transparent)]
    Shard(#[from] ShardError),
    /// No end token was named, or sources and targets do not alternate.
    #[error("{path} holds no pairs of sources and targets, which a model that translates learns from")]
    NoPairs {
        /// The file.
        path: String,
    },
    /// All pairs are too long.
    #[error(
        "none of the {pairs} pairs of the {split} split fits `run.context` ({context} tokens); the shortest has \
         {shortest}"
    )]
    TooLong {
        /// `training` or `validation`.
        split: &'static str,
        /// How many there are.
        pairs: usize,
        /// The most tokens of a source or target, the end token among them.
        context: usize,
        /// What the longer text of the shortest pair has.
        shortest: usize,
    },
}

/// Where a pair is in a file.
#[derive(Debug, Clone, Copy)]
struct Place {
    start: u64,
    /// Tokens of the source, with its end.
    source: u32,
    /// Tokens of the target, with its end.
    target: u32,
}

impl Place {
    fn longer(self) -> usize {
        self.source.max(self.target) as usize
    }
}

/// The pairs of a file that a model can read: those of which neither text is longer than its context.
#[derive(Debug, Clone)]
pub struct PairIndex {
    file: TokenFile,
    end: u32,
    places: Arc<[Place]>,
    too_long: u64,
}

impl PairIndex {
    /// Looks for the pairs of `file`, which knows its end token; `split` names it in errors.
    ///
    /// # Errors
    /// See [`PairsError`].
    pub fn new(file: &TokenFile, context: usize, split: &'static str) -> Result<Self, PairsError> {
        let none = || PairsError::NoPairs { path: file.path().display().to_string() };
        let end = file.pairs_end().ok_or_else(none)?;
        let ends = ends(file, end)?;
        if ends.is_empty() || ends.len() % 2 != 0 || ends.last() != Some(&file.len()) {
            return Err(none());
        }
        let starts = std::iter::once(0).chain(ends.iter().skip(1).step_by(2).copied());
        let all: Vec<Place> = starts
            .zip(ends.chunks_exact(2))
            .map(|(start, ends)| Place {
                start,
                source: (ends[0] - start).min(u64::from(u32::MAX)) as u32,
                target: (ends[1] - ends[0]).min(u64::from(u32::MAX)) as u32,
            })
            .collect();
        let places: Arc<[Place]> = all.iter().copied().filter(|place| place.longer() <= context).collect();
        if places.is_empty() {
            let shortest = all.iter().map(|place| place.longer()).min().unwrap_or(0);
            return Err(PairsError::TooLong { split, pairs: all.len(), context, shortest });
        }
        let too_long = (all.len() - places.len()) as u64;
        Ok(Self { file: file.clone(), end, places, too_long })
    }

    /// How many pairs there are.
    #[allow(clippy::len_without_is_empty, reason = "there is one at least")]
    pub fn len(&self) -> usize {
        self.places.len()
    }

    /// How many more there would be if the context were longer.
    pub fn too_long(&self) -> u64 {
        self.too_long
    }

    /// Tokens of all targets.
    pub fn target_tokens(&self) -> u64 {
        self.places.iter().map(|place| u64::from(place.target)).sum()
    }

    /// The tokens of pair `index`, without the ends.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn pair(&self, index: usize) -> Result<[Vec<u32>; 2], ShardError> {
        let Place { start, source, target } = self.places[index];
        let mut tokens = vec![0; (source + target) as usize];
        self.file.read(start, &mut tokens)?;
        let target = tokens.split_off(source as usize);
        Ok([tokens, target].map(|mut text| {
            text.pop();
            text
        }))
    }

    /// These pairs as a batch.
    fn batch(&self, pairs: &[u32]) -> Result<PairBatch, ShardError> {
        let places: Vec<Place> = pairs.iter().map(|pair| self.places[*pair as usize]).collect();
        let (source_lengths, lengths): (Vec<usize>, Vec<usize>) =
            places.iter().map(|place| (place.source as usize, place.target as usize)).unzip();
        let longest = |lengths: &[usize]| lengths.iter().copied().max().unwrap_or(0);
        let (source_columns, columns) = (longest(&source_lengths), longest(&lengths));
        let (mut sources, mut inputs, mut targets) = (Vec::new(), Vec::new(), Vec::new());
        for pair in pairs {
            let [source, target] = self.pair(*pair as usize)?;
            let end = [self.end];
            let put = |row: &mut Vec<i32>, parts: [&[u32]; 2], columns: usize| {
                let before = row.len();
                row.extend(parts.iter().flat_map(|part| part.iter()).map(|token| *token as i32));
                row.resize(before + columns, 0);
            };
            put(&mut sources, [&source, &end], source_columns);
            put(&mut inputs, [&end, &target], columns);
            put(&mut targets, [&target, &end], columns);
        }
        Ok(PairBatch { sources, source_lengths, inputs, targets, lengths, source_columns, columns })
    }

    /// The pairs in rising order of the longer text of each, cut into batches that have room for `budget` tokens of
    /// sources and as many of targets: where each batch begins, and where the last ends.
    fn cuts(&self, sorted: &[u32], budget: usize) -> Vec<usize> {
        let mut cuts = vec![0];
        for (index, pair) in sorted.iter().enumerate() {
            let first = cuts.last().copied().unwrap_or(0);
            let longest = self.places[*pair as usize].longer();
            if index > first && (index + 1 - first) * longest > budget {
                cuts.push(index);
            }
        }
        cuts.push(sorted.len());
        cuts
    }

    fn sorted(&self, key: impl Fn(u32) -> u64) -> Vec<u32> {
        let mut sorted: Vec<u32> = (0..self.places.len() as u32).collect();
        sorted.sort_by_cached_key(|pair| (self.places[*pair as usize].longer(), key(*pair), *pair));
        sorted
    }
}

/// Where each end token stands, as the number of tokens up to it.
fn ends(file: &TokenFile, end: u32) -> Result<Vec<u64>, ShardError> {
    const BLOCK: u64 = 1 << 16;
    let (mut ends, mut start) = (Vec::new(), 0);
    while start < file.len() {
        let mut tokens = vec![0; (file.len() - start).min(BLOCK) as usize];
        file.read(start, &mut tokens)?;
        ends.extend((start + 1..).zip(&tokens).filter(|(_, token)| **token == end).map(|(place, _)| place));
        start += tokens.len() as u64;
    }
    Ok(ends)
}

/// The training batches of a file of pairs: position to batch, a pure function of the seed. Pairs of about one length
/// are in a batch; which of them, and the order of the batches, is drawn anew for each epoch.
pub struct PairOrder {
    index: PairIndex,
    /// Where each batch begins among the pairs by length, which is the same in each epoch.
    cuts: Vec<usize>,
    seed: u64,
    /// The pairs by length of the last epoch that was asked for.
    sorted: Mutex<Option<(u64, Arc<[u32]>)>>,
}

impl PairOrder {
    /// Batches with room for `budget` tokens of sources and as many of targets.
    pub fn new(index: PairIndex, budget: usize, seed: u64) -> Self {
        let cuts = index.cuts(&index.sorted(|_| 0), budget);
        Self { index, cuts, seed, sorted: Mutex::new(None) }
    }

    /// The pairs.
    pub fn index(&self) -> &PairIndex {
        &self.index
    }

    /// Batches in a pass through the pairs.
    pub fn batches_per_epoch(&self) -> u64 {
        self.cuts.len() as u64 - 1
    }

    /// Epoch and place of the batch number `batch`, counted from the start of the run.
    pub fn position(&self, batch: u64) -> Position {
        let batches = self.batches_per_epoch();
        Position { epoch: batch / batches, index: batch % batches }
    }

    /// Batch number `batch` of the run.
    ///
    /// # Errors
    /// When the file cannot be read or holds a token outside the vocabulary.
    pub fn read(&self, batch: u64) -> Result<PairBatch, ShardError> {
        let Position { epoch, index } = self.position(batch);
        let order = Permutation::new(self.batches_per_epoch(), mix(mix(self.seed, 2), epoch));
        let index = order.apply(index) as usize;
        let sorted = self.sorted(epoch);
        self.index.batch(&sorted[self.cuts[index]..self.cuts[index + 1]])
    }

    fn sorted(&self, epoch: u64) -> Arc<[u32]> {
        let mut kept = self.sorted.lock().unwrap_or_else(PoisonError::into_inner);
        match &*kept {
            Some((of, sorted)) if *of == epoch => Arc::clone(sorted),
            _ => {
                let key = mix(mix(self.seed, 3), epoch);
                let sorted: Arc<[u32]> = self.index.sorted(|pair| mix(key, u64::from(pair))).into();
                *kept = Some((epoch, Arc::clone(&sorted)));
                sorted
            }
        }
    }
}

/// How a split of pairs is evaluated: each pair once, by length.
#[derive(Debug, Clone)]
pub struct PairPlan {
    index: PairIndex,
    sorted: Vec<u32>,
    cuts: Vec<usize>,
}

impl PairPlan {
    /// The plan for the first `fraction` of the pairs, one at least.
    pub fn new(index: PairIndex, fraction: f64, budget: usize) -> Self {
        let first = ((index.len() as f64 * fraction) as u32).max(1);
        let mut sorted = index.sorted(|_| 0);
        sorted.retain(|pair| *pair < first);
        let cuts = index.cuts(&sorted, budget);
        Self { index, sorted, cuts }
    }

    /// The pairs.
    pub fn index(&self) -> &PairIndex {
        &self.index
    }

    /// Number of batches.
    pub fn batches(&self) -> u64 {
        self.cuts.len() as u64 - 1
    }

    /// Batch number `index`.
    ///
    /// # Errors
    /// As [`PairOrder::read`].
    pub fn read(&self, index: u64) -> Result<PairBatch, ShardError> {
        let index = index as usize;
        self.index.batch(&self.sorted[self.cuts[index]..self.cuts[index + 1]])
    }
}

#[cfg(test)]
mod tests {
    use kiln_models::{ByteTokenizerConfig, Tokenizer, TokenizerConfig};

    use super::*;

    /// Byte tokens with the end token 256.
    fn file(pairs: &[(&str, &str)]) -> TokenFile {
        let special_tokens = vec![kiln_models::END_TOKEN.to_owned()];
        let config = TokenizerConfig::Byte(ByteTokenizerConfig { special_tokens });
        let tokenizer = Tokenizer::train(&config, &mut std::iter::empty()).unwrap();
        let text: String = pairs.iter().map(|(source, target)| format!("{source}<|end|>{target}<|end|>")).collect();
        TokenFile::in_memory(&text, &tokenizer).unwrap().of_pairs(tokenizer.end_token())
    }

    fn some() -> TokenFile {
        let texts: Vec<(String, String)> =
            (0..50).map(|number| ("a".repeat(1 + number * 7 % 11), "b".repeat(1 + number * 5 % 8))).collect();
        let texts: Vec<(&str, &str)> = texts.iter().map(|(source, target)| (&**source, &**target)).collect();
        file(&texts)
    }

    #[test]
    fn a_batch_is_what_it_is_worked_out_to_be_by_hand() {
        let index = PairIndex::new(&file(&[("ab", "c"), ("d", "ef")]), 8, "training").unwrap();
        let batch = PairPlan::new(index, 1.0, 100).read(0).unwrap();
        assert_eq!(batch.sources, [97, 98, 256, 100, 256, 0]);
        assert_eq!(batch.inputs, [256, 99, 0, 256, 101, 102]);
        assert_eq!(batch.targets, [99, 256, 0, 101, 102, 256]);
        assert_eq!((batch.source_lengths.clone(), batch.lengths.clone()), (vec![3, 2], vec![2, 3]));
        assert_eq!(batch.weights(), [1.0, 1.0, 0.0, 1.0, 1.0, 1.0]);
        assert_eq!((batch.tokens(), batch.rows()), (5, 2));
        let (first, second) = batch.split(1);
        assert_eq!((first.sources, second.targets), (vec![97, 98, 256], vec![101, 102, 256]));
    }

    #[test]
    fn every_epoch_has_every_pair_once_within_the_budget_in_another_order() {
        let index = PairIndex::new(&some(), 12, "training").unwrap();
        let order = PairOrder::new(index.clone(), 40, 7);
        let epoch = |number: u64| -> Vec<PairBatch> {
            let batches = order.batches_per_epoch();
            (number * batches..(number + 1) * batches).map(|batch| order.read(batch).unwrap()).collect()
        };
        let (first, second) = (epoch(0), epoch(1));
        assert_ne!(first, second);
        for batches in [&first, &second] {
            assert_eq!(batches.iter().map(PairBatch::rows).sum::<usize>(), 50);
            assert_eq!(batches.iter().map(PairBatch::tokens).sum::<u64>(), index.target_tokens());
            assert!(batches.iter().all(|batch| batch.rows() * batch.columns.max(batch.source_columns) <= 40));
        }
        // A pure function of the position, whatever was read before.
        let again = PairOrder::new(index, 40, 7);
        let batches = order.batches_per_epoch();
        for batch in [batches + 2, 0, 3 * batches, 1] {
            assert_eq!(again.read(batch).unwrap(), order.read(batch).unwrap());
        }
    }

    #[test]
    fn pairs_beyond_the_context_are_counted_and_left_out() {
        let file = some();
        let long = PairIndex::new(&file, 9, "training").unwrap();
        assert!(long.too_long() > 0 && long.too_long() + long.len() as u64 == 50);
        let error = PairIndex::new(&file, 1, "validation").unwrap_err().to_string();
        assert_eq!(
            error,
            "none of the 50 pairs of the validation split fits `run.context` (1 tokens); the shortest has 2"
        );
    }

    #[test]
    fn an_evaluation_reads_every_pair_of_its_part_once() {
        let index = PairIndex::new(&some(), 12, "validation").unwrap();
        for (fraction, expected) in [(1.0, 50), (0.3, 15), (0.001, 1)] {
            let plan = PairPlan::new(index.clone(), fraction, 30);
            let rows: usize = (0..plan.batches()).map(|batch| plan.read(batch).unwrap().rows()).sum();
            assert_eq!(rows, expected);
        }
    }

    #[test]
    fn a_text_that_isnt_made_of_pairs_is_refused() {
        let torn = file(&[("a", "b")]);
        assert!(PairIndex::new(&torn.clone().of_pairs(None), 8, "training").is_err());
        let other = torn.of_pairs(Some(97));
        assert!(PairIndex::new(&other, 8, "training").unwrap_err().to_string().contains("holds no pairs"));
    }
}
