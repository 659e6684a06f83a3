//! Writing tales from a seed, as a stream in bounded memory.

use std::ops::Range;
use std::sync::Arc;

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

use super::program::{Entry, Program};

/// The longest piece of text handed out at once, in characters.
const PIECE_CHARACTERS: u64 = 1 << 16;

/// Marks the key of the generator, so that no other use of the same seed draws the same numbers.
const DOMAIN_OF_KEY: &[u8; 24] = b"kiln built-in tales, v1 ";

/// The infinite sequence of independent tales of a seed.
#[derive(Debug, Clone)]
pub(super) struct Tales {
    program: Arc<Program>,
    generator: ChaCha8Rng,
}

impl Tales {
    pub(super) fn new(program: Arc<Program>, seed: u64) -> Self {
        Self { program, generator: random_words(seed) }
    }

    /// Writes the next tale at the end of `text`.
    pub(super) fn write_next(&mut self, text: &mut String) {
        let generator = &mut self.generator;
        self.program.derive(text, |entries| draw(entries, || generator.next_u32()));
    }
}

/// The random words that the tales of a seed are drawn with.
pub(super) fn random_words(seed: u64) -> ChaCha8Rng {
    let mut key = [0; 32];
    key[..8].copy_from_slice(&seed.to_le_bytes());
    key[8..].copy_from_slice(DOMAIN_OF_KEY);
    ChaCha8Rng::from_seed(key)
}

/// Draws an alternative with exactly its probability, by comparing integers only.
///
/// The product of a random word and the total weight has the wanted integer in its upper half; a lower half below
/// 2^32 mod total belongs to a word too many and is drawn again (Lemire, "Fast random integer generation in an
/// interval", ACM Transactions on Modeling and Computer Simulation 29(1), 2019).
pub(super) fn draw(entries: &[Entry], mut next_word: impl FnMut() -> u32) -> usize {
    let Some(&Entry { cumulative_weight: total, .. }) = entries.last() else { return 0 };
    let surplus = total.wrapping_neg() % total;
    loop {
        let product = u64::from(next_word()) * u64::from(total);
        if product as u32 >= surplus {
            let drawn = (product >> 32) as u32;
            return entries.partition_point(|entry| entry.cumulative_weight <= drawn);
        }
    }
}

/// A range of the characters of a corpus, in pieces of at most 65536 characters.
#[derive(Debug, Clone)]
pub struct Pieces {
    tales: Tales,
    /// Text already written and not yet handed out; it starts at `range.start`.
    waiting: String,
    range: Range<u64>,
}

impl Pieces {
    /// The characters of `range`. What stands before them is written and thrown away, as each tale's length is known
    /// only when it is written.
    pub(super) fn new(tales: Tales, range: Range<u64>) -> Self {
        let mut pieces = Self::from_tale_at(tales, range.clone());
        pieces.waiting.drain(..(range.start - pieces.range.start) as usize);
        Self { range, ..pieces }
    }

    /// The characters of `range` and, before them, the beginning of the tale that the range starts in.
    pub(super) fn from_tale_at(mut tales: Tales, range: Range<u64>) -> Self {
        let mut waiting = String::new();
        if range.is_empty() {
            return Self { tales, waiting, range };
        }
        let mut position = 0;
        loop {
            tales.write_next(&mut waiting);
            let end = position + waiting.len() as u64;
            if end > range.start {
                return Self { tales, waiting, range: position..range.end };
            }
            position = end;
            waiting.clear();
        }
    }

    /// The place in the corpus at which the next piece begins.
    pub(super) fn position(&self) -> u64 {
        self.range.start
    }
}

impl Iterator for Pieces {
    type Item = String;

    fn next(&mut self) -> Option<String> {
        if self.range.is_empty() {
            return None;
        }
        let characters = (self.range.end - self.range.start).min(PIECE_CHARACTERS);
        while (self.waiting.len() as u64) < characters {
            self.tales.write_next(&mut self.waiting);
        }
        let rest = self.waiting.split_off(characters as usize);
        self.range.start += characters;
        Some(std::mem::replace(&mut self.waiting, rest))
    }
}
