//! Sentences of the tales with their translations, from a seed.

use std::collections::HashSet;

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

use super::Pair;
use super::config::BuiltinPairsConfig;
use super::language::{
    BEINGS, Clause, DEEDS, Determiner, LOOKS, MOTIONS, NAMES, NUMBERS, Noun, PLACES, PREPOSITIONS, Phrase, TEMPERS,
    THINGS, Word, english, invented,
};

/// Marks the key of the generator, so that no other use of the same seed draws the same numbers.
const DOMAIN_OF_KEY: &[u8; 24] = b"kiln built-in pairs, v1 ";

/// How often as many sentences as were asked for may be drawn, before it is given up that they all differ.
const PATIENCE: usize = 50;

impl BuiltinPairsConfig {
    /// All pairs, those that are trained on first, and how many these are. No sentence comes twice, and one that
    /// validates, of which there is the part `fraction`, has more words than half of those that are trained on; a
    /// language that has not as many sentences gives fewer.
    pub(in crate::corpus) fn write(&self, fraction: f64) -> (Vec<Pair>, usize) {
        let mut random = Random::new(self.seed);
        let mut seen = HashSet::new();
        let wanted = (self.pairs as f64 * (1.0 - fraction)) as usize;
        let mut pairs = random.pairs(wanted, self.clauses, 0, &mut seen);
        let trained = pairs.len();
        let mut lengths: Vec<usize> = pairs.iter().map(|pair| words(&pair.source)).collect();
        lengths.sort_unstable();
        let median = lengths.get(trained / 2).copied().unwrap_or(0);
        pairs.extend(random.pairs(self.pairs - wanted, self.clauses, median + 1, &mut seen));
        (pairs, trained)
    }
}

fn words(text: &str) -> usize {
    text.split(' ').count()
}

/// Draws sentences.
struct Random(ChaCha8Rng);

impl Random {
    fn new(seed: u64) -> Self {
        let mut key = [0; 32];
        key[..8].copy_from_slice(&seed.to_le_bytes());
        key[8..].copy_from_slice(DOMAIN_OF_KEY);
        Self(ChaCha8Rng::from_seed(key))
    }

    /// `count` pairs that are not among `seen`, with `least` words in the source at least.
    fn pairs(&mut self, count: usize, clauses: usize, least: usize, seen: &mut HashSet<String>) -> Vec<Pair> {
        let mut pairs = Vec::with_capacity(count);
        for _ in 0..count.saturating_mul(PATIENCE) {
            if pairs.len() == count {
                break;
            }
            let sentence: Vec<Clause> = (0..1 + self.below(clauses)).map(|_| self.clause()).collect();
            let source = english(&sentence);
            if words(&source) >= least && seen.insert(source.clone()) {
                pairs.push(Pair { source, target: invented(&sentence) });
            }
        }
        pairs
    }

    fn clause(&mut self) -> Clause {
        let subject = self.subject();
        let has_object = self.below(2) == 0;
        let verb = if has_object { self.one(DEEDS) } else { self.one(MOTIONS) };
        let object = has_object.then(|| self.phrase(THINGS, None));
        // Who goes somewhere goes at least to one place.
        let count = self.below(3) + usize::from(!has_object);
        let places = (0..count).map(|_| (self.one(PREPOSITIONS), self.phrase(PLACES, Some(LOOKS)))).collect();
        Clause { subject, verb, object, places }
    }

    fn subject(&mut self) -> Phrase {
        if self.below(3) == 0 {
            return Phrase { noun: self.noun(NAMES), determiner: Determiner::None, adjective: None };
        }
        self.phrase(BEINGS, Some(TEMPERS))
    }

    fn phrase(&mut self, nouns: &'static [Noun], adjectives: Option<&'static [Word]>) -> Phrase {
        let noun = self.noun(nouns);
        let determiner = match self.below(4) {
            0 => Determiner::A,
            1 => Determiner::Number(self.below(NUMBERS.len())),
            _ => Determiner::The,
        };
        let adjective = adjectives.filter(|_| self.below(2) == 0).map(|adjectives| self.one(adjectives));
        Phrase { noun, determiner, adjective }
    }

    fn noun(&mut self, nouns: &'static [Noun]) -> &'static Noun {
        &nouns[self.below(nouns.len())]
    }

    fn one(&mut self, words: &'static [Word]) -> Word {
        words[self.below(words.len())]
    }

    /// A number below `limit`. What is left over of 2^32 words falls to the lower ones: a part of 2^-28 at most.
    fn below(&mut self, limit: usize) -> usize {
        (u64::from(self.0.next_u32()) * limit as u64 >> 32) as usize
    }
}
