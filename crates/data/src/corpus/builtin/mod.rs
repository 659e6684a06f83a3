//! A corpus that Kiln writes itself, whose best possible loss is known exactly.
//!
//! The text is a sequence of independent tales from a probabilistic context-free grammar, each followed by a blank
//! line, written from a seed and cut at the asked number of characters. A tale has a hero, a home and a lost thing,
//! which stay the same to its end, pronouns that agree with the hero, talking animals that name their price, and as
//! many adventures as chance will have: enough to learn for a small model, from spelling in the first minute to
//! remembering the title.
//!
//! # Why the loss has a known floor
//!
//! The grammar is unambiguous, so that the probability of a text is that of its only derivation. This is by
//! construction: no alternative of a nonterminal can yield a text that begins with the whole text of another
//! alternative of it. By induction each nonterminal then yields a prefix code, every choice can be read off the text
//! that it leads to, and a sequence of tales falls apart into tales in one way only. A test checks this for all pairs
//! of alternatives, and counts the derivations of generated tales with a chart parser.
//!
//! From the grammar follow, exactly up to rounding:
//!
//! - [`BuiltinCorpus::entropy_rate`]: the entropy a character of the process. No model of the characters has a smaller
//!   *expected* loss, in nats a character, on text that it was not trained on.
//! - [`BuiltinCorpus::code_length`]: -ln P(range | all text before it) for the very characters of, say, the
//!   validation split: the loss, summed over the split, of a model that knows the grammar ([`CharacterModel`]). On
//!   one given split a model can only get below this by luck, and hardly on a long one. For a long split the code
//!   length a character is normal around the entropy rate with standard deviation [`Entropy::deviation`] /
//!   sqrt(characters).
//!
//! Both floors are for **unlimited context**: all characters since the beginning of the corpus, of which those since
//! the beginning of the tale matter. A model that sees only a window of T characters, or evaluates windows that start
//! cold, cannot know a name or a thing that was last mentioned before its window, and has a higher floor of its own,
//! which is not computed here. A recurrent model with its state carried along has no such excuse.
//!
//! The same numbers hold for any tokenizer that encodes a text in one way only, once the loss is summed over the
//! tokens and divided by the number of characters. Text added between or within the tales, like document separators,
//! would change them.

mod config;
mod corpus;
mod entropy;
mod generate;
mod grammar;
mod linear;
mod probability;
mod program;
mod source;
mod tales;
#[cfg(test)]
mod tests;

pub use config::BuiltinConfig;
pub use corpus::BuiltinCorpus;
pub use entropy::Entropy;
pub use generate::Pieces;
pub use probability::{CharacterModel, ImpossibleCharacter};
