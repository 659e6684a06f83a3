//! Embeddings, blocks, head.

use burn::module::Module;
use burn::tensor::{Int, Tensor, assert_shape};
use kiln_kernels::{Draws, cross_entropy, dropout};

use super::attention::Window;
use super::block::Block;
use super::cache::KeyValueCache;
use super::config::{PositionKind, TransformerConfig};
use super::norm::Norm;
use super::rotary::RotaryPositions;
use crate::initializer::Initializer;
use crate::layers::{Embedding, Head, Projection};

/// Standard deviation of fresh weights, as in GPT-2.
const DEVIATION: f64 = 0.02;

/// A decoder transformer: tokens to logits for the token after each.
#[derive(Module, Debug)]
pub struct Transformer {
    /// One row a token, `[V, C]`.
    pub token_embedding: Embedding,
    /// One row a position, `[context, C]`, with learned positions.
    pub position_embedding: Option<Embedding>,
    /// The lowest first.
    pub blocks: Vec<Block>,
    /// Before the head.
    pub final_norm: Norm,
    /// Its weight is `[C, V]`, or that of the token embedding; it has no bias.
    pub output: Head,
    rotary: Option<RotaryPositions>,
    dropout: f64,
    context: usize,
    #[module(skip)]
    config: TransformerConfig,
}

impl TransformerConfig {
    /// The model with fresh weights, drawn at once.
    pub(crate) fn init(&self, vocabulary: usize, context: usize, initializer: &mut Initializer<'_>) -> Transformer {
        let learned = self.position == PositionKind::Learned;
        Transformer {
            token_embedding: Embedding::init(vocabulary, self.width, DEVIATION, initializer),
            position_embedding: learned.then(|| Embedding::init(context, self.width, DEVIATION, initializer)),
            blocks: (0..self.layers).map(|_| Block::init(self, initializer)).collect(),
            final_norm: self.norm(initializer),
            output: Head {
                weight: (!self.tied).then(|| initializer.normal([self.width, vocabulary], DEVIATION)),
                bias: None,
            },
            rotary: (!learned)
                .then(|| RotaryPositions::new(context, self.head_width(), self.rotary_base, initializer.device())),
            dropout: self.dropout,
            context,
            config: self.clone(),
        }
    }

    /// A norm of the residual stream.
    pub(super) fn norm(&self, initializer: &mut Initializer<'_>) -> Norm {
        Norm::init(self.norm, self.width, self.bias, self.norm_epsilon, initializer)
    }

    /// A projection that does not end in the residual stream.
    pub(super) fn projection(&self, shape: [usize; 2], initializer: &mut Initializer<'_>) -> Projection {
        self.projection_with(shape, DEVIATION, initializer)
    }

    /// A projection whose output is added to the residual stream: 2 layers of them add up to the variance of one.
    pub(super) fn residual_projection(&self, shape: [usize; 2], initializer: &mut Initializer<'_>) -> Projection {
        self.projection_with(shape, DEVIATION / (2.0 * self.layers as f64).sqrt(), initializer)
    }

    fn projection_with(&self, shape: [usize; 2], deviation: f64, initializer: &mut Initializer<'_>) -> Projection {
        let weight = initializer.normal(shape, deviation);
        Projection { weight, bias: self.bias.then(|| initializer.constant([shape[1]], 0.0)) }
    }
}

impl Transformer {
    /// Logits for the token after each token of a window; with a cache, the window goes on after the tokens in it.
    ///
    /// # Shapes
    /// - `tokens`: `[B, T]`
    /// - output: `[B, T, V]`
    ///
    /// # Panics
    /// When the window, with the tokens in the cache, is longer than the context or the cache's capacity, or the cache
    /// is for another number of rows or blocks.
    pub fn forward(&self, tokens: Tensor<2, Int>, cache: Option<KeyValueCache>) -> (Tensor<3>, Option<KeyValueCache>) {
        let [rows, steps] = tokens.dims();
        let (stream, cache) = self.stream(tokens, cache, &mut Draws::none());
        (self.logits(stream).reshape([rows, steps, self.vocabulary_size()]), cache)
    }

