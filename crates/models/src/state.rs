//! What a model remembers, row by row.

use crate::encoder_decoder::DecoderState;
use crate::recurrent::RecurrentState;
use crate::transformer::KeyValueCache;

/// What a model remembers of the tokens that it has read, for each row of a batch by itself: rows may have read
/// different numbers of tokens, and be taken out, put back, joined, repeated and left out.
///
/// ```
/// use burn::tensor::{Device, Int, Tensor};
/// use kiln_models::{LstmConfig, ModelConfig};
///
/// let config = ModelConfig::Lstm(LstmConfig { layers: 1, hidden: 8, ..LstmConfig::default() });
/// let model = config.init(5, 16, 1, &Device::flex());
/// let prompt = Tensor::<2, Int>::from_data([[0, 1, 2]], &model.device());
/// let (_, state) = model.read(prompt, &[3], model.initial_state(1));
/// // One prompt read once, continued three times, beside a row that has read nothing.
/// let state = state.take_rows(&[0, 0, 0]).joined(model.initial_state(1));
/// assert_eq!(state.positions(), [3, 3, 3, 0]);
/// ```
#[derive(Debug, Clone)]
pub enum State {
    /// The hidden states of every layer.
    Recurrent(RecurrentState),
    /// The keys and values of every block.
    Transformer(KeyValueCache),
    /// The source, and the keys and values of the target so far.
    EncoderDecoder(DecoderState),
}

impl State {
    /// Tokens that each row has read, `[B]`.
    pub fn positions(&self) -> &[usize] {
        match self {
            Self::Recurrent(state) => state.positions(),
            Self::Transformer(cache) => cache.positions(),
            Self::EncoderDecoder(state) => state.positions(),
        }
    }

    /// Rows that it remembers for, B.
    pub fn rows(&self) -> usize {
        self.positions().len()
    }

    /// The rows `rows`, in that order: some of them, all but some, or one several times.
    ///
    /// # Panics
    /// When there is no such row.
    #[must_use]
    pub fn take_rows(&self, rows: &[usize]) -> Self {
        match self {
            Self::Recurrent(state) => Self::Recurrent(state.take_rows(rows)),
            Self::Transformer(cache) => Self::Transformer(cache.take_rows(rows)),
            Self::EncoderDecoder(state) => Self::EncoderDecoder(state.take_rows(rows)),
        }
    }

    /// The state with `rows` in the place of its own rows `places`; the others stay.
    ///
    /// # Panics
    /// When there is no such place, or `rows` is the state of another model.
    #[must_use]
    pub fn put_rows(self, places: &[usize], rows: Self) -> Self {
        assert_eq!(places.len(), rows.rows(), "{} rows cannot take the place of {}", rows.rows(), places.len());
        match (self, rows) {
            (Self::Recurrent(own), rows) => Self::Recurrent(own.put_rows(places, rows.into_recurrent())),
            (Self::Transformer(own), rows) => Self::Transformer(own.put_rows(places, rows.into_key_value_cache())),
            (Self::EncoderDecoder(own), rows) => Self::EncoderDecoder(own.put_rows(places, rows.into_decoder())),
        }
    }

    /// These rows and then those of another state of the same model.
    ///
    /// # Panics
    /// When `other` is the state of another model.
    #[must_use]
    pub fn joined(self, other: Self) -> Self {
        match self {
            Self::Recurrent(own) => Self::Recurrent(own.joined(other.into_recurrent())),
            Self::Transformer(own) => Self::Transformer(own.joined(other.into_key_value_cache())),
            Self::EncoderDecoder(own) => Self::EncoderDecoder(own.joined(other.into_decoder())),
        }
    }

    /// The state with room for `positions` tokens in each row at once, where room is taken token by token; a state that
    /// is not asked for it grows as it reads.
    #[must_use]
    pub fn reserved(self, positions: usize) -> Self {
        match self {
            Self::Recurrent(_) => self,
            Self::Transformer(cache) => Self::Transformer(cache.reserved(positions)),
            Self::EncoderDecoder(state) => Self::EncoderDecoder(state.reserved(positions)),
        }
    }

    /// The state without the last `tokens` of each row, where it holds every token by itself: nothing for a recurrent
    /// model.
    ///
    /// # Panics
    /// When a row has read fewer.
    #[must_use]
    pub fn shortened(self, tokens: usize) -> Option<Self> {
        match self {
            Self::Recurrent(_) => None,
            Self::Transformer(cache) => Some(Self::Transformer(cache.shortened(tokens))),
            Self::EncoderDecoder(state) => state.shortened(tokens).map(Self::EncoderDecoder),
        }
    }

    /// The same numbers, cut from the graph that computed them: the boundary of truncated back-propagation.
    #[must_use]
    pub fn detach(self) -> Self {
        match self {
            Self::Recurrent(state) => Self::Recurrent(state.detach()),
            Self::Transformer(cache) => Self::Transformer(cache.detach()),
            Self::EncoderDecoder(state) => Self::EncoderDecoder(state.detach()),
        }
    }

    pub(crate) fn into_recurrent(self) -> RecurrentState {
        match self {
            Self::Recurrent(state) => state,
            Self::Transformer(_) | Self::EncoderDecoder(_) => {
                panic!("a recurrent model was given a transformer's key-value cache")
            }
        }
    }

    pub(crate) fn into_key_value_cache(self) -> KeyValueCache {
        match self {
            Self::Transformer(cache) => cache,
            Self::Recurrent(_) => panic!("a transformer was given the state of a recurrent model"),
            Self::EncoderDecoder(_) => panic!("a transformer was given the state of an encoder-decoder"),
        }
    }

    pub(crate) fn into_decoder(self) -> DecoderState {
        match self {
            Self::EncoderDecoder(state) => state,
            Self::Recurrent(_) | Self::Transformer(_) => {
                panic!("an encoder-decoder was given the state of another model")
            }
        }
    }
}
