//! Embeddings, encoder, decoder, head.

use burn::module::Module;
use burn::tensor::{Int, Tensor};
use kiln_kernels::{Draws, dropout};

use super::attention::Span;
use super::block::{CodingBlock, norm};
use super::config::{CodingNorms, CodingPosition, EncoderDecoderConfig};
use super::positions::{distance_bias, sinusoids};
use super::state::TransformerDecoderState;
use crate::encoder_decoder::PairTokens;
use crate::initializer::Initializer;
use crate::layers::{Embedding, Head};
use crate::rows;
use crate::transformer::{Norm, RotaryPositions};
use crate::weight::Weight;

/// Standard deviation of fresh positions, as in GPT-2.
const DEVIATION: f64 = 0.02;

/// A source to the logits of a target.
#[derive(Module, Debug)]
pub struct TransformerTranslator {
    /// One row a token, `[V, C]`, of the target, and of the source where they share it.
    pub token_embedding: Embedding,
    /// The source's own.
    pub source_embedding: Option<Embedding>,
    /// One row a position of the source, `[context, C]`, with learned positions.
    pub source_positions: Option<Embedding>,
    /// The same of the target.
    pub target_positions: Option<Embedding>,
    /// A number for each bucket of distances and head, `[buckets, heads]`, with relative positions.
    pub source_distances: Option<Embedding>,
    /// The same of the target.
    pub target_distances: Option<Embedding>,
    /// The lowest first.
    pub encoder: Vec<CodingBlock>,
    /// Above the encoder, where norms stand before the parts of a block.
    pub encoder_norm: Option<Norm>,
    /// The lowest first.
    pub decoder: Vec<CodingBlock>,
    /// Above the decoder.
    pub decoder_norm: Option<Norm>,
    /// Its weight is `[C, V]`, or that of the token embedding; it has no bias.
    pub output: Head,
    rotary: Option<RotaryPositions>,
    context: usize,
    #[module(skip)]
    config: EncoderDecoderConfig,
}

impl EncoderDecoderConfig {
    /// The model with fresh weights, drawn at once.
    pub(crate) fn init(
        &self,
        vocabulary: usize,
        context: usize,
        initializer: &mut Initializer<'_>,
    ) -> TransformerTranslator {
        let is = |position: CodingPosition| self.position == position;
        let deviation = (self.width as f64).powf(-0.5);
        let mut table = |rows: usize, width: usize, deviation: f64, wanted: bool| {
            wanted.then(|| Embedding::init(rows, width, deviation, initializer))
        };
        let Some(token_embedding) = table(vocabulary, self.width, deviation, true) else {
            unreachable!("it is wanted")
        };
        let source_embedding = table(vocabulary, self.width, deviation, !self.shared_embeddings);
        let source_positions = table(context, self.width, DEVIATION, is(CodingPosition::Learned));
        let target_positions = table(context, self.width, DEVIATION, is(CodingPosition::Learned));
        let source_distances = table(self.relative_buckets, self.heads, DEVIATION, is(CodingPosition::Relative));
        let target_distances = table(self.relative_buckets, self.heads, DEVIATION, is(CodingPosition::Relative));
        let has_last = self.norm_placement == CodingNorms::Before;
        let bound = (6.0 / (self.width + vocabulary) as f64).sqrt();
        TransformerTranslator {
            token_embedding,
            source_embedding,
            source_positions,
            target_positions,
            source_distances,
            target_distances,
            encoder: (0..self.layers).map(|_| CodingBlock::init(self, false, initializer)).collect(),
            encoder_norm: has_last.then(|| norm(self, initializer)),
            decoder: (0..self.decoder_layers()).map(|_| CodingBlock::init(self, true, initializer)).collect(),
            decoder_norm: has_last.then(|| norm(self, initializer)),
            output: Head {
                weight: (!self.tied).then(|| Weight::Parameter(initializer.uniform([self.width, vocabulary], bound))),
                bias: None,
            },
            rotary: is(CodingPosition::Rotary)
                .then(|| RotaryPositions::new(context, self.head_width(), self.rotary_base, None)),
            context,
            config: self.clone(),
        }
    }
}

impl TransformerTranslator {
    /// The state before the first token of a target, with its source read: `sources` `[B, S]`, of which row r has
    /// `lengths[r]` tokens and then padding.
    ///
    /// # Panics
    /// When the lengths do not fit the sources, a source has no token, or one is longer than the context.
    pub(crate) fn encode(&self, sources: Tensor<2, Int>, lengths: &[usize]) -> TransformerDecoderState {
        let source = self.read_source(sources, lengths, &mut Draws::none());
        TransformerDecoderState::new(source, lengths.to_vec(), self.context)
    }

