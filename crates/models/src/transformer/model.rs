//! Embeddings, blocks, head.

use burn::module::Module;
use burn::tensor::{Int, Tensor, assert_shape};
use kiln_kernels::{Draws, cross_entropy, dropout};

use super::block::Block;
use super::cache::KeyValueCache;
use super::config::TransformerConfig;
use super::norm::Norm;
use super::options::PositionKind;
use super::rotary::RotaryPositions;
use super::window::Window;
use crate::initializer::Initializer;
use crate::layers::{Embedding, Head, Projection};
use crate::matrix::{Matrix, Product};
use crate::rows;
use crate::weight::Weight;

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
    local_rotary: Option<RotaryPositions>,
    dropout: f64,
    context: usize,
    packs_cache: bool,
    #[module(skip)]
    config: TransformerConfig,
}

impl TransformerConfig {
    /// The model with fresh weights, drawn at once.
    pub(crate) fn init(&self, vocabulary: usize, context: usize, initializer: &mut Initializer<'_>) -> Transformer {
        let learned = self.position == PositionKind::Learned;
        let rotary = |base, scaling| RotaryPositions::new(context, self.rotated_columns(), base, scaling);
        Transformer {
            token_embedding: Embedding::init(vocabulary, self.width, DEVIATION, initializer),
            position_embedding: learned.then(|| Embedding::init(context, self.width, DEVIATION, initializer)),
            blocks: (0..self.layers).map(|layer| Block::init(self, layer, initializer)).collect(),
            final_norm: self.norm(initializer),
            output: Head {
                weight: (!self.tied)
                    .then(|| Weight::Parameter(initializer.normal([self.width, vocabulary], DEVIATION))),
                bias: None,
            },
            rotary: (!learned).then(|| rotary(self.rotary_base, self.rotary_scaling.as_ref())),
            local_rotary: self.local_rotary_base.map(|base| rotary(base, None)),
            dropout: self.dropout,
            context,
            packs_cache: false,
            config: self.clone(),
        }
    }

    /// A norm of the residual stream.
    pub(super) fn norm(&self, initializer: &mut Initializer<'_>) -> Norm {
        Norm::init(self.norm, self.width, self.has_norm_biases(), self.norm_epsilon, initializer)
    }

    /// A projection that does not end in the residual stream.
    pub(super) fn projection(&self, shape: [usize; 2], bias: bool, initializer: &mut Initializer<'_>) -> Projection {
        projection(shape, bias, DEVIATION, initializer)
    }

    /// A projection whose output is added to the residual stream: 2 layers of them add up to the variance of one.
    pub(super) fn residual_projection(
        &self,
        shape: [usize; 2],
        bias: bool,
        initializer: &mut Initializer<'_>,
    ) -> Projection {
        projection(shape, bias, DEVIATION / (2.0 * self.layers as f64).sqrt(), initializer)
    }
}

fn projection(shape: [usize; 2], bias: bool, deviation: f64, initializer: &mut Initializer<'_>) -> Projection {
    let weight = Weight::Parameter(initializer.normal(shape, deviation));
    Projection { weight, narrow: None, bias: bias.then(|| initializer.constant([shape[1]], 0.0)), adapter: None }
}

impl Transformer {
    /// Logits for the token after each token of a window; with a cache, the window follows the tokens in it.
    ///
    /// # Shapes
    /// - `tokens`: `[B, T]`, of which row r has `lengths[r]` tokens and then padding, whose logits mean nothing
    /// - output: `[B, T, V]`
    ///
    /// # Panics
    /// When the lengths do not fit the window, a row is longer than the context, with its tokens in the cache, or the
    /// cache is for another number of rows or blocks.
    pub fn forward(
        &self,
        tokens: Tensor<2, Int>,
        lengths: &[usize],
        cache: Option<KeyValueCache>,
    ) -> (Tensor<3>, Option<KeyValueCache>) {
        let [rows, steps] = tokens.dims();
        let (stream, cache) = self.stream(tokens, lengths, cache, &mut Draws::none());
        (self.logits(stream).reshape([rows, steps, self.vocabulary_size()]), cache)
    }

    /// Logits `[B, V]` for the token after the last token of each row, and the cache after the window.
    ///
    /// # Panics
    /// As [`forward`](Self::forward), and when a row has no token.
    pub fn read(&self, tokens: Tensor<2, Int>, lengths: &[usize], cache: KeyValueCache) -> (Tensor<2>, KeyValueCache) {
        rows::check_not_empty(lengths);
        let [_, steps] = tokens.dims();
        let (stream, cache) = self.stream(tokens, lengths, Some(cache), &mut Draws::none());
        let Some(cache) = cache else { unreachable!("a transformer that is given a cache returns one") };
        let last = lengths.iter().enumerate().map(|(row, length)| row * steps + length - 1);
        let last = rows::indices(last, &stream.device());
        (self.logits(stream.select(0, last)), cache)
    }

