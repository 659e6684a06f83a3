//! A model gone through layer by layer, for methods that change a layer by what the layers below it make.

use burn::tensor::{Int, Tensor, assert_shape};

use crate::LanguageModel;

/// What lies between two layers on whole windows that are read cold.
#[derive(Debug, Clone)]
pub struct Between {
    /// `[B T, C]` of a transformer, `[T B, H]` of a recurrent model.
    values: Tensor<2>,
    rows: usize,
    steps: usize,
}

impl Between {
    /// The numbers, a row for each token.
    pub fn values(&self) -> &Tensor<2> {
        &self.values
    }

    /// Of recurrent models, by time.
    fn by_time(self) -> Tensor<3> {
        let [_, width] = self.values.dims();
        self.values.reshape([self.steps, self.rows, width])
    }
}

impl LanguageModel {
    /// How many layers it has, each of which [`through_layer`](Self::through_layer) goes through: an encoder-decoder,
    /// whose halves read different texts, has none, and what else is here panics with one.
    pub fn layers(&self) -> usize {
        match self {
            Self::Recurrent(model) => model.layers.len(),
            Self::Transformer(model) => model.blocks.len(),
            Self::EncoderDecoder(_) => 0,
        }
    }

    /// What the path of each parameter of a layer begins with.
    pub fn layer_prefix(&self, layer: usize) -> String {
        match self {
            Self::Recurrent(_) => format!("layers.{layer}."),
            Self::Transformer(_) => format!("blocks.{layer}."),
            Self::EncoderDecoder(_) => no_layers(),
        }
    }

    /// What the first layer reads of windows `[B, T]`.
    pub fn before_layers(&self, tokens: Tensor<2, Int>) -> Between {
        let [rows, steps] = tokens.dims();
        let values = match self {
            Self::Recurrent(model) => flat(model.before_layers(tokens)),
            Self::Transformer(model) => model.before_blocks(tokens),
            Self::EncoderDecoder(_) => no_layers(),
        };
        Between { values, rows, steps }
    }

    /// What the layer of this number, counted from 0, makes of it.
    ///
    /// # Panics
    /// If there is no such layer, or what it reads has another width.
    pub fn through_layer(&self, layer: usize, below: Between) -> Between {
        let (rows, steps) = (below.rows, below.steps);
        let values = match self {
            Self::Recurrent(model) => flat(model.through_layer(layer, below.by_time())),
            Self::Transformer(model) => model.through_block(layer, below.values, [rows, steps]),
            Self::EncoderDecoder(_) => no_layers(),
        };
        Between { values, rows, steps }
    }

    /// The logits `[B, T, V]` of what the last layer makes: those of [`forward`](Self::forward).
    pub fn after_layers(&self, below: Between) -> Tensor<3> {
        let (rows, steps) = (below.rows, below.steps);
        let logits = match self {
            Self::Recurrent(model) => model.after_layers(below.by_time()),
            Self::Transformer(model) => model.after_blocks(below.values).reshape([rows, steps, self.vocabulary_size()]),
            Self::EncoderDecoder(_) => no_layers(),
        };
        assert_shape!(logits, [rows, steps, self.vocabulary_size()]);
        logits
    }
}

fn no_layers() -> ! {
    panic!("an encoder-decoder has no layers that a text alone goes through")
}

fn flat(values: Tensor<3>) -> Tensor<2> {
    let [steps, rows, width] = values.dims();
    values.reshape([steps * rows, width])
}

#[cfg(test)]
mod tests {
    use burn::tensor::{Device, TensorData};

    use super::*;
    use crate::{GruConfig, LstmConfig, ModelConfig, PositionKind, RnnConfig, TransformerConfig};

    /// One of each family, and a transformer with rotary positions and a head of its own.
    fn families() -> [ModelConfig; 5] {
        let transformer = TransformerConfig { layers: 2, heads: 2, width: 8, ..TransformerConfig::default() };
        let rotary = TransformerConfig { position: PositionKind::Rotary, tied: false, ..transformer.clone() };
        [
            ModelConfig::Transformer(transformer),
            ModelConfig::Transformer(rotary),
            ModelConfig::Rnn(RnnConfig { layers: 1, hidden: 6, ..RnnConfig::default() }),
            ModelConfig::Lstm(LstmConfig { layers: 2, hidden: 5, ..LstmConfig::default() }),
            ModelConfig::Gru(GruConfig { layers: 2, hidden: 4, ..GruConfig::default() }),
        ]
    }

    #[test]
    fn layer_by_layer_makes_the_same_logits() {
        let device = Device::flex();
        for config in families() {
            let model = config.init(11, 16, 3, &device);
            let ids: Vec<i32> = (0..26).map(|index| index * 5 % 11).collect();
            let tokens = Tensor::<2, Int>::from_data(TensorData::new(ids, [2, 13]), &device);
            let through = (0..model.layers())
                .fold(model.before_layers(tokens.clone()), |below, layer| model.through_layer(layer, below));
            let found = model.after_layers(through).into_data();
            let expected = model.forward(tokens, None).0.into_data();
            found.assert_approx_eq::<f32>(&expected, burn::tensor::Tolerance::absolute(1e-5));
        }
    }
}
