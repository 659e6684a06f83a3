//! A parser by tables, which knows nothing of the instructions and hypotheses that it checks.

use std::collections::HashMap;

use crate::corpus::builtin::grammar::{Alternative, Grammar, Symbol};

/// Counts and finds the derivations of parts of a text.
pub(super) struct Chart<'a> {
    grammar: &'a Grammar,
    text: &'a str,
    /// For a nonterminal and a start: every end that it can reach, with the number of derivations.
    ends: HashMap<(usize, usize), Ends>,
}

type Ends = Vec<(usize, u64)>;

impl<'a> Chart<'a> {
    pub(super) fn new(grammar: &'a Grammar, text: &'a str) -> Self {
        Self { grammar, text, ends: HashMap::new() }
    }

    /// The number of derivations of the whole text from the start symbol.
    pub(super) fn derivations(&mut self) -> u64 {
        let ends = self.ends(self.grammar.start, 0);
        ends.iter().filter(|(end, _)| *end == self.text.len()).map(|(_, count)| count).sum()
    }

    /// The choices of the leftmost derivation of the text. Panics unless each of them can be read off the text that
    /// follows.
    pub(super) fn choices(&mut self) -> Vec<usize> {
        let mut choices = Vec::new();
        assert_eq!(self.descend(self.grammar.start, 0, &mut choices), self.text.len(), "text is left over");
        choices
    }

    fn descend(&mut self, nonterminal: usize, start: usize, choices: &mut Vec<usize>) -> usize {
        let grammar = self.grammar;
        let alternatives = &grammar.nonterminals[nonterminal].alternatives;
        let possible: Vec<usize> =
            (0..alternatives.len()).filter(|&choice| !self.ends_of(&alternatives[choice], start).is_empty()).collect();
        assert_eq!(possible.len(), 1, "{} at {:?}", grammar.nonterminals[nonterminal].name, &self.text[start..]);
        choices.push(possible[0]);
        alternatives[possible[0]].symbols.iter().fold(start, |place, symbol| match symbol {
            Symbol::Text(text) => place + text.len(),
            Symbol::Nonterminal(called) => self.descend(*called, place, choices),
        })
    }

    fn ends(&mut self, nonterminal: usize, start: usize) -> Ends {
        if let Some(known) = self.ends.get(&(nonterminal, start)) {
            return known.clone();
        }
        let grammar = self.grammar;
        let mut ends = Ends::new();
        for alternative in &grammar.nonterminals[nonterminal].alternatives {
            self.ends_of(alternative, start).into_iter().for_each(|(end, count)| add(&mut ends, end, count));
        }
        self.ends.insert((nonterminal, start), ends.clone());
        ends
    }

    fn ends_of(&mut self, alternative: &Alternative, start: usize) -> Ends {
        let mut before = vec![(start, 1)];
        for symbol in &alternative.symbols {
            let mut after = Ends::new();
            for (place, count) in before {
                match symbol {
                    Symbol::Text(text) if self.text[place..].starts_with(text) => {
                        add(&mut after, place + text.len(), count)
                    }
                    Symbol::Text(_) => {}
                    Symbol::Nonterminal(called) => {
                        let ends = self.ends(*called, place);
                        ends.into_iter().for_each(|(end, ways)| add(&mut after, end, count * ways));
                    }
                }
            }
            before = after;
        }
        before
    }
}

fn add(ends: &mut Ends, end: usize, count: u64) {
    match ends.iter_mut().find(|(known, _)| *known == end) {
        Some((_, sum)) => *sum += count,
        None => ends.push((end, count)),
    }
}