    /// Loss of the token after each token of a window, `[B, T]`, nats.
    ///
    /// # Panics
    /// When the window is longer than the context, or a target isn't a token id.
    pub fn losses(&self, tokens: Tensor<2, Int>, targets: Tensor<2, Int>, draws: &mut Draws) -> Tensor<2> {
        let [rows, steps] = tokens.dims();
        assert_shape!(targets, [rows, steps]);
        let targets = targets.reshape([rows * steps]);
        let (stream, _) = self.stream(tokens, &vec![steps; rows], None, draws);
        self.losses_of(stream, targets).reshape([rows, steps])
    }

    /// The losses of targets `[N]` after what the head reads, `[N, C]`.
    pub(crate) fn losses_of(&self, stream: Tensor<2>, targets: Tensor<1, Int>) -> Tensor<1> {
        match self.config.logit_soft_cap {
            Some(_) => cross_entropy(self.logits(stream), targets),
            None => self.output.losses(stream, &self.token_embedding, targets),
        }
    }

    /// What the head reads after each token of a window, `[B, T, C]`.
    pub(crate) fn features(&self, tokens: Tensor<2, Int>, draws: &mut Draws) -> Tensor<3> {
        let [rows, steps] = tokens.dims();
        let (stream, _) = self.stream(tokens, &vec![steps; rows], None, draws);
        stream.reshape([rows, steps, self.config.width])
    }

    /// What the head reads, `[N, C]`, and the cache after the window.
    fn stream(
        &self,
        tokens: Tensor<2, Int>,
        lengths: &[usize],
        cache: Option<KeyValueCache>,
        draws: &mut Draws,
    ) -> (Tensor<2>, Option<KeyValueCache>) {
        let [rows, steps] = tokens.dims();
        rows::check_lengths(lengths, [rows, steps]);
        let starts = cache.as_ref().map_or_else(|| vec![0; rows], |cache| cache.positions().to_vec());
        self.check(rows, &starts, lengths, cache.as_ref());
        let end = starts.iter().max().map_or(0, |start| start + steps);
        let window = self.window(steps, &starts, lengths);
        let mut stream = self.embed(tokens, &window, draws);
        // Taken out of the cache, so that each block owns its part alone and writes into it in place.
        let cache = cache.map(|cache| cache.with_room(end, self.context));
        let (mut before, cache) = cache.map_or_else(Default::default, |cache| cache.take_layers());
        let mut after = Vec::with_capacity(before.len());
        for block in &self.blocks {
            let (next, layer) = block.forward(stream, &window, before.pop_front(), draws);
            stream = next;
            after.extend(layer);
        }
        (self.final_norm.forward(stream), cache.map(|cache| cache.advanced(after, lengths)))
    }

    /// The window of rows that start at these positions.
    pub(super) fn window<'a>(&self, steps: usize, starts: &'a [usize], lengths: &'a [usize]) -> Window<'a> {
        let end = starts.iter().max().map_or(0, |start| start + steps);
        let device = self.token_embedding.weight.device();
        let [rotary, local_rotary] =
            [&self.rotary, &self.local_rotary].map(|rotary| rotary.as_ref().map(|rotary| rotary.tables(end, &device)));
        Window { rows: starts.len(), steps, starts, lengths, rotary, local_rotary }
    }

    /// What the first block reads of whole windows `[B, T]`, `[B T, C]`.
    pub(crate) fn before_blocks(&self, tokens: Tensor<2, Int>) -> Tensor<2> {
        let [rows, steps] = tokens.dims();
        let (starts, lengths) = (vec![0; rows], vec![steps; rows]);
        self.embed(tokens, &self.window(steps, &starts, &lengths), &mut Draws::none())
    }

    /// What the block `index` makes of that.
    pub(crate) fn through_block(&self, index: usize, stream: Tensor<2>, [rows, steps]: [usize; 2]) -> Tensor<2> {
        let (starts, lengths) = (vec![0; rows], vec![steps; rows]);
        self.blocks[index].forward(stream, &self.window(steps, &starts, &lengths), None, &mut Draws::none()).0
    }

    /// The logits `[B T, V]` of what the last block makes.
    pub(crate) fn after_blocks(&self, stream: Tensor<2>) -> Tensor<2> {
        self.logits(self.final_norm.forward(stream))
    }

    /// An empty cache for `rows` rows.
    pub fn cache(&self, rows: usize) -> KeyValueCache {
        let device = self.token_embedding.weight.device();
        KeyValueCache::new(&self.config, self.packs_cache, rows, self.context, &device)
    }

