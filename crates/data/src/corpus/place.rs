//! Which text of a corpus, and where in it.

/// Where a piece of text starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// Which file of the corpus.
    pub file: usize,
    /// Where in it, in bytes.
    pub offset: u64,
}

/// The two parts of a corpus.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Split {
    /// What is learned from: the beginning.
    Train,
    /// What the model is judged by: the end.
    Validation,
}

impl std::fmt::Display for Split {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(match self {
            Self::Train => "training",
            Self::Validation => "validation",
        })
    }
}
