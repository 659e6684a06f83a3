//! Learning byte pairs: words are counted here in bounded memory, the crate merges.

use std::collections::HashMap;

use serde_json::Value;
use tokenizers::AddedToken;
use tokenizers::models::bpe::{BPE, BpeTrainer};

use super::byte_level;
use super::config::BytePairTokenizerConfig;
use super::error::TokenizerError;
use super::words::Words;

/// How many different words are remembered at most; at twice as many the rarest half is forgotten.
/// The merges need about half a kilobyte a word.
const MOST_WORDS: usize = 200_000;

/// A longer word is split into parts of this many bytes: no useful token is longer, and merging is slow on long words.
const LONGEST_WORD: usize = 64;

/// The crate counts pairs in 32 bits with a sign, so larger counts are scaled down together.
const LARGEST_TOTAL: u64 = 1 << 30;

/// How often each word occurs.
#[derive(Debug, Default)]
pub(super) struct WordCounts {
    counts: HashMap<Box<str>, u64>,
    words: Words,
    /// The end of the text so far that may be part of a word.
    held: String,
}

impl WordCounts {
    /// Counts the words of the next piece of the text.
    pub(super) fn add(&mut self, piece: &str) {
        let mut text = std::mem::take(&mut self.held);
        text.push_str(piece);
        let boundary = self.words.last_boundary(&text).unwrap_or(0);
        // A text without white space is cut anywhere rather than held without end.
        let boundary = if text.len() - boundary > (1 << 20) { text.len() } else { boundary };
        self.count(&text[..boundary]);
        text.drain(..boundary);
        self.held = text;
    }

    fn count(&mut self, text: &str) {
        let Self { counts, words, .. } = self;
        let counted: Result<(), std::convert::Infallible> = words.each(text, |_, mut word| {
            while !word.is_empty() {
                let (part, rest) = word.split_at(word.floor_char_boundary(LONGEST_WORD));
                match counts.get_mut(part) {
                    Some(count) => *count += 1,
                    None => {
                        counts.insert(part.into(), 1);
                        if counts.len() >= 2 * MOST_WORDS {
                            forget_rarest(counts);
                        }
                    }
                }
                word = rest;
            }
            Ok(())
        });
        let Ok(()) = counted;
    }

    /// The words in the byte-level alphabet with their counts, scaled so that no sum of them overflows the crate's
    /// counters.
    fn finish(mut self) -> Vec<(String, u64)> {
        let held = std::mem::take(&mut self.held);
        self.count(&held);
        if self.counts.len() > MOST_WORDS {
            forget_rarest(&mut self.counts);
        }
        let pairs: u64 = self.counts.iter().map(|(word, count)| count.saturating_mul(word.len() as u64)).sum();
        let scale = pairs.div_ceil(LARGEST_TOTAL).max(1);
        self.counts.into_iter().map(|(word, count)| (byte_level::spell(&word), count.div_ceil(scale))).collect()
    }
}

/// Keeps the [`MOST_WORDS`] most frequent words, of equally frequent ones those that sort first, so that the result is
/// a function of the text alone.
fn forget_rarest(counts: &mut HashMap<Box<str>, u64>) {
    let mut ranked: Vec<(Box<str>, u64)> = counts.drain().collect();
    ranked
        .select_nth_unstable_by(MOST_WORDS - 1, |left, right| right.1.cmp(&left.1).then_with(|| left.0.cmp(&right.0)));
    ranked.truncate(MOST_WORDS);
    counts.extend(ranked);
}

/// A vocabulary and its merges, as `tokenizer.json` holds them.
pub(super) struct Merged {
    pub(super) vocabulary: Value,
    pub(super) merges: Value,
}

/// Merges pairs until the vocabulary is as large as `config` says or no word has a pair left.
pub(super) fn learn(counts: WordCounts, config: &BytePairTokenizerConfig) -> Result<Merged, TokenizerError> {
    let words = counts.finish();
    if words.is_empty() {
        return Err(TokenizerError::NoText);
    }
    let special = config.special_tokens.iter().map(|token| AddedToken::from(token.as_str(), true));
    let trainer = BpeTrainer::builder()
        .vocab_size(config.vocabulary_size)
        .initial_alphabet((0..=u8::MAX).map(byte_level::character).collect())
        .special_tokens(special.collect())
        .show_progress(false)
        .build();
    let failed = |error: String| TokenizerError::Failed { offset: 0, reason: error };
    let mut model = BPE::default();
    let counts = words.into_iter().map(|(word, count)| (word.into(), count)).collect();
    trainer.do_train(&counts, &mut model).map_err(|error| failed(error.to_string()))?;
    let mut model = serde_json::to_value(&model).map_err(|error| failed(error.to_string()))?;
    Ok(Merged { vocabulary: model["vocab"].take(), merges: model["merges"].take() })
}
