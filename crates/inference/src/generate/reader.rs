//! A model that reads a text token by token.

use burn::tensor::{Int, Tensor, TensorData};
use kiln_models::{LanguageModel, State};

use super::GenerateError;

/// Longest window that is read in one forward pass: the logits of a window take `T x V` numbers, of which only the last V
/// are wanted. It also bounds how many different shapes a device ever sees.
const LONGEST_READ: usize = 256;

/// What gives logits for the next token when it has read more of the text. A trait so that tests can put a known function
/// in the place of a model.
pub(super) trait Reader {
    /// Number of logits.
    fn vocabulary_size(&self) -> usize;

    /// The logits after `tokens`, at least one, which follow everything that was read before.
    fn read(&mut self, tokens: &[u32]) -> Result<Vec<f32>, GenerateError>;
}

/// Reads with a language model and its state.
///
/// A recurrent model goes on for ever. A transformer's context is finite: a token that no longer fits starts the cache anew
/// from the last half of a context (the new token among it), so that each re-reading pays for as many tokens again. Between
/// two of them the model sees between half a context and a whole one.
pub(super) struct ModelReader<'a> {
    model: &'a LanguageModel,
    state: Option<State>,
    /// The tokens in the cache of a transformer; empty for recurrent models.
    window: Vec<u32>,
}

impl<'a> ModelReader<'a> {
    pub(super) fn new(model: &'a LanguageModel) -> Self {
        Self { model, state: None, window: Vec::new() }
    }

    /// Reads `tokens` behind what is in the state.
    fn advance(&mut self, tokens: &[u32]) -> Result<Vec<f32>, GenerateError> {
        let mut logits = Vec::new();
        for part in tokens.chunks(LONGEST_READ) {
            let state = self.state.take().unwrap_or_else(|| self.fresh_state());
            let device = self.model.device();
            let row: Vec<i32> = part.iter().map(|&token| token as i32).collect();
            let data = TensorData::new(row, [part.len()]);
            let row = Tensor::<1, Int>::from_data(data, &device);
            let last = if part.len() == 1 {
                let (last, state) = self.model.step(row, state);
                self.state = Some(state);
                last
            } else {
                let (all, state) = self.model.forward(row.unsqueeze(), Some(state));
                self.state = state;
                let [_, length, vocabulary] = all.dims();
                all.slice([0..1, length - 1..length, 0..vocabulary]).reshape([1, vocabulary])
            };
            // Only the last part's logits are read back; the others keep the device busy meanwhile.
            if part.as_ptr_range().end == tokens.as_ptr_range().end {
                logits = to_host(last)?;
            }
        }
        Ok(logits)
    }

    fn fresh_state(&self) -> State {
        self.model.initial_state(1, self.model.longest_window().unwrap_or(1))
    }
}

impl Reader for ModelReader<'_> {
    fn vocabulary_size(&self) -> usize {
        self.model.vocabulary_size()
    }

    fn read(&mut self, tokens: &[u32]) -> Result<Vec<f32>, GenerateError> {
        let Some(context) = self.model.longest_window() else { return self.advance(tokens) };
        let (window, fits) = slide(&self.window, tokens, context);
        self.window = window;
        if fits {
            return self.advance(tokens);
        }
        self.state = None;
        let window = std::mem::take(&mut self.window);
        let logits = self.advance(&window);
        self.window = window;
        logits
    }
}

/// The window of a transformer after `tokens` came, and whether they could be added to the one that was there. Where not,
/// the new window is the end of the text: half a context, but of a text that is read for the first time a whole one.
pub(super) fn slide(window: &[u32], tokens: &[u32], context: usize) -> (Vec<u32>, bool) {
    let mut all = [window, tokens].concat();
    let fits = all.len() <= context;
    if !fits {
        let kept = if window.is_empty() { context } else { (context / 2).max(1) };
        all.drain(..all.len() - kept);
    }
    (all, fits)
}

fn to_host(logits: Tensor<2>) -> Result<Vec<f32>, GenerateError> {
    let data = logits.try_into_data().map_err(|error| GenerateError::Device(error.to_string()))?;
    data.try_into_vec_as::<f32>().map_err(|error| GenerateError::Device(error.to_string()))
}
