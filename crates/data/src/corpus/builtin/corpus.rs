//! The built-in corpus: tales, their entropy, and the code length of any part of them.

use std::ops::Range;
use std::sync::{Arc, LazyLock};

use super::config::BuiltinConfig;
use super::entropy::Entropy;
use super::generate::{Pieces, Tales};
use super::grammar::Grammar;
use super::probability::CharacterModel;
use super::program::Program;
use super::source::{GrammarError, Source};
use super::tales::TALES;

/// The language of the tales, made from its source once.
static LANGUAGE: LazyLock<Language> =
    LazyLock::new(|| Language::new(&TALES).expect("the grammar of the tales is constant, and a test builds it"));

/// A grammar in the forms in which a corpus uses it.
#[derive(Debug, Clone)]
pub(super) struct Language {
    program: Arc<Program>,
    entropy: Entropy,
}

impl Language {
    pub(super) fn new(source: &Source) -> Result<Self, GrammarError> {
        let grammar = Grammar::build(source)?;
        Ok(Self { program: Arc::new(Program::new(&grammar)), entropy: Entropy::of(&grammar)? })
    }
}

/// The first `characters` characters of the endless sequence of tales that a seed stands for.
///
/// All text is ASCII, so that a character is a byte. The text is never held as a whole: each use writes it anew, at
/// about 100 million characters a second.
#[derive(Debug, Clone)]
pub struct BuiltinCorpus {
    config: BuiltinConfig,
}

impl BuiltinCorpus {
    /// The corpus of these settings.
    pub fn new(config: &BuiltinConfig) -> Self {
        Self { config: config.clone() }
    }

    /// The length of the corpus, in characters.
    pub fn characters(&self) -> u64 {
        self.config.characters
    }

    /// The whole text. Takes memory for all of it: see [`Self::pieces`].
    pub fn text(&self) -> String {
        self.pieces(0..self.characters()).collect()
    }

    /// The characters of a range of the corpus (counted from 0, the end not included), in pieces of at most 65536.
    /// What lies beyond the end of the corpus is left out.
    pub fn pieces(&self, characters: Range<u64>) -> Pieces {
        Pieces::new(self.tales(), self.within(characters))
    }

    /// What is known exactly about the process that writes the tales; see [`Entropy`].
    pub fn entropy(&self) -> Entropy {
        LANGUAGE.entropy
    }

    /// The entropy of the process in nats a character: the floor of the expected loss, see
    /// [`Entropy::nats_per_character`].
    pub fn entropy_rate(&self) -> f64 {
        LANGUAGE.entropy.nats_per_character
    }

    /// The code length -ln P(characters in the range | all characters of the corpus before the range), in nats.
    ///
    /// A range may start and end within tales. The tale at its start is conditioned on its beginning before the
    /// range, and the tale at its end counts with its prefix probability, the sum over all ways in which it could go
    /// on. So the code lengths of adjoining ranges add up.
    pub fn code_length(&self, characters: Range<u64>) -> f64 {
        let mut model = self.model();
        // Tales are independent, and no tale begins with a whole other one, so that nothing before the tale that the
        // range starts in can tell more.
        let pieces = Pieces::from_tale_at(self.tales(), self.within(characters.clone()));
        let mut position = pieces.position();
        let mut total = 0.0;
        for piece in pieces {
            let mut nats_of_piece = 0.0;
            for character in piece.chars() {
                let nats = model.advance(character).unwrap_or(f64::INFINITY);
                if position >= characters.start {
                    nats_of_piece += nats;
                }
                position += 1;
            }
            total += nats_of_piece;
        }
        total
    }

    /// The best possible model of the corpus, before its first character.
    pub fn model(&self) -> CharacterModel {
        CharacterModel::new(Arc::clone(&LANGUAGE.program))
    }

    fn tales(&self) -> Tales {
        Tales::new(Arc::clone(&LANGUAGE.program), self.config.seed)
    }

    fn within(&self, characters: Range<u64>) -> Range<u64> {
        characters.start..characters.end.min(self.characters())
    }
}
