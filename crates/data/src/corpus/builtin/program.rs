//! A grammar laid out as a flat list of instructions, which both the writer of tales and the reader of characters walk.

use super::grammar::{Grammar, Symbol};

/// What to do at an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Instruction {
    /// Write, or read, this ASCII character and continue at the next address.
    Character(u8),
    /// Choose an alternative of this nonterminal, go through it and come back to the next address.
    Call(u32),
    /// The alternative ends here.
    Return,
}

/// An alternative of a nonterminal.
#[derive(Debug, Clone, Copy)]
pub(super) struct Entry {
    pub(super) address: u32,
    /// The weights of the alternatives up to and with this one: an integer, as choices must not depend on rounding.
    pub(super) cumulative_weight: u32,
    pub(super) probability: f64,
}

/// The instructions of a grammar.
#[derive(Debug, Clone)]
pub(super) struct Program {
    instructions: Vec<Instruction>,
    /// The alternatives of each nonterminal.
    entries: Vec<Vec<Entry>>,
    pub(super) start: u32,
}

impl Program {
    pub(super) fn new(grammar: &Grammar) -> Self {
        let mut instructions = Vec::new();
        let mut entries = Vec::new();
        for nonterminal in &grammar.nonterminals {
            let mut cumulative_weight = 0;
            let mut alternatives = Vec::new();
            for alternative in &nonterminal.alternatives {
                cumulative_weight += alternative.weight;
                let probability = nonterminal.probability(alternative);
                alternatives.push(Entry { address: instructions.len() as u32, cumulative_weight, probability });
                for symbol in &alternative.symbols {
                    match symbol {
                        Symbol::Text(text) => instructions.extend(text.bytes().map(Instruction::Character)),
                        Symbol::Nonterminal(called) => instructions.push(Instruction::Call(*called as u32)),
                    }
                }
                instructions.push(Instruction::Return);
            }
            entries.push(alternatives);
        }
        Self { instructions, entries, start: grammar.start as u32 }
    }

    pub(super) fn at(&self, address: u32) -> Instruction {
        self.instructions[address as usize]
    }

    pub(super) fn entries(&self, nonterminal: u32) -> &[Entry] {
        &self.entries[nonterminal as usize]
    }

    /// Where to come back to after the call at `address`: `None` if nothing but the caller's own return is left. Stacks
    /// that hold no such places stay short however long a tale repeats itself.
    pub(super) fn return_address(&self, address: u32) -> Option<u32> {
        (self.at(address + 1) != Instruction::Return).then_some(address + 1)
    }

    /// Writes one text of the language at the end of `text`, by the alternatives that `choose` picks for the
    /// nonterminals, always the leftmost first.
    pub(super) fn derive(&self, text: &mut String, mut choose: impl FnMut(&[Entry]) -> usize) {
        let mut stack = Vec::new();
        let mut enter = |nonterminal| {
            let entries = self.entries(nonterminal);
            entries[choose(entries)].address
        };
        let mut address = enter(self.start);
        loop {
            match self.at(address) {
                Instruction::Character(character) => {
                    text.push(char::from(character));
                    address += 1;
                }
                Instruction::Call(nonterminal) => {
                    stack.extend(self.return_address(address));
                    address = enter(nonterminal);
                }
                Instruction::Return => match stack.pop() {
                    Some(caller) => address = caller,
                    None => return,
                },
            }
        }
    }
}
