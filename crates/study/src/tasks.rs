//! Examples without an end whose answer is known, and stands a known distance after what it depends on.
//!
//! The answer is the token after the last one. The distance is counted from the token that holds it, or from the first
//! of those that it follows from, to the last token that is read.

use std::ops::RangeInclusive;

use rand::seq::SliceRandom;
use rand::{Rng, RngExt};
use serde::{Deserialize, Serialize};

/// Symbols that are recalled: 0 to 7.
pub const SYMBOLS: u32 = 8;
/// Asks for the answer.
const QUERY: u32 = 8;
/// Says nothing.
const BLANK: u32 = 9;
/// The first of the tokens that a task has for itself: fillers, keys, brackets, numbers that count.
const OWN: u32 = 10;
/// Fillers, digits that don't count.
const FILLERS: u32 = 10;

/// What has to be recalled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Task {
    /// A symbol, after blanks.
    Copy,
    /// The first symbol of a text of other tokens.
    FirstToken,
    /// The symbol that stands behind a key among many keys.
    KeyValue,
    /// How many brackets are open, 0 to 7.
    BracketDepth,
    /// The sum, modulo 8, of two marked numbers among others: one at the distance, one later.
    Adding,
    /// What followed the last token when it stood in the text before.
    Induction,
}

/// An example.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Example {
    /// What is read.
    pub tokens: Vec<u32>,
    /// What comes next.
    pub answer: u32,
}

impl Task {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::Copy, Self::FirstToken, Self::KeyValue, Self::BracketDepth, Self::Adding, Self::Induction];

    /// What it is called.
    pub fn name(self) -> &'static str {
        match self {
            Self::Copy => "copy",
            Self::FirstToken => "first token",
            Self::KeyValue => "key and value",
            Self::BracketDepth => "bracket depth",
            Self::Adding => "adding",
            Self::Induction => "induction",
        }
    }

    /// Token ids of the task where distances go up to `longest`.
    pub fn vocabulary(self, longest: usize) -> usize {
        let own = match self {
            Self::Copy => 0,
            Self::FirstToken => FILLERS,
            Self::KeyValue => keys(longest) as u32,
            Self::BracketDepth => 2,
            Self::Adding => 2 * SYMBOLS,
            Self::Induction => FILLERS + 1,
        };
        (OWN + own) as usize
    }

    /// The fewest and the most tokens of an example where distances go up to `longest`. Were all as long, what is asked
    /// for would stand at one of few places, counted from the first token.
    pub fn lengths(longest: usize) -> RangeInclusive<usize> {
        longest + 2..=longest + 2 + longest / 2
    }

    /// An example of `length` tokens and of `distance`, at least 2, where distances go up to `longest`: what stands
    /// before the token at the distance is of the kind of what stands behind it.
    pub fn example(self, distance: usize, length: usize, longest: usize, random: &mut impl Rng) -> Example {
        let place = length - 1 - distance;
        match self {
            Self::Copy => held(length, place, random, |_| BLANK),
            Self::FirstToken => {
                let mut example = held(length, place, random, |random| OWN + random.random_range(0..FILLERS));
                example.tokens[..place].fill(BLANK);
                example
            }
            Self::KeyValue => key_value(length, place, longest, random),
            Self::BracketDepth => brackets(length, place, random),
            Self::Adding => adding(length, place, random),
            Self::Induction => induction(length, place, random),
        }
    }
}

/// A symbol among fillers, and the query.
fn held<R: Rng>(length: usize, place: usize, random: &mut R, filler: impl Fn(&mut R) -> u32) -> Example {
    let mut tokens: Vec<u32> = (0..length).map(|_| filler(random)).collect();
    let answer = random.random_range(0..SYMBOLS);
    (tokens[place], tokens[length - 1]) = (answer, QUERY);
    Example { tokens, answer }
}

/// Keys that a text of that length has room for.
fn keys(longest: usize) -> usize {
    Task::lengths(longest).end() / 2 + 1
}

/// Pairs of a key and a symbol, each key once, and one key again: what stands behind it is at `place`.
fn key_value(length: usize, place: usize, longest: usize, random: &mut impl Rng) -> Example {
    let mut keys: Vec<u32> = (0..keys(longest) as u32).map(|key| OWN + key).collect();
    keys.shuffle(random);
    let mut tokens = vec![BLANK; length];
    let (mut asked, mut answer) = (OWN, 0);
    // A key stands before its symbol, so that the pairs begin where the symbol's place has the right parity.
    let mut at = (place + 1) % 2;
    while at + 2 < length {
        let Some(key) = keys.pop() else { break };
        let symbol = random.random_range(0..SYMBOLS);
        (tokens[at], tokens[at + 1]) = (key, symbol);
        if at + 1 == place {
            (asked, answer) = (key, symbol);
        }
        at += 2;
    }
    tokens[length - 1] = asked;
    Example { tokens, answer }
}

/// Blanks, then brackets from `place` on, of which never more than 7 are open nor more closed than opened.
fn brackets(length: usize, place: usize, random: &mut impl Rng) -> Example {
    let mut tokens = vec![BLANK; length];
    let mut depth = 0;
    for token in &mut tokens[place..length - 1] {
        let opens = depth == 0 || depth < SYMBOLS - 1 && random.random_bool(0.5);
        *token = if opens { OWN } else { OWN + 1 };
        depth = if opens { depth + 1 } else { depth - 1 };
    }
    tokens[length - 1] = QUERY;
    Example { tokens, answer: depth }
}

