//! A probabilistic context-free grammar, built from its source and checked.

use std::collections::HashMap;

use super::source::{Body, GrammarError, Piece, Source, parse_template};

/// A probabilistic context-free grammar without empty alternatives and without left recursion.
#[derive(Debug, Clone)]
pub(super) struct Grammar {
    pub(super) nonterminals: Vec<Nonterminal>,
    /// The nonterminal that yields one whole text of the language.
    pub(super) start: usize,
}

/// A symbol to rewrite, with the ways to do it.
#[derive(Debug, Clone)]
pub(super) struct Nonterminal {
    /// The rule and the values that it was given, for example `journey(Anna, silver key)`.
    pub(super) name: String,
    pub(super) alternatives: Vec<Alternative>,
    /// The sum of the weights of the alternatives.
    pub(super) weight: u32,
}

/// One right-hand side.
#[derive(Debug, Clone)]
pub(super) struct Alternative {
    pub(super) weight: u32,
    pub(super) symbols: Vec<Symbol>,
}

/// A part of a right-hand side.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Symbol {
    Text(String),
    Nonterminal(usize),
}

impl Nonterminal {
    /// The probability of an alternative.
    pub(super) fn probability(&self, alternative: &Alternative) -> f64 {
        f64::from(alternative.weight) / f64::from(self.weight)
    }
}

impl Alternative {
    /// The number of characters that this alternative itself writes.
    pub(super) fn characters(&self) -> usize {
        self.symbols.iter().map(|symbol| if let Symbol::Text(text) = symbol { text.len() } else { 0 }).sum()
    }

    /// The nonterminals that this alternative leaves to be rewritten, in order.
    pub(super) fn calls(&self) -> impl Iterator<Item = usize> + '_ {
        self.symbols.iter().filter_map(|symbol| match symbol {
            Symbol::Nonterminal(nonterminal) => Some(*nonterminal),
            Symbol::Text(_) => None,
        })
    }
}

impl Grammar {
    /// Copies the rules of `source` for all values that they can be given on the way from its start.
    ///
    /// # Errors
    /// The first rule that is not well formed, can yield nothing, or can begin with itself.
    pub(super) fn build(source: &Source) -> Result<Self, GrammarError> {
        let mut builder = Builder { source, numbers: HashMap::new(), instances: Vec::new() };
        let start = builder.number(source.start, source.start, &[])?;
        let mut nonterminals = Vec::new();
        while let Some(instance) = builder.instances.get(nonterminals.len()).cloned() {
            nonterminals.push(builder.nonterminal(&instance)?);
        }
        let grammar = Self { nonterminals, start };
        grammar.check_left_recursion()?;
        Ok(grammar)
    }

    /// As no alternative is empty, only the first symbol of each can lead back to its own nonterminal unread.
    fn check_left_recursion(&self) -> Result<(), GrammarError> {
        let first = |nonterminal: usize| {
            self.nonterminals[nonterminal].alternatives.iter().filter_map(|alternative| match alternative.symbols[0] {
                Symbol::Nonterminal(first) => Some(first),
                Symbol::Text(_) => None,
            })
        };
        // Peel off nonterminals whose first symbols are all settled; what remains goes round in circles.
        let mut settled = vec![false; self.nonterminals.len()];
        loop {
            let mut progress = false;
            for nonterminal in 0..settled.len() {
                if !settled[nonterminal] && first(nonterminal).all(|first| settled[first]) {
                    settled[nonterminal] = true;
                    progress = true;
                }
            }
            if !progress {
                break;
            }
        }
        match settled.iter().position(|settled| !settled) {
            Some(circular) => Err(GrammarError::LeftRecursion { rule: self.nonterminals[circular].name.clone() }),
            None => Ok(()),
        }
    }
}

/// A rule with the values that it was given.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Instance {
    rule: usize,
    binding: Binding,
}

/// Pairs of a domain and the value chosen from it.
type Binding = Vec<(usize, usize)>;

struct Builder<'source> {
    source: &'source Source,
    numbers: HashMap<Instance, usize>,
    /// All instances met so far; an instance's number is its place here.
    instances: Vec<Instance>,
}

