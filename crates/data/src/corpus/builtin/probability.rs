//! The probability of each next character, for a reader who knows the grammar and has read everything before.

use std::sync::Arc;

use thiserror::Error;

use super::program::{Instruction, Program};

/// The bottom of all stacks: after a tale comes the next tale.
const BOTTOM: u32 = u32::MAX;

/// Frames that may pile up, at least, before those no longer in use are thrown out.
const FRAMES_BEFORE_CLEANING: usize = 1 << 14;

/// The best possible model of the built-in corpus: it knows the grammar, and conditions on all characters so far.
///
/// The text is read as an endless sequence of independent tales from its very start. The model holds every place in
/// the grammar at which a derivation of the text so far can stand, with its probability given that text: the prefix
/// probability of a text is the sum over all derivations that begin with it, and the probability of a character given
/// the text before it is the ratio of two of them. As no rule of the grammar begins with itself, the sum has finitely
/// many terms, and as most choices show in the first letters that they lead to, it has few.
///
/// Sources: F. Jelinek and J. D. Lafferty, "Computation of the probability of initial substring generation by
/// stochastic context-free grammars", Computational Linguistics 17(3), 315-323, 1991; A. Stolcke, "An efficient
/// probabilistic context-free parsing algorithm that computes prefix probabilities", Computational Linguistics 21(2),
/// 165-201, 1995.
#[derive(Debug, Clone)]
pub struct CharacterModel {
    program: Arc<Program>,
    position: u64,
    hypotheses: Vec<Hypothesis>,
    /// The hypotheses before the last character, kept for their memory.
    previous: Vec<Hypothesis>,
    frames: Frames,
}

/// A character that no tale can have at this place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("no tale continues with {character:?} after {position} characters: this is not text of the built-in corpus")]
pub struct ImpossibleCharacter {
    /// The character that has probability zero.
    pub character: char,
    /// How many characters were read before it.
    pub position: u64,
}

/// A derivation that can have written the text so far, and writes `character` next.
#[derive(Debug, Clone, Copy)]
struct Hypothesis {
    character: u8,
    address: u32,
    /// The topmost frame of the stack of places to come back to.
    stack: u32,
    /// Probability given the text so far.
    probability: f64,
}

impl CharacterModel {
    /// The model at the start of a sequence of tales.
    pub(super) fn new(program: Arc<Program>) -> Self {
        let (hypotheses, previous) = (Vec::new(), Vec::new());
        let mut model = Self { program, position: 0, hypotheses, previous, frames: Frames::default() };
        model.enter(model.program.start, BOTTOM, 1.0);
        model
    }

    /// Every possible next character with its probability given all characters so far, in alphabetical order.
    pub fn next_distribution(&self) -> Vec<(char, f64)> {
        let mut distribution: Vec<(char, f64)> = Vec::new();
        for hypothesis in &self.hypotheses {
            let character = char::from(hypothesis.character);
            match distribution.binary_search_by_key(&character, |(known, _)| *known) {
                Ok(place) => distribution[place].1 += hypothesis.probability,
                Err(place) => distribution.insert(place, (character, hypothesis.probability)),
            }
        }
        distribution
    }

    /// Reads the next character and returns its code length -ln p(character | all characters so far), in nats.
    ///
    /// # Errors
    /// If the character is impossible here; the model then stays where it was.
    pub fn advance(&mut self, character: char) -> Result<f64, ImpossibleCharacter> {
        let matches = |hypothesis: &&Hypothesis| char::from(hypothesis.character) == character;
        let probability: f64 = self.hypotheses.iter().filter(matches).map(|hypothesis| hypothesis.probability).sum();
        if probability <= 0.0 {
            return Err(ImpossibleCharacter { character, position: self.position });
        }
        self.position += 1;
        std::mem::swap(&mut self.hypotheses, &mut self.previous);
        self.hypotheses.clear();
        for place in 0..self.previous.len() {
            let Hypothesis { address, stack, probability: before, .. } = self.previous[place];
            if char::from(self.previous[place].character) == character {
                self.resolve(address + 1, stack, before / probability);
            }
        }
        if self.frames.all.len() > FRAMES_BEFORE_CLEANING.max(2 * self.frames.in_use) {
            self.frames.clean(&mut self.hypotheses);
        }
        // Rounding may take the sum above one, and a code length is never below zero.
        Ok(if probability < 1.0 { -probability.ln() } else { 0.0 })
    }

    /// The number of characters read so far.
    pub fn position(&self) -> u64 {
        self.position
    }

    /// Adds the hypotheses of a derivation that stands at `address`: one for each way to come from there to a
    /// character.
    fn resolve(&mut self, mut address: u32, mut stack: u32, probability: f64) {
        loop {
            match self.program.at(address) {
                Instruction::Character(character) => {
                    return self.hypotheses.push(Hypothesis { character, address, stack, probability });
                }
                Instruction::Call(nonterminal) => {
                    if let Some(return_address) = self.program.return_address(address) {
                        stack = self.frames.push(return_address, stack);
                    }
                    return self.enter(nonterminal, stack, probability);
                }
                Instruction::Return if stack == BOTTOM => return self.enter(self.program.start, BOTTOM, probability),
                Instruction::Return => Frame { address, below: stack } = self.frames.all[stack as usize],
            }
        }
    }

    fn enter(&mut self, nonterminal: u32, stack: u32, probability: f64) {
        for place in 0..self.program.entries(nonterminal).len() {
            let entry = self.program.entries(nonterminal)[place];
            self.resolve(entry.address, stack, probability * entry.probability);
        }
    }
}

/// A place to come back to, on top of another one.
#[derive(Debug, Clone, Copy)]
struct Frame {
    address: u32,
    below: u32,
}

/// The stacks of all hypotheses. Hypotheses share the lower parts of their stacks, and a frame stands after the one
/// below it.
#[derive(Debug, Clone, Default)]
struct Frames {
    all: Vec<Frame>,
    /// How many were in use when they were last cleaned.
    in_use: usize,
}

impl Frames {
    fn push(&mut self, address: u32, below: u32) -> u32 {
        self.all.push(Frame { address, below });
        (self.all.len() - 1) as u32
    }

    /// Keeps only the frames in use, in their order.
    fn clean(&mut self, hypotheses: &mut [Hypothesis]) {
        let mut used = vec![false; self.all.len()];
        for hypothesis in hypotheses.iter() {
            let mut stack = hypothesis.stack;
            while stack != BOTTOM && !std::mem::replace(&mut used[stack as usize], true) {
                stack = self.all[stack as usize].below;
            }
        }
        let mut moved = vec![BOTTOM; self.all.len()];
        let to = |moved: &[u32], stack: u32| if stack == BOTTOM { BOTTOM } else { moved[stack as usize] };
        let mut kept = Vec::new();
        for (place, frame) in self.all.iter().enumerate().filter(|(place, _)| used[*place]) {
            moved[place] = kept.len() as u32;
            kept.push(Frame { address: frame.address, below: to(&moved, frame.below) });
        }
        hypotheses.iter_mut().for_each(|hypothesis| hypothesis.stack = to(&moved, hypothesis.stack));
        self.in_use = kept.len();
        self.all = kept;
    }
}
