//! Learning byte pairs: words are counted here in bounded memory, the crate merges.

use std::collections::HashMap;

use serde_json::Value;
use tokenizers::AddedToken;
use tokenizers::models::bpe::{BPE, BpeTrainer};

use super::byte_level;
use super::config::BytePairTokenizerConfig;
use super::error::TokenizerError;
use super::words::Words;

/// How many different words are remembered at most, and how many bytes they have together; at twice as many the rarest
/// are forgotten. The merges need about a hundred bytes of memory for each byte of a word.
const MOST: Size = Size { words: 200_000, bytes: 3 << 20 };

/// A longer word is split into parts of this many bytes: no useful token is longer, and merging is slow on long words.
const LONGEST_WORD: usize = 64;

/// The crate counts pairs in 32 bits with a sign, so larger counts are scaled down together.
const LARGEST_TOTAL: u64 = 1 << 30;

/// How much different words are.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Size {
    words: usize,
    bytes: usize,
}

impl Size {
    fn with(self, word: &str) -> Self {
        Self { words: self.words + 1, bytes: self.bytes + word.len() }
    }

    fn is_more_than(self, times: usize, limit: Self) -> bool {
        self.words > times * limit.words || self.bytes > times * limit.bytes
    }
}

/// How often each word occurs.
#[derive(Debug, Default)]
pub(super) struct WordCounts {
    counts: HashMap<Box<str>, u64>,
    size: Size,
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
        let Self { counts, size, words, .. } = self;
        let counted: Result<(), std::convert::Infallible> = words.each(text, |_, mut word| {
            while !word.is_empty() {
                let (part, rest) = word.split_at(word.floor_char_boundary(LONGEST_WORD));
                match counts.get_mut(part) {
                    Some(count) => *count += 1,
                    None => {
                        counts.insert(part.into(), 1);
                        *size = size.with(part);
                        if size.is_more_than(2, MOST) {
                            *size = forget_rarest(counts, MOST);
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
        if self.size.is_more_than(1, MOST) {
            forget_rarest(&mut self.counts, MOST);
        }
        let pairs: u64 = self.counts.iter().map(|(word, count)| count.saturating_mul(word.len() as u64)).sum();
        let scale = pairs.div_ceil(LARGEST_TOTAL).max(1);
        self.counts.into_iter().map(|(word, count)| (byte_level::spell(&word), count.div_ceil(scale))).collect()
    }
}

/// Keeps the most frequent words up to `limit`, of equally frequent ones those that sort first, so that the result is a
/// function of the text alone. Gives what is left.
fn forget_rarest(counts: &mut HashMap<Box<str>, u64>, limit: Size) -> Size {
    let mut ranked: Vec<(Box<str>, u64)> = counts.drain().collect();
    ranked.sort_unstable_by(|left, right| right.1.cmp(&left.1).then_with(|| left.0.cmp(&right.0)));
    let mut size = Size::default();
    for (word, count) in ranked {
        if size.with(&word).is_more_than(1, limit) {
            break;
        }
        size = size.with(&word);
        counts.insert(word, count);
    }
    size
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rarest_words_are_forgotten_by_number_and_by_bytes() {
        let all =
            || HashMap::from([("the", 9), ("cat", 4), ("ant", 4), ("elephantine", 1)].map(|(w, n)| (w.into(), n)));
        let kept = |limit| {
            let mut counts = all();
            let size = forget_rarest(&mut counts, limit);
            let mut words: Vec<String> = counts.keys().map(|word| word.to_string()).collect();
            words.sort();
            (words.join(" "), size)
        };
        assert_eq!(kept(Size { words: 2, bytes: 99 }), ("ant the".into(), Size { words: 2, bytes: 6 }));
        assert_eq!(kept(Size { words: 9, bytes: 19 }), ("ant cat the".into(), Size { words: 3, bytes: 9 }));
        assert_eq!(kept(Size { words: 9, bytes: 20 }).1, Size { words: 4, bytes: 20 });
    }

    #[test]
    fn a_text_without_white_space_is_remembered_in_part() {
        let mut counts = WordCounts::default();
        // Hardly two parts of 64 letters are equal.
        let mut state = 1_u32;
        let mut letters = String::new();
        for _ in 0..(10 << 20) {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            letters.push(char::from(b'a' + (state >> 28) as u8));
        }
        counts.add(&letters);
        let bytes: usize = counts.finish().iter().map(|(word, _)| word.len()).sum();
        assert!(bytes > MOST.bytes / 2 && bytes <= MOST.bytes, "{bytes}");
    }
}
