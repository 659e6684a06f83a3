//! The table of names by which a recurrent model of another program is read.

use serde::Deserialize;
use serde_json::Value;

use super::ImportError;
use crate::Tokenizer;
use crate::tokenizer::rebuilt::{Entry, EntryKind, whole_texts};

/// Which cells.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RecurrentFamily {
    /// Elman's, with a hyperbolic tangent.
    Rnn,
    /// Long short-term memory.
    Lstm,
    /// Gated recurrent units whose reset gate is applied behind the product.
    Gru,
}

/// The axes of matrices.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum MatrixLayout {
    /// `[out, in]`, as PyTorch has them.
    #[default]
    OutIn,
    /// `[in, out]`, as Keras has them.
    InOut,
}

/// A gate, or what it opens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Gate {
    /// i of an LSTM.
    Input,
    /// f of an LSTM.
    Forget,
    /// o of an LSTM.
    Output,
    /// g of an LSTM, n of a GRU.
    Candidate,
    /// r of a GRU.
    Reset,
    /// z of a GRU.
    Update,
}

/// Names of tensors; `{layer}` stands for the number of a layer, from 0.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct RecurrentNames {
    /// "rnn", "lstm" or "gru".
    pub family: RecurrentFamily,
    /// "out-in" or "in-out". Default "out-in".
    #[serde(default)]
    pub matrices: MatrixLayout,
    /// The order of the blocks of a layer's matrices and biases. Default PyTorch's: input, forget, candidate, output;
    /// reset, update, candidate.
    pub gates: Option<Vec<Gate>>,
    /// The table of tokens, `[V, E]`.
    pub embedding: String,
    /// What acts on the input of a layer.
    pub input_weight: String,
    /// What acts on its last state.
    pub hidden_weight: String,
    /// The bias beside the first. Default none.
    pub input_bias: Option<String>,
    /// The bias beside the second. Default none.
    pub hidden_bias: Option<String>,
    /// The head's matrix. Default: that of the table of tokens.
    pub output_weight: Option<String>,
    /// The head's bias. Default none.
    pub output_bias: Option<String>,
}

impl RecurrentFamily {
    /// The gates in Kiln's order.
    pub(super) fn gates(self) -> &'static [Gate] {
        match self {
            Self::Rnn => &[Gate::Candidate],
            Self::Lstm => &[Gate::Input, Gate::Forget, Gate::Output, Gate::Candidate],
            Self::Gru => &[Gate::Reset, Gate::Update, Gate::Candidate],
        }
    }

    fn pytorch(self) -> &'static [Gate] {
        match self {
            Self::Lstm => &[Gate::Input, Gate::Forget, Gate::Candidate, Gate::Output],
            other => other.gates(),
        }
    }
}

impl RecurrentNames {
    /// Where in the file each block is that Kiln has, in Kiln's order.
    pub(super) fn order(&self) -> Result<Vec<usize>, ImportError> {
        let theirs = self.gates.as_deref().unwrap_or(self.family.pytorch());
        let place = |gate: &Gate| theirs.iter().position(|other| other == gate);
        let order: Option<Vec<usize>> = self.family.gates().iter().map(place).collect();
        let expected = match self.family {
            RecurrentFamily::Rnn => "candidate",
            RecurrentFamily::Lstm => "input, forget, candidate and output",
            RecurrentFamily::Gru => "reset, update and candidate",
        };
        order.filter(|order| order.len() == theirs.len()).ok_or(ImportError::Gates { expected })
    }
}

/// What the tokens are: a list of texts, or a table of texts to numbers.
#[derive(Debug, Clone, PartialEq)]
pub struct TokenTexts {
    /// The list or table, from a JSON file.
    pub texts: Value,
    /// The text of the token that stands before every text.
    pub start: Option<String>,
    /// The text of the token that ends one.
    pub end: Option<String>,
}

impl TokenTexts {
    /// The tokenizer, what stands before a text, and what ends it.
    pub(super) fn tokenizer(&self) -> Result<(Tokenizer, Vec<u32>, Vec<u32>), ImportError> {
        let wrong = |problem: String| ImportError::Tokens(problem);
        let texts = self.in_order().ok_or_else(|| {
            wrong("they are neither a list of texts nor a table of texts to all the numbers from 0".to_owned())
        })?;
        let number = |text: &String| {
            let place = texts.iter().position(|other| other == text);
            let place = place.ok_or_else(|| wrong(format!("there is no token {text:?}")))?;
            u32::try_from(place).map_err(|error| wrong(error.to_string()))
        };
        let [start, end] =
            [&self.start, &self.end].map(|text| text.iter().map(number).collect::<Result<Vec<u32>, ImportError>>());
        let (start, end) = (start?, end?);
        let entry = |(text, id): (&String, u32)| {
            let kind = if start.contains(&id) || end.contains(&id) { EntryKind::Control } else { EntryKind::Normal };
            Entry::new(text.clone(), 0.0, kind)
        };
        let entries: Vec<Entry> = texts.iter().zip(0..).map(entry).collect();
        let tokenizer = whole_texts(&entries, &start).map_err(|error| wrong(error.to_string()))?;
        Ok((tokenizer, start, end))
    }

    fn in_order(&self) -> Option<Vec<String>> {
        match &self.texts {
            Value::Array(texts) => texts.iter().map(|text| text.as_str().map(str::to_owned)).collect(),
            Value::Object(table) => {
                let mut texts = vec![None; table.len()];
                for (text, number) in table {
                    *texts.get_mut(usize::try_from(number.as_u64()?).ok()?)? = Some(text.clone());
                }
                texts.into_iter().collect()
            }
            _ => None,
        }
    }
}