    /// The state before the first token of a target that has no source: there is one key, and its value is zero.
    pub(crate) fn without_source(&self, rows: usize) -> TransformerDecoderState {
        let nothing = || Tensor::zeros([rows, 1, 2 * self.config.width], &self.token_embedding.weight.device());
        TransformerDecoderState::new(self.decoder.iter().map(|_| nothing()).collect(), vec![1; rows], self.context)
    }

    /// What the head reads of the targets of pairs, `[N, C]`.
    pub(crate) fn features_of_pairs(&self, pairs: &PairTokens, draws: &mut Draws) -> Tensor<2> {
        let source = self.read_source(pairs.sources.clone(), &pairs.source_lengths, draws);
        let starts = vec![0; pairs.source_lengths.len()];
        self.write_target(pairs.inputs.clone(), &starts, (&source, &pairs.source_lengths), None, draws).0
    }

    /// Losses `[N]` of what the head reads, without more logits at once than there should be.
    pub(crate) fn losses_of(&self, features: Tensor<2>, targets: Tensor<1, Int>) -> Tensor<1> {
        self.output.losses(features, &self.token_embedding, targets)
    }

    /// How much each token that is written looks at each of the source, in each head of each block of the decoder,
    /// `[heads, T, S]` a block: `source` `[1, S]`, and what the decoder reads, `[1, T]`.
    ///
    /// # Panics
    /// When one is longer than the context.
    pub(crate) fn cross_attention_weights(&self, source: Tensor<2, Int>, inputs: Tensor<2, Int>) -> Vec<Tensor<3>> {
        let ([_, keys], [_, steps]) = (source.dims(), inputs.dims());
        let draws = &mut Draws::none();
        let source = self.read_source(source, &[keys], draws);
        let lengths = [steps];
        let span = self.span(&[0], &lengths, steps, steps, true);
        let mut stream = self.embed(inputs, &[0], true, draws);
        let mut weights = Vec::new();
        for (block, source) in self.decoder.iter().zip(source) {
            weights.extend(block.cross_weights(stream.clone(), &span, source.clone()));
            stream = block.forward(stream, &span, Some((source, &[keys])), None, draws).0;
        }
        weights
    }

    /// The keys and values of sources for each block of the decoder.
    fn read_source(&self, sources: Tensor<2, Int>, lengths: &[usize], draws: &mut Draws) -> Vec<Tensor<3>> {
        let [rows, steps] = sources.dims();
        rows::check_lengths(lengths, [rows, steps]);
        rows::check_not_empty(lengths);
        let starts = vec![0; rows];
        let span = self.span(&starts, lengths, steps, steps, false);
        let mut stream = self.embed(sources, &starts, false, draws);
        for block in &self.encoder {
            stream = block.forward(stream, &span, None, None, draws).0;
        }
        let memory = normed(self.encoder_norm.as_ref(), stream);
        let attentions = self.decoder.iter().flat_map(|block| &block.cross_attention);
        attentions.map(|attention| attention.keys_and_values(memory.clone(), rows, draws)).collect()
    }

    /// What the head reads after more tokens of targets, `[N, C]`, and the state after them.
    pub(crate) fn continue_target(
        &self,
        tokens: Tensor<2, Int>,
        lengths: &[usize],
        state: TransformerDecoderState,
    ) -> (Tensor<2>, TransformerDecoderState) {
        let [_, steps] = tokens.dims();
        let starts = state.positions().to_vec();
        let room = starts.iter().max().map_or(0, |start| start + steps);
        let mut state = state.with_room(room, self.context);
        let layers = std::mem::take(&mut state.layers);
        let source = (&state.source[..], &state.source_lengths[..]);
        let (stream, layers) = self.write_target(tokens, &starts, source, Some(layers), &mut Draws::none());
        (stream, state.advanced(layers, lengths))
    }

