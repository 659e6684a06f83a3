//! A model whose probabilities are learned.

use std::path::PathBuf;
use std::sync::Arc;

use burn::tensor::{Int, Tensor};
use kiln_kernels::Draws;
use kiln_models::saved::SavedModel;
use kiln_models::{DocumentStarts, LanguageModel, State, Tokenizer};

use crate::config::DistillationConfig;

/// A model that is read with, and never trained, beside the one that learns from it.
#[derive(Clone)]
pub struct Teacher {
    model: Arc<LanguageModel>,
    pub(super) temperature: f64,
    pub(super) weight: f64,
}

/// Why a model cannot teach.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TeacherError {
    /// Its tokens are others.
    #[error(
        "`distillation.teacher`: `{}` reads other tokens than the model that it is to teach: it has {theirs}, the \
         model {ours}{}", path.display(), first(.difference)
    )]
    Vocabulary {
        /// The teacher.
        path: PathBuf,
        /// Tokens of its vocabulary.
        theirs: usize,
        /// Tokens of the model's.
        ours: usize,
        /// The first token that differs.
        difference: Option<u32>,
    },
    /// It cannot read the windows.
    #[error(
        "`distillation.teacher`: `{}` reads at most {longest} tokens, and `run.context` is {context}", path.display()
    )]
    Context {
        /// The teacher.
        path: PathBuf,
        /// The longest text that it reads.
        longest: usize,
        /// The windows.
        context: usize,
    },
}

fn first(difference: &Option<u32>) -> String {
    difference.map_or_else(String::new, |token| format!(", and token {token} is the first that differs"))
}

impl Teacher {
    /// The model `saved`, opened to be read with on the device of the model that is trained, without autodiff. That one
    /// reads windows of `context` tokens of `tokenizer`.
    ///
    /// # Errors
    /// When it reads other tokens, or shorter texts.
    pub fn new(
        config: &DistillationConfig,
        saved: SavedModel,
        tokenizer: &Tokenizer,
        context: usize,
    ) -> Result<Self, TeacherError> {
        let path = config.teacher.clone();
        if !tokenizer.has_vocabulary_of(&saved.tokenizer) {
            let [theirs, ours] = [&saved.tokenizer, tokenizer].map(Tokenizer::vocabulary_size);
            let differs = |token: &u32| saved.tokenizer.token_bytes(*token) != tokenizer.token_bytes(*token);
            let difference = (0..theirs.min(ours) as u32).find(differs);
            return Err(TeacherError::Vocabulary { path, theirs, ours, difference });
        }
        match saved.model.longest_window() {
            Some(longest) if longest < context => Err(TeacherError::Context { path, longest, context }),
            _ => Ok(Self { model: Arc::new(saved.model), temperature: config.temperature, weight: config.weight }),
        }
    }

    /// A recurrent teacher's state before the first token; a transformer reads each window cold.
    pub(super) fn initial_state(&self, rows: usize) -> Option<State> {
        self.model.carries_state_between_windows().then(|| self.model.initial_state(rows))
    }

    /// What its head reads after each token of a window, `[N, C]`, row by row, and its state after the window.
    pub(super) fn read(
        &self,
        tokens: Tensor<2, Int>,
        state: Option<State>,
        starts: &DocumentStarts,
    ) -> (Tensor<2>, Option<State>) {
        let (features, state) = self.model.features(tokens, state, starts, &mut Draws::none());
        let [rows, steps, width] = features.dims();
        (features.reshape([rows * steps, width]), state)
    }

    /// Logits `[N, V]` for a vocabulary of `size` tokens; a teacher may have rows beyond them.
    pub(super) fn logits(&self, features: Tensor<2>, size: usize) -> Tensor<2> {
        let logits = self.model.logits_of(features);
        let [rows, columns] = logits.dims();
        if columns == size { logits } else { logits.slice([0..rows, 0..size]) }
    }
}
