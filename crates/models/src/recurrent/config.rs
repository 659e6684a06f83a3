//! `[model.rnn]`, `[model.lstm]` and `[model.gru]`: their keys, defaults and rules.

use kiln_parameters::{PartCount, Role};
use kiln_settings::Violation;
use kiln_settings::rules::{probability, size};
use serde::{Deserialize, Serialize};

use super::cell::{Activation, Cell};
use crate::counting::TrainingCosts;
use crate::family::Family;

/// Declares the table of a recurrent network: the keys that all of them share, in one place because `serde(flatten)`
/// would let unknown keys pass, and between them those of its own, with their defaults.
macro_rules! recurrent_table {
    (
        $(#[$doc:meta])*
        $name:ident { $($(#[$own_doc:meta])* $own:ident: $kind:ty = $default:expr,)? }
        $table:literal, $cell:expr
    ) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
        #[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
        pub struct $name {
            /// Recurrent layers, one above the other. Default 2.
            pub layers: usize,
            /// Width of each layer's state. Default 128.
            pub hidden: usize,
            /// Width of the token embedding. Default: the same as `hidden`.
            #[serde(skip_serializing_if = "Option::is_none")]
            pub embedding: Option<usize>,
            $($(#[$own_doc])* pub $own: $kind,)?
            /// Probability that a number between two layers is dropped while training. Default 0.
            pub dropout: f64,
            /// Probability that a number between the last layer and the head is dropped while training. Default 0.
            pub output_dropout: f64,
            /// Whether the head multiplies with the embedding table instead of its own weights; needs `embedding` =
            /// `hidden`. Default false.
            pub tied: bool,
        }

        impl Default for $name {
            fn default() -> Self {
                Self {
                    layers: 2,
                    hidden: 128,
                    embedding: None,
                    $($own: $default,)?
                    dropout: 0.0,
                    output_dropout: 0.0,
                    tied: false,
                }
            }
        }

        impl RecurrentConfig for $name {
            fn table(&self) -> &'static str {
                $table
            }

            fn sizes(&self) -> RecurrentSizes {
                let Self { layers, hidden, embedding, $($own,)? dropout, output_dropout, tied } = *self;
                RecurrentSizes {
                    layers,
                    hidden,
                    embedding: embedding.unwrap_or(hidden),
                    dropout,
                    output_dropout,
                    tied,
                    cell: $cell $(($own))?,
                }
            }
        }
    };
}

recurrent_table! {
    /// `[model.rnn]`: an Elman network.
    RnnConfig {
        /// The function of the state: "tanh" or "relu". Default "tanh".
        activation: Activation = Activation::Tanh,
    }
    "rnn", Cell::Rnn
}

recurrent_table! {
    /// `[model.lstm]`: long short-term memory.
    LstmConfig {
        /// What the forget gates' biases start from; 1 lets a fresh network remember (Jozefowicz et al. 2015,
        /// <https://proceedings.mlr.press/v37/jozefowicz15.html>). Default 1.
        forget_bias: f64 = 1.0,
    }
    "lstm", Cell::Lstm
}

recurrent_table! {
    /// `[model.gru]`: gated recurrent units.
    GruConfig {}
    "gru", Cell::Gru
}

/// A table of this file.
pub(crate) trait RecurrentConfig {
    /// Its name.
    fn table(&self) -> &'static str;

    /// What it says, in the terms that all tables share.
    fn sizes(&self) -> RecurrentSizes;
}

/// What the three tables say.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RecurrentSizes {
    pub(crate) layers: usize,
    pub(crate) hidden: usize,
    pub(crate) embedding: usize,
    pub(crate) dropout: f64,
    pub(crate) output_dropout: f64,
    pub(crate) tied: bool,
    pub(crate) cell: Cell,
}

impl RecurrentSizes {
    /// Width of what the layer `index` reads.
    pub(crate) fn input_of(&self, index: usize) -> usize {
        if index == 0 { self.embedding } else { self.hidden }
    }

    /// Numbers in the matrices of all layers, and the multiply-additions of a token in them.
    fn matrices(&self) -> u64 {
        let (gates, hidden) = (self.cell.gates() as u64, self.hidden as u64);
        (0..self.layers).map(|index| gates * hidden * (self.input_of(index) as u64 + hidden)).sum()
    }

    /// `count` numbers of width H in every layer.
    fn in_layers(&self, count: u64) -> u64 {
        (self.layers as u64).saturating_mul(self.hidden as u64).saturating_mul(count)
    }
}

impl<C: RecurrentConfig> Family for C {
    fn name(&self) -> &'static str {
        self.table()
    }

    fn validate(&self) -> Vec<Violation> {
        let sizes = self.sizes();
        let shared = [
            size("layers", sizes.layers, 1024),
            size("hidden", sizes.hidden, 1 << 16),
            size("embedding", sizes.embedding, 1 << 16),
            probability("dropout", sizes.dropout),
            probability("output-dropout", sizes.output_dropout),
        ];
        let mut violations: Vec<Violation> = shared.into_iter().flatten().collect();
        if sizes.layers == 1 && sizes.dropout > 0.0 {
            let message = format!("is {}, but it acts between layers and there is one layer", sizes.dropout);
            violations.push(Violation::new("dropout", message).with_help("use output-dropout, or two layers"));
        }
        if sizes.tied && sizes.embedding != sizes.hidden {
            let message = format!("needs embedding = hidden, but they are {} and {}", sizes.embedding, sizes.hidden);
            violations.push(Violation::new("tied", message).with_help("leave out embedding, or set tied = false"));
        }
        violations.extend(sizes.cell.validate());
        violations
    }

    fn parameters(&self, vocabulary: usize, _context: usize) -> Vec<PartCount> {
        let sizes = self.sizes();
        let (hidden, embedding, vocabulary) = (sizes.hidden as u64, sizes.embedding as u64, vocabulary as u64);
        let biases = sizes.in_layers((sizes.cell.gates() + usize::from(sizes.cell.has_hidden_bias())) as u64);
        let output_weight = if sizes.tied { 0 } else { hidden * vocabulary };
        vec![
            PartCount::new("embedding", &[(Role::Embedding, vocabulary * embedding)]),
            PartCount::new("layers.*", &[(Role::HiddenMatrix, sizes.matrices()), (Role::Bias, biases)]),
            PartCount::new("output", &[(Role::Head, output_weight), (Role::Bias, vocabulary)]),
        ]
    }

    fn multiply_additions(&self, vocabulary: usize, _context: usize) -> u64 {
        let sizes = self.sizes();
        sizes.matrices() + sizes.hidden as u64 * vocabulary as u64
    }

    fn carries_state_between_windows(&self) -> bool {
        true
    }

    fn has_dropout(&self) -> bool {
        let sizes = self.sizes();
        sizes.dropout > 0.0 || sizes.output_dropout > 0.0
    }

    fn training_costs(&self, batch: usize, _context: usize) -> TrainingCosts {
        let sizes = self.sizes();
        let gates = sizes.cell.gates();
        TrainingCosts {
            kept_per_token: sizes.in_layers(sizes.cell.kept_for_backward() as u64),
            held_per_token: sizes.in_layers(sizes.cell.held_for_backward() as u64),
            passing_per_token: 0,
            between_per_token: sizes.hidden as u64,
            // The state's product, one for each time step, is small and therefore slow; it sets the pace.
            typical_product: [batch, sizes.hidden, gates * sizes.hidden],
            // The time steps of a layer are one operation.
            operations: 20 * sizes.layers as u64,
        }
    }
}
