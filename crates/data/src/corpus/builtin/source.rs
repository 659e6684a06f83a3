//! The notation in which a probabilistic grammar is written down as data.

use thiserror::Error;

/// A grammar as written by its author: rules in templates, over domains of words.
///
/// A template is text with names in braces: `{walk}` stands for whatever the rule `walk` yields, and `{hero.name}` for
/// the attribute `name` of the hero at hand. Grammatical agreement comes from rules that are given values: a rule
/// `given: &["hero"]` is copied once for each hero, so that the grammar stays context-free.
#[derive(Debug, Clone, Copy)]
pub(super) struct Source {
    /// The rule from which one sentence of the language is derived; it is given nothing.
    pub(super) start: &'static str,
    pub(super) domains: &'static [Domain],
    pub(super) rules: &'static [Rule],
}

/// Things that can be chosen once and spoken of many times.
#[derive(Debug, Clone, Copy)]
pub(super) struct Domain {
    pub(super) name: &'static str,
    pub(super) attributes: &'static [&'static str],
    /// Weight and attributes of each value, in the order of `attributes`.
    pub(super) values: &'static [(u32, &'static [&'static str])],
}

/// One nonterminal, or a family of them if values are given.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rule {
    pub(super) name: &'static str,
    /// The domains of which the rule must be given a value by its user.
    pub(super) given: &'static [&'static str],
    pub(super) body: Body,
}

/// What a rule yields.
#[derive(Debug, Clone, Copy)]
pub(super) enum Body {
    /// One of these templates, with probability in proportion to its weight.
    OneOf(&'static [(u32, &'static str)]),
    /// This template, with a value of this domain, drawn in proportion to the weights of the values.
    Each(&'static str, &'static str),
}

/// A part of a template.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Piece {
    Text(&'static str),
    Attribute { domain: &'static str, attribute: &'static str },
    Rule(&'static str),
}

/// What is wrong with a grammar. Only an author of grammars can cause these.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub(super) enum GrammarError {
    #[error("rule `{rule}` says `{name}`, which is no rule, no domain and no attribute of a domain")]
    Unknown { rule: String, name: String },
    #[error("rule `{rule}` says `{name}`, which needs a value of `{domain}` that `{rule}` is not given")]
    NotGiven { rule: String, name: String, domain: String },
    #[error("rule `{rule}` has an open or a stray brace in `{template}`")]
    Brace { rule: String, template: String },
    #[error("rule `{rule}` has an alternative that yields nothing, or no alternative at all")]
    Empty { rule: String },
    #[error("rule `{rule}` has a weight of zero, or weights whose sum exceeds 32 bits")]
    Weight { rule: String },
    #[error("rule `{rule}` yields text beyond ASCII, where a character is no longer a byte")]
    NotAscii { rule: String },
    #[error("rule `{rule}` can begin with itself, so that its text can never be read from left to right")]
    LeftRecursion { rule: String },
    #[error("rule `{rule}` calls itself so often that its text has no finite expected length")]
    Endless { rule: String },
}

impl Source {
    pub(super) fn rule(&self, name: &str) -> Option<usize> {
        self.rules.iter().position(|rule| rule.name == name)
    }

    pub(super) fn domain(&self, name: &str) -> Option<usize> {
        self.domains.iter().position(|domain| domain.name == name)
    }
}

/// Splits a template into its parts; `None` if its braces do not pair up.
pub(super) fn parse_template(template: &'static str) -> Option<Vec<Piece>> {
    let mut pieces = Vec::new();
    let mut rest = template;
    while let Some(open) = rest.find(['{', '}']) {
        let (text, braced) = rest.split_at(open);
        let (name, after) = braced.strip_prefix('{')?.split_once('}')?;
        if name.contains('{') {
            return None;
        }
        if !text.is_empty() {
            pieces.push(Piece::Text(text));
        }
        pieces.push(match name.split_once('.') {
            Some((domain, attribute)) => Piece::Attribute { domain, attribute },
            None => Piece::Rule(name),
        });
        rest = after;
    }
    if !rest.is_empty() {
        pieces.push(Piece::Text(rest));
    }
    Some(pieces)
}
