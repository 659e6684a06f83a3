//! What a recurrent encoder-decoder is made of and what it costs.

use kiln_parameters::{PartCount, Role};
use kiln_settings::Violation;

use super::config::RecurrentEncoderDecoderConfig;
use crate::counting::TrainingCosts;
use crate::family::Family;
use crate::recurrent::Cell;

impl RecurrentEncoderDecoderConfig {
    /// Numbers in the matrices of a layer, and in its biases.
    fn layer(&self, input: usize) -> [u64; 2] {
        let (cell, hidden) = (Cell::from(self.cell), self.hidden as u64);
        let gates = cell.gates() as u64;
        [gates * hidden * (input as u64 + hidden), hidden * (gates + u64::from(cell.has_hidden_bias()))]
    }

    fn directions(&self) -> u64 {
        if self.bidirectional { 2 } else { 1 }
    }
}

impl Family for RecurrentEncoderDecoderConfig {
    fn name(&self) -> &'static str {
        "recurrent-encoder-decoder"
    }

    fn validate(&self) -> Vec<Violation> {
        self.broken_rules()
    }

    fn parameters(&self, vocabulary: usize, _context: usize) -> Vec<PartCount> {
        let [hidden, embedding, memory] = [self.hidden, self.embedding(), self.memory()].map(|number| number as u64);
        let (vocabulary, layers) = (vocabulary as u64, self.layers as u64);
        let table = |name: &str| PartCount::new(name, &[(Role::Embedding, vocabulary * embedding)]);
        let sum = |inputs: fn(&Self, usize) -> usize| {
            let of_layers = (0..self.layers).map(|index| self.layer(inputs(self, index)));
            of_layers.fold([0, 0], |sum, [matrices, biases]| [sum[0] + matrices, sum[1] + biases])
        };
        let part = |name: &str, [matrices, biases]: [u64; 2]| {
            PartCount::new(name, &[(Role::HiddenMatrix, matrices), (Role::Bias, biases)])
        };
        let mut parts = vec![table("token_embedding")];
        if !self.shared_embeddings {
            parts.push(table("source_embedding"));
        }
        parts.push(part("encoder.*", sum(Self::encoder_input)));
        if self.bidirectional {
            parts.push(part("encoder_backward.*", sum(Self::encoder_input)));
        }
        parts.push(part("bridge.*", [layers * memory * hidden, layers * hidden]));
        parts.push(part("decoder.*", sum(Self::decoder_input)));
        if self.attention {
            let width = self.attention_width() as u64;
            parts.push(part("attention", [width * (hidden + memory + 1), width]));
        }
        let head = self.features() as u64 * vocabulary;
        parts.push(PartCount::new("output", &[(Role::Head, head), (Role::Bias, vocabulary)]));
        parts
    }

    fn multiply_additions(&self, vocabulary: usize, context: usize) -> u64 {
        let of_layers = |inputs: fn(&Self, usize) -> usize| -> u64 {
            (0..self.layers).map(|index| self.layer(inputs(self, index))[0]).sum()
        };
        let [hidden, memory, width] = [self.hidden, self.memory(), self.attention_width()].map(|number| number as u64);
        let attention = width * (hidden + memory) + context as u64 * (width + memory);
        self.directions() * of_layers(Self::encoder_input)
            + of_layers(Self::decoder_input)
            + if self.attention { attention } else { 0 }
            + self.features() as u64 * vocabulary as u64
    }

    fn carries_state_between_windows(&self) -> bool {
        false
    }

    fn has_dropout(&self) -> bool {
        self.dropout > 0.0
    }

    fn training_costs(&self, batch: usize, context: usize) -> TrainingCosts {
        let cell = Cell::from(self.cell);
        let [hidden, layers, gates] = [self.hidden, self.layers, cell.gates()].map(|number| number as u64);
        let of_layers = layers.saturating_mul(1 + self.directions()).saturating_mul(hidden);
        // A step of the attention holds a row of width A for each token of the source, and twice for its gradient.
        let scores = (context as u64).saturating_mul(3 * self.attention_width() as u64);
        let attention = if self.attention { scores } else { 0 };
        TrainingCosts {
            held_per_token: of_layers.saturating_mul(6 * gates + 14).saturating_add(attention),
            kept_per_token: of_layers.saturating_mul(cell.kept_for_backward() as u64).saturating_add(attention),
            passing_per_token: 0,
            between_per_token: hidden,
            typical_product: [batch, self.hidden, cell.gates() * self.hidden],
            operations: 20 * layers * 3 + if self.attention { 40 * context as u64 } else { 0 },
        }
    }
}
