//! What a transformer is made of and what it costs.

use kiln_parameters::{PartCount, Role};
use kiln_settings::Violation;

use super::config::TransformerConfig;
use super::options::PositionKind;
use crate::counting::TrainingCosts;
use crate::family::Family;

impl Family for TransformerConfig {
    fn name(&self) -> &'static str {
        "transformer"
    }

    fn validate(&self) -> Vec<Violation> {
        self.broken_rules()
    }

    fn parameters(&self, vocabulary: usize, context: usize) -> Vec<PartCount> {
        let [layers, width, vocabulary, context] = [self.layers, self.width, vocabulary, context].map(|n| n as u64);
        let biases = |count: u64| if self.bias { count } else { 0 };
        let norm_bias = if self.has_norm_biases() { width } else { 0 };
        let norm = [(Role::Gain, width), (Role::Bias, norm_bias)];
        let (columns, inner) = (self.query_key_value_columns() as u64, self.feed_forward_columns() as u64);
        let query_key_norms =
            self.query_key_norm_widths().map_or(0, |widths| widths.map(|width| width as u64).iter().sum());
        let heads = self.attention_width() as u64;
        let [biases_before, biases_after] = self.attention_biases().map(u64::from);
        let attention = [
            (Role::HiddenMatrix, width * (columns + heads)),
            (Role::Bias, biases_before * columns + biases_after * width),
            (Role::Gain, query_key_norms),
        ];
        let feed_forward = [
            (Role::HiddenMatrix, width * (inner + self.feed_forward_width() as u64)),
            (Role::Bias, biases(inner + width)),
        ];
        let block = |name: &str, roles: &[(Role, u64)]| {
            let roles: Vec<_> = roles.iter().map(|(role, count)| (*role, layers * count)).collect();
            PartCount::new(format!("blocks.*.{name}"), &roles)
        };
        let table = |name: &str, rows: u64| PartCount::new(name, &[(Role::Embedding, rows * width)]);
        let mut parts = vec![table("token_embedding", vocabulary)];
        if self.position == PositionKind::Learned {
            parts.push(table("position_embedding", context));
        }
        let [before, after] = self.norm_placement.places();
        for (part, roles) in [("attention", &attention[..]), ("feed_forward", &feed_forward[..])] {
            parts.extend(before.then(|| block(&format!("{part}_norm"), &norm)));
            parts.push(block(part, roles));
            parts.extend(after.then(|| block(&format!("{part}_output_norm"), &norm)));
        }
        parts.push(PartCount::new("final_norm", &norm));
        if !self.tied {
            parts.push(PartCount::new("output", &[(Role::Head, width * vocabulary)]));
        }
        parts
    }

    /// The projections, and for attention a query with all keys of the context, or of a local layer's window, and as
    /// many weights with values.
    fn multiply_additions(&self, vocabulary: usize, context: usize) -> u64 {
        let [layers, width, vocabulary] = [self.layers, self.width, vocabulary].map(|n| n as u64);
        let heads = self.attention_width() as u64;
        let local = self.local_layers() as u64;
        let window = self.attention_window.map_or(context, |window| window.min(context)) as u64;
        let keys = local * window + (layers - local) * context as u64;
        let projections = width * (self.query_key_value_columns() as u64 + heads);
        let feed_forward = width * (self.feed_forward_columns() + self.feed_forward_width()) as u64;
        layers * (projections + feed_forward) + 2 * heads * keys + width * vocabulary
    }

    fn carries_state_between_windows(&self) -> bool {
        false
    }

    fn has_dropout(&self) -> bool {
        self.dropout > 0.0
    }

    fn training_costs(&self, batch: usize, context: usize) -> TrainingCosts {
        let [layers, width] = [self.layers, self.width].map(|number| number as u64);
        let head_columns = self.query_key_value_columns() as u64;
        let normalised = (self.heads + self.key_value_heads()) * self.head_width();
        let normalised = if self.query_key_norm { normalised as u64 } else { 0 };
        let feed_forward = (self.feed_forward_columns() + self.feed_forward_width()) as u64;
        // Inputs before and after the norms, queries, keys, values, attention, both sides of the feed-forward part's
        // function and the residuals (Korthikanti et al. 2022, <https://arxiv.org/abs/2205.05198>, section 4.1),
        // without the weights of the attention, which its kernels compute again.
        let kept_per_token = layers.saturating_mul(5 * width + head_columns + normalised + feed_forward);
        TrainingCosts {
            kept_per_token,
            held_per_token: kept_per_token,
            passing_per_token: 7 * width,
            between_per_token: width,
            typical_product: [batch.saturating_mul(context), self.width, 4 * self.width],
            operations: 40 * layers,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transformer::AttentionLayer;

    #[test]
    fn a_local_layer_multiplies_the_keys_of_its_window_alone() {
        let global = TransformerConfig { layers: 5, heads: 2, width: 8, ..TransformerConfig::default() };
        let local = |window| TransformerConfig {
            attention_window: Some(window),
            layer_pattern: Some(vec![AttentionLayer::Local, AttentionLayer::Global]),
            ..global.clone()
        };
        let cost = |config: &TransformerConfig| config.multiply_additions(61, 16);
        // Three of the five layers have a query meet 4 keys and values of 8 numbers, not 16.
        assert_eq!(cost(&global) - cost(&local(4)), 3 * 2 * (16 - 4) * 8);
        assert_eq!(cost(&global), cost(&local(20)));
    }
}