    /// Loss of the token after each token of a window, `[B, T]`, nats.
    ///
    /// # Panics
    /// When the window is longer than the context, or a target is no token id.
    pub fn losses(&self, tokens: Tensor<2, Int>, targets: Tensor<2, Int>, draws: &mut Draws) -> Tensor<2> {
        let [rows, steps] = tokens.dims();
        assert_shape!(targets, [rows, steps]);
        let targets = targets.reshape([rows * steps]);
        let (stream, _) = self.stream(tokens, None, draws);
        let losses = match self.config.logit_soft_cap {
            Some(_) => cross_entropy(self.logits(stream), targets),
            None => self.output.losses(stream, &self.token_embedding, targets),
        };
        losses.reshape([rows, steps])
    }

    /// What the head reads, `[N, C]`, and the cache after the window.
    fn stream(
        &self,
        tokens: Tensor<2, Int>,
        cache: Option<KeyValueCache>,
        draws: &mut Draws,
    ) -> (Tensor<2>, Option<KeyValueCache>) {
        let [rows, steps] = tokens.dims();
        self.check(rows, steps, cache.as_ref());
        let start = cache.as_ref().map_or(0, KeyValueCache::length);
        let window = Window { rows, steps, start, rotary: self.rotary.as_ref() };
        let mut stream = self.embed(tokens, &window, draws);
        // Taken out of the cache, so that each block owns its part alone and writes into it in place.
        let (mut before, cache) = cache.map_or_else(Default::default, |cache| cache.take_layers());
        let mut after = Vec::with_capacity(before.len());
        for block in &self.blocks {
            let (next, layer) = block.forward(stream, &window, before.pop_front(), draws);
            stream = next;
            after.extend(layer);
        }
        (self.final_norm.forward(stream), cache.map(|cache| cache.advanced(after, steps)))
    }

    /// An empty cache for `rows` rows of up to `capacity` tokens.
    ///
    /// # Panics
    /// When `capacity` is zero or beyond the context.
    pub fn cache(&self, rows: usize, capacity: usize) -> KeyValueCache {
        let context = self.context;
        assert!(
            (1..=context).contains(&capacity),
            "a key-value cache for {capacity} tokens was asked for, but the model reads between 1 and {context}"
        );
        KeyValueCache::new(&self.config, rows, capacity, &self.token_embedding.weight.val().device())
    }

    /// Number of token ids, V.
    pub fn vocabulary_size(&self) -> usize {
        self.token_embedding.rows()
    }

    /// The longest window in tokens.
    pub fn context(&self) -> usize {
        self.context
    }

    fn check(&self, rows: usize, steps: usize, cache: Option<&KeyValueCache>) {
        let start = cache.map_or(0, KeyValueCache::length);
        let context = self.context;
        assert!(steps > 0, "a window needs at least one token");
        assert!(
            start + steps <= context,
            "{steps} tokens after {start} are {}, but the model reads at most {context}",
            start + steps
        );
        if let Some(cache) = cache {
            let (capacity, cached_rows) = (cache.capacity(), cache.batch_size());
            assert!(
                start + steps <= capacity,
                "{steps} tokens after {start} are {}, but the key-value cache holds at most {capacity}",
                start + steps
            );
            assert_eq!(cached_rows, rows, "the key-value cache is for {cached_rows} rows, the window has {rows}");
            assert_eq!(cache.layers.len(), self.blocks.len(), "the key-value cache belongs to another model");
        }
    }

    /// `[B, T]` to `[N, C]`.
    fn embed(&self, tokens: Tensor<2, Int>, window: &Window<'_>, draws: &mut Draws) -> Tensor<2> {
        let mut stream = self.token_embedding.forward(tokens);
        if let Some(positions) = &self.position_embedding {
            let positions = positions.weight.val().narrow(0, window.start, window.steps);
            stream = stream + positions.unsqueeze();
        }
        dropout(stream, self.dropout, draws.take()).reshape([window.rows * window.steps, self.config.width])
    }

    /// `[N, C]` to `[N, V]`.
    fn logits(&self, stream: Tensor<2>) -> Tensor<2> {
        let logits = self.output.forward(stream, &self.token_embedding);
        match self.config.logit_soft_cap {
            Some(cap) => (logits / cap).tanh() * cap,
            None => logits,
        }
    }
}
