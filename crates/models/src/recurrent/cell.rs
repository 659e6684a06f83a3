//! The cells of recurrent networks: what one time step of a layer computes.

use kiln_kernels::RnnActivation;
use kiln_settings::Violation;
use serde::{Deserialize, Serialize};

/// The function phi of an Elman network's state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Activation {
    /// Hyperbolic tangent.
    #[default]
    Tanh,
    /// max(x, 0).
    Relu,
}

impl From<Activation> for RnnActivation {
    fn from(activation: Activation) -> Self {
        match activation {
            Activation::Tanh => Self::Tanh,
            Activation::Relu => Self::Relu,
        }
    }
}

/// What one time step of a layer computes from its input x_t and the state h_(t-1), with W the input weight, R the
/// hidden weight, b the bias and d the hidden bias. The columns of W, R and b are one block of width H for each gate,
/// in the order given.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Cell {
    /// Elman network (Elman 1990, [Finding structure in time](https://doi.org/10.1207/s15516709cog1402_1)):
    ///
    /// ```text
    /// h_t = phi(x_t W + h_(t-1) R + b)        phi = tanh or relu
    /// ```
    ///
    /// The network's outputs o_t = h_t W + b belong to the head; the softmax psi is the loss's.
    Rnn(Activation),
    /// Long short-term memory (Hochreiter and Schmidhuber 1997, <https://doi.org/10.1162/neco.1997.9.8.1735>, with the
    /// forget gate of Gers, Schmidhuber and Cummins 2000, <https://doi.org/10.1162/089976600300015015>), with what the
    /// forget gate's bias starts from:
    ///
    /// ```text
    /// (i, f, o) = sigmoid(x_t W + h_(t-1) R + b)   input, forget and output gate
    ///        g  =    tanh(x_t W + h_(t-1) R + b)   candidate
    ///       c_t = f * c_(t-1) + i * g
    ///       h_t = o * tanh(c_t)
    /// ```
    ///
    /// The order is i, f, o, g, so that the three sigmoids are one operation (PyTorch's is i, f, g, o, with a second
    /// bias that adds to the first).
    Lstm(f64),
    /// Gated recurrent units (Cho et al. 2014, <https://arxiv.org/abs/1406.1078>), in the variant that PyTorch and
    /// cuDNN compute, with the reset gate applied after the product and its bias:
    ///
    /// ```text
    /// (r, z) = sigmoid(x_t W + h_(t-1) R + b)              reset and update gate
    ///     n  = tanh(x_t W + b + r * (h_(t-1) R + d))       candidate
    ///   h_t  = (1 - z) * n + z * h_(t-1)
    /// ```
    ///
    /// The order is r, z, n.
    Gru,
}

impl Cell {
    /// Blocks of H columns in W, R and b.
    pub(crate) fn gates(self) -> usize {
        match self {
            Self::Rnn(_) => 1,
            Self::Lstm(_) => 4,
            Self::Gru => 3,
        }
    }

    /// Whether there is a bias d, `[H]`, inside the reset gate's product.
    pub(crate) fn has_hidden_bias(self) -> bool {
        match self {
            Self::Rnn(_) | Self::Lstm(_) => false,
            Self::Gru => true,
        }
    }

    /// Whether the state has a memory c beside h.
    pub(crate) fn has_memory(self) -> bool {
        match self {
            Self::Lstm(_) => true,
            Self::Rnn(_) | Self::Gru => false,
        }
    }

    /// Numbers of width H that the forward pass leaves for the backward pass at each time step: its gates and its
    /// states.
    pub(crate) fn kept_for_backward(self) -> usize {
        match self {
            // An Elman network's gate is its state.
            Self::Rnn(_) => 1,
            Self::Lstm(_) => 4 + 2,
            Self::Gru => 3 + 1,
        }
    }

    /// Numbers that a layer does leave for its backward pass, for each unit and step: beside the others the projected
    /// inputs, and outside of an LSTM the inputs of the layer above.
    pub(crate) fn held_for_backward(self) -> usize {
        let above = match self {
            Self::Lstm(_) => 0,
            Self::Rnn(_) | Self::Gru => 1,
        };
        self.kept_for_backward() + self.gates() + above
    }

    pub(crate) fn validate(self) -> Option<Violation> {
        match self {
            Self::Lstm(bias) if !bias.is_finite() => {
                Some(Violation::new("forget-bias", format!("must be a finite number, is {bias}")))
            }
            Self::Rnn(_) | Self::Lstm(_) | Self::Gru => None,
        }
    }
}
