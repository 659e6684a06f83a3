//! What is guessed of the next tokens, and how often that is right.

use crate::sampler::Proposal;

/// A token that may come next.
pub(super) struct Guess {
    token: u32,
    /// What another model drew it from; nothing of one that was looked up, which is right where the choice is the same.
    proposal: Option<Proposal>,
}

impl Guess {
    /// Of a token that stands in the text.
    pub(super) fn looked_up(token: u32) -> Self {
        Self { token, proposal: None }
    }

    /// Of a token that another model drew.
    pub(super) fn drawn(proposal: Proposal) -> Self {
        Self { token: proposal.token, proposal: Some(proposal) }
    }

    pub(super) fn token(&self) -> u32 {
        self.token
    }

    pub(super) fn proposal(&self) -> Option<&Proposal> {
        self.proposal.as_ref()
    }
}

/// How many tokens were guessed, and how many of the guesses became text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize)]
pub struct Guesses {
    /// Tokens that were guessed and read.
    pub made: usize,
    /// Those of them that were written.
    pub right: usize,
}

impl Guesses {
    /// The part that became text; nothing if there were no guesses.
    pub fn share(self) -> Option<f64> {
        (self.made > 0).then(|| self.right as f64 / self.made as f64)
    }
}