impl Builder<'_> {
    /// The number of the nonterminal for rule `name` with the values that it needs from `binding`.
    fn number(&mut self, caller: &str, name: &str, binding: &[(usize, usize)]) -> Result<usize, GrammarError> {
        let rule = self.source.rule(name).ok_or_else(|| unknown(caller, name))?;
        let mut given = Binding::new();
        for domain_name in self.source.rules[rule].given {
            let domain = self.source.domain(domain_name).ok_or_else(|| unknown(name, domain_name))?;
            given.push((domain, value_of(binding, domain).ok_or_else(|| not_given(caller, name, domain_name))?));
        }
        let instance = Instance { rule, binding: given };
        if let Some(&number) = self.numbers.get(&instance) {
            return Ok(number);
        }
        let number = self.instances.len();
        self.instances.push(instance.clone());
        self.numbers.insert(instance, number);
        Ok(number)
    }

    fn nonterminal(&mut self, instance: &Instance) -> Result<Nonterminal, GrammarError> {
        let rule = &self.source.rules[instance.rule];
        let mut alternatives = Vec::new();
        match rule.body {
            Body::OneOf(templates) => {
                for &(weight, template) in templates {
                    alternatives.push(self.alternative(rule.name, weight, template, &instance.binding)?);
                }
            }
            Body::Each(domain_name, template) => {
                let domain = self.source.domain(domain_name).ok_or_else(|| unknown(rule.name, domain_name))?;
                for (value, &(weight, _)) in self.source.domains[domain].values.iter().enumerate() {
                    let mut binding = instance.binding.clone();
                    binding.push((domain, value));
                    alternatives.push(self.alternative(rule.name, weight, template, &binding)?);
                }
            }
        }
        let weight = alternatives.iter().try_fold(0_u32, |sum, alternative| sum.checked_add(alternative.weight));
        match weight {
            _ if alternatives.is_empty() => Err(GrammarError::Empty { rule: rule.name.into() }),
            Some(weight) => Ok(Nonterminal { name: self.name_of(instance), alternatives, weight }),
            None => Err(GrammarError::Weight { rule: rule.name.into() }),
        }
    }

    fn alternative(
        &mut self,
        rule: &str,
        weight: u32,
        template: &'static str,
        binding: &[(usize, usize)],
    ) -> Result<Alternative, GrammarError> {
        let pieces = parse_template(template)
            .ok_or_else(|| GrammarError::Brace { rule: rule.into(), template: template.into() })?;
        let mut symbols: Vec<Symbol> = Vec::new();
        for piece in pieces {
            let text = match piece {
                Piece::Rule(name) => {
                    symbols.push(Symbol::Nonterminal(self.number(rule, name, binding)?));
                    continue;
                }
                Piece::Text(text) => text,
                Piece::Attribute { domain, attribute } => self.attribute(rule, domain, attribute, binding)?,
            };
            match symbols.last_mut() {
                Some(Symbol::Text(before)) => before.push_str(text),
                _ if text.is_empty() => {}
                _ => symbols.push(Symbol::Text(text.into())),
            }
        }
        if weight == 0 {
            return Err(GrammarError::Weight { rule: rule.into() });
        }
        if symbols.is_empty() {
            return Err(GrammarError::Empty { rule: rule.into() });
        }
        if symbols.iter().any(|symbol| matches!(symbol, Symbol::Text(text) if !text.is_ascii())) {
            return Err(GrammarError::NotAscii { rule: rule.into() });
        }
        Ok(Alternative { weight, symbols })
    }

    fn attribute(
        &self,
        rule: &str,
        domain_name: &str,
        attribute_name: &str,
        binding: &[(usize, usize)],
    ) -> Result<&'static str, GrammarError> {
        let name = || format!("{domain_name}.{attribute_name}");
        let number = self.source.domain(domain_name).ok_or_else(|| unknown(rule, &name()))?;
        let domain = &self.source.domains[number];
        let attribute = domain.attributes.iter().position(|attribute| *attribute == attribute_name);
        let value = value_of(binding, number).ok_or_else(|| not_given(rule, &name(), domain_name))?;
        attribute
            .and_then(|attribute| domain.values[value].1.get(attribute))
            .copied()
            .ok_or_else(|| unknown(rule, &name()))
    }

    fn name_of(&self, instance: &Instance) -> String {
        let rule = self.source.rules[instance.rule].name;
        let values = instance.binding.iter().map(|&(domain, value)| self.source.domains[domain].values[value].1[0]);
        let values: Vec<&str> = values.collect();
        if values.is_empty() { rule.into() } else { format!("{rule}({})", values.join(", ")) }
    }
}

/// The value bound last wins, so that a rule may choose anew what it was given.
fn value_of(binding: &[(usize, usize)], domain: usize) -> Option<usize> {
    binding.iter().rev().find(|(bound, _)| *bound == domain).map(|&(_, value)| value)
}

fn unknown(rule: &str, name: &str) -> GrammarError {
    GrammarError::Unknown { rule: rule.into(), name: name.into() }
}

fn not_given(rule: &str, name: &str, domain: &str) -> GrammarError {
    GrammarError::NotGiven { rule: rule.into(), name: name.into(), domain: domain.into() }
}