/// Numbers, of which the one at `place` and a later one are marked.
fn adding(length: usize, place: usize, random: &mut impl Rng) -> Example {
    let mut tokens: Vec<u32> = (0..length).map(|_| OWN + random.random_range(0..SYMBOLS)).collect();
    let later = random.random_range(place + 1..length - 1);
    let numbers = [place, later].map(|at| {
        let number = tokens[at] - OWN;
        tokens[at] += SYMBOLS;
        number
    });
    tokens[length - 1] = QUERY;
    Example { tokens, answer: (numbers[0] + numbers[1]) % SYMBOLS }
}

/// Fillers, then once the token that is asked by and a symbol behind it at `place`, and that token again.
fn induction(length: usize, place: usize, random: &mut impl Rng) -> Example {
    let asked = OWN + random.random_range(0..=FILLERS);
    let others: Vec<u32> = (OWN..=OWN + FILLERS).filter(|token| *token != asked).collect();
    let mut tokens: Vec<u32> = (0..length)
        .map(|_| {
            let any = random.random_range(0..others.len() as u32 + SYMBOLS);
            others.get(any as usize).copied().unwrap_or_else(|| any - others.len() as u32)
        })
        .collect();
    let answer = random.random_range(0..SYMBOLS);
    (tokens[place - 1], tokens[place], tokens[length - 1]) = (asked, answer, asked);
    Example { tokens, answer }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;

    use super::*;

    /// The answer, worked out from the tokens alone and in another way than they were made.
    fn solved(task: Task, tokens: &[u32]) -> u32 {
        let (last, before) = tokens.split_last().expect("an example has tokens");
        let symbols = || before.iter().copied().filter(|token| *token < SYMBOLS);
        match task {
            Task::Copy | Task::FirstToken => {
                let found: Vec<u32> = symbols().collect();
                assert_eq!((found.len(), *last), (1, QUERY));
                found[0]
            }
            Task::KeyValue | Task::Induction => {
                let found: Vec<u32> = before.windows(2).filter(|pair| pair[0] == *last).map(|pair| pair[1]).collect();
                assert_eq!(found.len(), 1, "{tokens:?}");
                found[0]
            }
            Task::BracketDepth => {
                let count = |bracket: u32| before.iter().filter(|token| **token == bracket).count() as u32;
                count(OWN) - count(OWN + 1)
            }
            Task::Adding => {
                let marked: Vec<u32> =
                    before.iter().filter(|token| **token >= OWN + SYMBOLS).map(|token| token - OWN).collect();
                assert_eq!(marked.len(), 2);
                (marked[0] + marked[1]) % SYMBOLS
            }
        }
    }

    /// Where the earliest token stands that the answer follows from.
    fn first_needed(task: Task, tokens: &[u32]) -> usize {
        let is_needed = |(place, token): (usize, &u32)| match task {
            Task::Copy | Task::FirstToken => *token < SYMBOLS,
            Task::KeyValue | Task::Induction => place > 0 && tokens[place - 1] == tokens[tokens.len() - 1],
            Task::BracketDepth => *token >= OWN,
            Task::Adding => *token >= OWN + SYMBOLS,
        };
        tokens.iter().enumerate().position(|(place, token)| is_needed((place, token))).expect("something is")
    }

    #[test]
    fn every_example_has_its_answer_at_its_distance() {
        let mut random = ChaCha8Rng::seed_from_u64(1);
        for task in Task::ALL {
            let mut seen = [0; SYMBOLS as usize];
            for longest in [3, 8, 21] {
                for distance in 2..=longest {
                    for repeat in 0..100 {
                        let lengths = Task::lengths(longest);
                        let length = lengths.start() + repeat % (lengths.end() - lengths.start() + 1);
                        let example = task.example(distance, length, longest, &mut random);
                        assert_eq!(example.tokens.len(), length);
                        let vocabulary = task.vocabulary(longest) as u32;
                        assert!(example.tokens.iter().all(|token| *token < vocabulary));
                        assert_eq!(solved(task, &example.tokens), example.answer, "{task:?} {:?}", example.tokens);
                        let place = first_needed(task, &example.tokens);
                        assert_eq!(length - 1 - place, distance, "{task:?} {:?}", example.tokens);
                        seen[example.answer as usize] += 1;
                    }
                }
            }
            assert!(seen.iter().all(|count| *count > 0), "{task:?}: {seen:?}");
        }
    }

    /// Every answer of the symbols is as likely as the others, so that a guess is right once in eight times.
    #[test]
    fn answers_are_as_likely_as_each_other() {
        let mut random = ChaCha8Rng::seed_from_u64(2);
        for task in [Task::Copy, Task::FirstToken, Task::KeyValue, Task::Adding, Task::Induction] {
            let mut seen = [0_i32; SYMBOLS as usize];
            for _ in 0..8000 {
                seen[task.example(5, 11, 9, &mut random).answer as usize] += 1;
            }
            // 1000 each, with a standard deviation of 30.
            assert!(seen.iter().all(|count| (count - 1000).abs() < 150), "{task:?}: {seen:?}");
        }
    }
}