    /// What the head reads after tokens of targets that start at these positions, `[N, C]`, and the caches after them.
    fn write_target(
        &self,
        tokens: Tensor<2, Int>,
        starts: &[usize],
        (source, source_lengths): (&[Tensor<3>], &[usize]),
        caches: Option<Vec<Tensor<3>>>,
        draws: &mut Draws,
    ) -> (Tensor<2>, Vec<Tensor<3>>) {
        let [rows, steps] = tokens.dims();
        assert_eq!(source.len(), self.decoder.len(), "the state belongs to another model");
        let keys = caches.as_ref().and_then(|caches| caches.first()).map_or(steps, |cache| cache.dims()[1]);
        let lengths = vec![steps; rows];
        let span = self.span(starts, &lengths, steps, keys, true);
        let mut stream = self.embed(tokens, starts, true, draws);
        let mut before = caches.map(Vec::into_iter);
        let mut after = Vec::new();
        for (block, source) in self.decoder.iter().zip(source) {
            let cache = before.as_mut().and_then(Iterator::next);
            let (next, cache) = block.forward(stream, &span, Some((source.clone(), source_lengths)), cache, draws);
            stream = next;
            after.extend(cache);
        }
        (normed(self.decoder_norm.as_ref(), stream), after)
    }

    /// What the blocks of a half share.
    fn span<'a>(
        &self,
        starts: &'a [usize],
        lengths: &'a [usize],
        steps: usize,
        keys: usize,
        is_target: bool,
    ) -> Span<'a> {
        let end = starts.iter().max().map_or(0, |start| start + steps);
        let device = self.token_embedding.weight.device();
        let table = if is_target { &self.target_distances } else { &self.source_distances };
        let is_common = starts.iter().all(|start| Some(start) == starts.first());
        let rows_of_bias = if is_common { &starts[..1.min(starts.len())] } else { starts };
        let bias = |table| distance_bias(table, &self.config, rows_of_bias, [steps, keys], is_target);
        Span {
            rows: starts.len(),
            steps,
            starts,
            lengths,
            rotary: self.rotary.as_ref().map(|rotary| rotary.tables(end, &device)),
            bias: table.as_ref().map(bias),
        }
    }

    /// `[B, T]` to `[N, C]`.
    fn embed(&self, tokens: Tensor<2, Int>, starts: &[usize], is_target: bool, draws: &mut Draws) -> Tensor<2> {
        let ([rows, steps], width) = (tokens.dims(), self.config.width);
        let table = match &self.source_embedding {
            Some(own) if !is_target => own,
            _ => &self.token_embedding,
        };
        let mut stream = table.forward(tokens);
        if self.config.scaled_embeddings {
            stream = stream * (width as f64).sqrt();
        }
        // Padding may stand beyond the context.
        let position = |start: usize, step: usize| (start + step).min(self.context - 1);
        let positions = starts.iter().flat_map(|start| (0..steps).map(move |step| position(*start, step)));
        let learned = if is_target { &self.target_positions } else { &self.source_positions };
        let is_common = starts.iter().all(|start| Some(start) == starts.first());
        let distinct = if is_common { 1.min(rows) } else { rows };
        let positions = positions.take(distinct * steps);
        let device = stream.device();
        let added = match (learned, self.config.position) {
            (Some(table), _) => Some(table.forward(rows::indices(positions, &device).reshape([distinct, steps]))),
            (None, CodingPosition::Sinusoidal) => {
                Some(sinusoids(positions, width, &device).reshape([distinct, steps, width]))
            }
            (None, _) => None,
        };
        let stream = added.map(|added| stream.clone() + added).unwrap_or(stream);
        dropout(stream, self.config.dropout, draws.take()).reshape([rows * steps, width])
    }

    /// `[N, C]` to `[N, V]`.
    pub(crate) fn logits(&self, stream: Tensor<2>) -> Tensor<2> {
        self.output.forward(stream, &self.token_embedding)
    }

    /// What the head reads after each token of targets without a source, `[B, T, C]`.
    pub(crate) fn features(&self, tokens: Tensor<2, Int>, draws: &mut Draws) -> Tensor<3> {
        let [rows, steps] = tokens.dims();
        let nothing = self.without_source(rows);
        let source = (&nothing.source[..], &nothing.source_lengths[..]);
        let (stream, _) = self.write_target(tokens, &vec![0; rows], source, None, draws);
        stream.reshape([rows, steps, self.config.width])
    }

    /// The longest source, and the longest target, in tokens.
    pub(crate) fn context(&self) -> usize {
        self.context
    }
}

fn normed(norm: Option<&Norm>, stream: Tensor<2>) -> Tensor<2> {
    match norm {
        Some(norm) => norm.forward(stream),
        None => stream,
    }
}
