//! What an encoder-decoder is made of and what it costs.

use kiln_parameters::{PartCount, Role};
use kiln_settings::Violation;

use super::config::{CodingNorms, CodingPosition, EncoderDecoderConfig};
use crate::counting::TrainingCosts;
use crate::family::Family;

impl Family for EncoderDecoderConfig {
    fn name(&self) -> &'static str {
        "encoder-decoder"
    }

    fn validate(&self) -> Vec<Violation> {
        self.broken_rules()
    }

    fn parameters(&self, vocabulary: usize, context: usize) -> Vec<PartCount> {
        let [width, vocabulary, context] = [self.width, vocabulary, context].map(|number| number as u64);
        let [inner, columns] = [self.feed_forward_width(), self.feed_forward_columns()].map(|number| number as u64);
        let bias = u64::from(self.bias);
        let norm = [(Role::Gain, width), (Role::Bias, if self.has_norm_biases() { width } else { 0 })];
        let matrices =
            |inputs: u64, outputs: u64| [(Role::HiddenMatrix, inputs * outputs), (Role::Bias, bias * outputs)];
        let table = |name: &str, rows: u64, width: u64| PartCount::new(name, &[(Role::Embedding, rows * width)]);
        let mut parts = vec![table("token_embedding", vocabulary, width)];
        if !self.shared_embeddings {
            parts.push(table("source_embedding", vocabulary, width));
        }
        for half in ["source", "target"] {
            match self.position {
                CodingPosition::Learned => parts.push(table(&format!("{half}_positions"), context, width)),
                CodingPosition::Relative => {
                    let buckets = self.relative_buckets as u64;
                    parts.push(table(&format!("{half}_distances"), buckets, self.heads as u64));
                }
                CodingPosition::Sinusoidal | CodingPosition::Rotary => {}
            }
        }
        for (half, layers) in [("encoder", self.layers), ("decoder", self.decoder_layers())] {
            let part = |name: &str, groups: &[[(Role, u64); 2]]| {
                let roles: Vec<_> =
                    groups.iter().flatten().map(|(role, count)| (*role, layers as u64 * count)).collect();
                PartCount::new(format!("{half}.*.{name}"), &roles)
            };
            let attention = [matrices(width, 3 * width), matrices(width, width)];
            parts.extend([part("attention_norm", &[norm]), part("attention", &attention)]);
            if half == "decoder" {
                let cross = [matrices(width, width), matrices(width, 2 * width), matrices(width, width)];
                parts.extend([part("cross_attention_norm", &[norm]), part("cross_attention", &cross)]);
            }
            let feed_forward = [matrices(width, columns), matrices(inner, width)];
            parts.extend([part("feed_forward_norm", &[norm]), part("feed_forward", &feed_forward)]);
            if self.norm_placement == CodingNorms::Before {
                parts.push(PartCount::new(format!("{half}_norm"), &norm));
            }
        }
        if !self.tied {
            parts.push(PartCount::new("output", &[(Role::Head, width * vocabulary)]));
        }
        parts
    }

    /// Of one token of a target with as long a source: it goes through the decoder, and one of the source through the
    /// encoder.
    fn multiply_additions(&self, vocabulary: usize, context: usize) -> u64 {
        let [width, vocabulary, context] = [self.width, vocabulary, context].map(|number| number as u64);
        let feed_forward = (self.feed_forward_width() + self.feed_forward_columns()) as u64;
        let [encoder, decoder] = [self.layers, self.decoder_layers()].map(|layers| layers as u64);
        let attention = 4 * width * width + 2 * width * context;
        encoder * (attention + width * feed_forward)
            + decoder * (2 * attention + width * feed_forward)
            + width * vocabulary
    }

    fn carries_state_between_windows(&self) -> bool {
        false
    }

    fn has_dropout(&self) -> bool {
        self.dropout > 0.0
    }

    fn training_costs(&self, batch: usize, context: usize) -> TrainingCosts {
        let width = self.width as u64;
        let feed_forward = (self.feed_forward_width() + self.feed_forward_columns()) as u64;
        let [encoder, decoder] = [self.layers, self.decoder_layers()].map(|layers| layers as u64);
        // A decoder's block has two attentions.
        let attentions = encoder + 2 * decoder;
        TrainingCosts {
            held_per_token: attentions
                .saturating_mul(14 * width)
                .saturating_add((encoder + decoder) * 3 * feed_forward),
            kept_per_token: attentions.saturating_mul(7 * width).saturating_add((encoder + decoder) * feed_forward),
            passing_per_token: 7 * width,
            between_per_token: width,
            typical_product: [batch.saturating_mul(context), self.width, 4 * self.width],
            operations: 20 * attentions + 20 * (encoder + decoder),
        }
    }
}
