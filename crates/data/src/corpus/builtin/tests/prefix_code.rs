//! A proof by exhaustion that a grammar is unambiguous.

use std::collections::HashSet;

use crate::corpus::builtin::program::{Instruction, Program};

/// A place in a derivation: an address and the places to come back to. `None` at the end of the text.
type Place = Option<(u32, Vec<u32>)>;

/// Looks for two alternatives of one nonterminal such that a text of one begins with a whole text of the other, or is
/// equal to it. Returns the nonterminal and the alternatives.
///
/// Without such a pair the grammar is unambiguous and each nonterminal yields a prefix code: take two different
/// derivations from one nonterminal and the first choice, leftmost first, in which they differ. Up to there they
/// write the same, and from there texts of which neither begins with the other.
///
/// The search walks through both alternatives at once for as long as they can write the same characters. It comes to
/// an end if they part after finitely many pairs of places, which is so unless they share a nesting of any depth.
pub(super) fn conflict(program: &Program, nonterminals: usize) -> Option<(usize, usize, usize)> {
    (0..nonterminals).find_map(|nonterminal| {
        let entries = program.entries(nonterminal as u32);
        let pairs = (0..entries.len()).flat_map(|second| (0..second).map(move |first| (first, second)));
        let mut clash =
            pairs.filter(|&(first, second)| texts_can_agree(program, entries[first].address, entries[second].address));
        clash.next().map(|(first, second)| (nonterminal, first, second))
    })
}

fn texts_can_agree(program: &Program, first: u32, second: u32) -> bool {
    let mut seen: HashSet<(Place, Place)> = HashSet::new();
    let mut open = pairs(&characters(program, first, Vec::new()), &characters(program, second, Vec::new()));
    while let Some((left, right)) = open.pop() {
        let (Some((left_address, left_stack)), Some((right_address, right_stack))) = (&left, &right) else {
            return true;
        };
        let same = program.at(*left_address) == program.at(*right_address);
        if same && seen.insert((left.clone(), right.clone())) {
            open.extend(pairs(
                &characters(program, left_address + 1, left_stack.clone()),
                &characters(program, right_address + 1, right_stack.clone()),
            ));
        }
    }
    false
}

fn pairs(left: &[Place], right: &[Place]) -> Vec<(Place, Place)> {
    left.iter().flat_map(|left| right.iter().map(|right| (left.clone(), right.clone()))).collect()
}

/// All places with a character to write that can be reached from here without writing one.
fn characters(program: &Program, address: u32, mut stack: Vec<u32>) -> Vec<Place> {
    match program.at(address) {
        Instruction::Character(_) => vec![Some((address, stack))],
        Instruction::Return => match stack.pop() {
            Some(caller) => characters(program, caller, stack),
            None => vec![None],
        },
        Instruction::Call(nonterminal) => {
            stack.extend(program.return_address(address));
            let entries = program.entries(nonterminal).iter();
            entries.flat_map(|entry| characters(program, entry.address, stack.clone())).collect()
        }
    }
}