    /// As [`LanguageModel::with_packed_cache`](crate::LanguageModel::with_packed_cache).
    pub(crate) fn with_packed_cache(mut self) -> Result<Self, usize> {
        let width = self.config.head_width();
        self.packs_cache = width.is_multiple_of(4);
        if self.packs_cache { Ok(self) } else { Err(width) }
    }

    /// The matrices that inputs are multiplied with, by the paths of their parameters.
    pub(crate) fn matrices(&mut self) -> Vec<Matrix<'_>> {
        let table = Matrix::table("token_embedding.weight", &mut self.token_embedding.weight);
        let head = self.output.weight.as_mut().map(|weight| Matrix::projection("output.weight", weight));
        let blocks = products(&mut self.blocks).flat_map(Product::matrices);
        [table].into_iter().chain(blocks).chain(head).collect()
    }

    /// The products of the blocks.
    pub(crate) fn products(&mut self) -> Vec<Product<'_>> {
        products(&mut self.blocks).collect()
    }

    /// As [`LanguageModel::bytes_of_matrices`](crate::LanguageModel::bytes_of_matrices).
    pub(crate) fn bytes_of_matrices(&self) -> usize {
        let of_block = |block: &Block| {
            let (attention, feed_forward) = (&block.attention, &block.feed_forward);
            let projections =
                [&attention.query_key_value, &attention.output, &feed_forward.input, &feed_forward.output];
            projections.map(Projection::bytes).iter().sum::<usize>()
        };
        let head = self.output.weight.as_ref().unwrap_or(&self.token_embedding.weight);
        self.blocks.iter().map(of_block).sum::<usize>() + head.bytes()
    }

    /// Number of token ids, V.
    pub fn vocabulary_size(&self) -> usize {
        self.token_embedding.rows()
    }

    /// The longest window in tokens.
    pub fn context(&self) -> usize {
        self.context
    }

    fn check(&self, rows: usize, starts: &[usize], lengths: &[usize], cache: Option<&KeyValueCache>) {
        if let Some(cache) = cache {
            let cached_rows = cache.positions().len();
            assert_eq!(cached_rows, rows, "the key-value cache is for {cached_rows} rows, the window has {rows}");
            assert_eq!(cache.layers.len(), self.blocks.len(), "the key-value cache belongs to another model");
        }
        let context = self.context;
        for (start, length) in starts.iter().zip(lengths) {
            assert!(
                start + length <= context,
                "{length} tokens after {start} are {}, but the model reads at most {context}",
                start + length
            );
        }
    }

    /// `[B, T]` to `[N, C]`.
    pub(super) fn embed(&self, tokens: Tensor<2, Int>, window: &Window<'_>, draws: &mut Draws) -> Tensor<2> {
        let (rows, steps) = (window.rows, window.steps);
        let mut stream = self.token_embedding.forward(tokens);
        if self.config.scaled_embeddings {
            stream = stream * (self.config.width as f64).sqrt();
        }
        if let Some(table) = &self.position_embedding {
            let positions = match window.common_start() {
                Some(start) if start + steps <= self.context => table.weight.val().narrow(0, start, steps).unsqueeze(),
                _ => {
                    // Padding may stand beyond the context.
                    let position = |place: usize| (window.starts[place / steps] + place % steps).min(self.context - 1);
                    let positions = rows::indices((0..rows * steps).map(position), &stream.device());
                    table.forward(positions.reshape([rows, steps]))
                }
            };
            stream = stream + positions;
        }
        dropout(stream, self.dropout, draws.take()).reshape([rows * steps, self.config.width])
    }

    /// `[N, C]` to `[N, V]`.
    pub(crate) fn logits(&self, stream: Tensor<2>) -> Tensor<2> {
        let logits = self.output.forward(stream, &self.token_embedding);
        match self.config.logit_soft_cap {
            Some(cap) => (logits / cap).tanh() * cap,
            None => logits,
        }
    }
}

fn products(blocks: &mut [Block]) -> impl Iterator<Item = Product<'_>> {
    blocks.iter_mut().enumerate().flat_map(|(index, block)| {
        let projections = [
            ("attention.query_key_value", &mut block.attention.query_key_value),
            ("attention.output", &mut block.attention.output),
            ("feed_forward.input", &mut block.feed_forward.input),
            ("feed_forward.output", &mut block.feed_forward.output),
        ];
        projections.map(|(name, projection)| Product {
            name: format!("blocks.{index}.{name}.weight"),
            narrow_name: format!("blocks.{index}.{name}.narrow"),
            weight: &mut projection.weight,
            narrow: &mut projection.narrow,
            adapter: &mut projection.adapter,
        })
    })
}
