use burn::optim::GradientsParams;
use burn::tensor::{TensorData, Tolerance};
use kiln_parameters::{catalogue, flat_gradients};

use super::*;
use crate::reference::{Fixture, with_fixed_weights};
use crate::transformer::{FeedForwardActivation, NormKind};
use crate::{LanguageModel, ModelConfig};

const VOCABULARY: usize = 7;
const CONTEXT: usize = 12;

fn small() -> EncoderDecoderConfig {
    let (width, feed_forward) = (8, Some(12));
    EncoderDecoderConfig { layers: 2, decoder_layers: Some(1), heads: 2, width, feed_forward, ..Default::default() }
}

/// Every position, norm and place of them, tables shared or not, and gates.
fn configurations() -> Vec<ModelConfig> {
    let transformers = transformers().map(ModelConfig::EncoderDecoder);
    transformers.into_iter().chain(recurrent().map(ModelConfig::RecurrentEncoderDecoder)).collect()
}

/// Those of `scripts/reference/encoder_decoder.py`: a GRU in both directions with attention, an LSTM without, and a
/// deep GRU with it.
fn recurrent() -> [RecurrentEncoderDecoderConfig; 3] {
    let gru = RecurrentEncoderDecoderConfig {
        hidden: 4,
        embedding: Some(3),
        attention_width: Some(5),
        ..RecurrentEncoderDecoderConfig::default()
    };
    [
        gru.clone(),
        RecurrentEncoderDecoderConfig {
            cell: TranslatorCell::Lstm,
            layers: 2,
            bidirectional: false,
            attention: false,
            attention_width: None,
            shared_embeddings: false,
            ..gru.clone()
        },
        RecurrentEncoderDecoderConfig { layers: 2, shared_embeddings: false, ..gru },
    ]
}

fn transformers() -> [EncoderDecoderConfig; 4] {
    let dropout = 0.0;
    [
        EncoderDecoderConfig { dropout, ..small() },
        EncoderDecoderConfig {
            position: CodingPosition::Learned,
            norm_placement: CodingNorms::Before,
            shared_embeddings: false,
            tied: false,
            dropout,
            ..small()
        },
        EncoderDecoderConfig {
            position: CodingPosition::Rotary,
            norm: NormKind::Rms,
            activation: FeedForwardActivation::Swiglu,
            bias: false,
            dropout,
            decoder_layers: Some(2),
            ..small()
        },
        EncoderDecoderConfig {
            position: CodingPosition::Relative,
            relative_buckets: 8,
            relative_distance: 6,
            norm_placement: CodingNorms::Before,
            scaled_embeddings: false,
            decoder_layers: None,
            dropout,
            ..small()
        },
    ]
}

fn model(config: &ModelConfig, device: &Device) -> EncoderDecoder {
    match with_fixed_weights(config.init(VOCABULARY, CONTEXT, 1, device)) {
        LanguageModel::EncoderDecoder(model) => model,
        other => panic!("{other:?} is no encoder-decoder"),
    }
}

fn tokens(rows: &[&[i32]], padding: i32, columns: usize, device: &Device) -> Tensor<2, Int> {
    let padded = |row: &&[i32]| {
        let more = std::iter::repeat_n(padding, columns - row.len());
        row.iter().copied().chain(more).collect::<Vec<i32>>()
    };
    let ids: Vec<i32> = rows.iter().flat_map(padded).collect();
    Tensor::from_data(TensorData::new(ids, [rows.len(), columns]), device)
}

const SOURCES: [&[i32]; 3] = [&[3, 1, 4, 1, 0], &[5, 0], &[2, 6, 5, 0]];
const TARGETS: [&[i32]; 3] = [&[0, 2, 5, 1, 6, 4], &[0, 4, 1], &[0, 1, 1, 3]];

fn lengths(rows: &[&[i32]]) -> Vec<usize> {
    rows.iter().map(|row| row.len()).collect()
}

/// The logits of targets, `[B, T, V]`, with these paddings.
fn logits(model: &EncoderDecoder, padding: i32, columns: [usize; 2]) -> Tensor<3> {
    let device = model.device();
    let state = model.encode(tokens(&SOURCES, padding, columns[0], &device), &lengths(&SOURCES));
    model.forward(tokens(&TARGETS, padding, columns[1], &device), &lengths(&TARGETS), state).0
}

/// Those of the tokens of one row, without padding.
fn of_row(logits: &Tensor<3>, row: usize) -> Vec<f32> {
    let part = logits.clone().narrow(0, row, 1).narrow(1, 0, TARGETS[row].len());
    part.into_data().iter().collect()
}

fn assert_close(found: &[f32], expected: &[f32]) {
    let data = |numbers: &[f32]| TensorData::new(numbers.to_vec(), [numbers.len()]);
    data(found).assert_approx_eq::<f32>(&data(expected), Tolerance::absolute(1e-5));
}

fn check_fixture(name: &str, config: ModelConfig, smoothing: f64) {
    let device = Device::flex().autodiff();
    let fixture = Fixture::read(name);
    let LanguageModel::EncoderDecoder(model) = with_fixed_weights(config.init(VOCABULARY, 6, 1, &device)) else {
        panic!("it is an encoder-decoder")
    };
    let (source_lengths, target_lengths) = (vec![5, 3, 4], [4, 2, 4]);
    let state = model.encode(fixture.tokens("sources", &device), &source_lengths);
    let (logits, _) = model.forward(fixture.tokens("inputs", &device), &[4; 3], state);
    fixture.check_output("logits", &logits);

    let pairs = PairTokens {
        sources: fixture.tokens("sources", &device),
        source_lengths,
        inputs: fixture.tokens("inputs", &device),
        targets: fixture.tokens("targets", &device),
    };
    let losses = model.losses(pairs, smoothing, &mut Draws::none());
    fixture.check_output("losses", &losses);
    let counts = target_lengths.iter().flat_map(|length| (0..4).map(move |step| f32::from(u8::from(step < *length))));
    let counts = Tensor::<2>::from_data(TensorData::new(counts.collect::<Vec<f32>>(), [3, 4]), &device);
    fixture.check_parameter_gradients(&model, 0, &(losses * counts).sum().backward());
}

#[test]
fn the_transformer_of_the_paper_agrees_with_pytorch() {
    let config = EncoderDecoderConfig { dropout: 0.0, ..small() };
    check_fixture("encoder_decoder_after", ModelConfig::EncoderDecoder(config), 0.0);
}

#[test]
fn one_with_norms_before_its_parts_and_smoothed_labels_agrees_with_pytorch() {
    let config = EncoderDecoderConfig { activation: FeedForwardActivation::Gelu, ..transformers()[1].clone() };
    let config = EncoderDecoderConfig { scaled_embeddings: false, ..config };
    check_fixture("encoder_decoder_before", ModelConfig::EncoderDecoder(config), 0.1);
}

#[test]
fn recurrent_ones_agree_with_pytorch() {
    let [gru, lstm, deep] = recurrent().map(ModelConfig::RecurrentEncoderDecoder);
    check_fixture("encoder_decoder_recurrent_gru", gru, 0.0);
    check_fixture("encoder_decoder_recurrent_lstm", lstm, 0.0);
    check_fixture("encoder_decoder_recurrent_deep", deep, 0.0);
}

#[test]
fn padding_changes_no_bit_and_a_row_is_what_it_is_alone() {
    let device = Device::flex();
    for config in configurations() {
        let model = model(&config, &device);
        let (plain, other, wider) = (logits(&model, 0, [5, 6]), logits(&model, 6, [5, 6]), logits(&model, 3, [9, 8]));
        for row in 0..3 {
            let expected = of_row(&plain, row);
            assert_eq!(of_row(&other, row), expected, "{config:?}");
            assert_eq!(of_row(&wider, row), expected, "{config:?}");
            let source = tokens(&SOURCES[row..=row], 0, SOURCES[row].len(), &device);
            let target = tokens(&TARGETS[row..=row], 0, TARGETS[row].len(), &device);
            let state = model.encode(source, &lengths(&SOURCES[row..=row]));
            let (alone, _) = model.forward(target, &lengths(&TARGETS[row..=row]), state);
            assert_close(&alone.into_data().iter().collect::<Vec<f32>>(), &expected);
        }
    }
}

#[test]
fn token_by_token_with_the_cache_equals_the_whole_target() {
    let device = Device::flex();
    for config in configurations() {
        let model = model(&config, &device);
        let whole = logits(&model, 0, [5, 6]);
        // The rows are one token apart, so that each has its own position.
        let mut state = model.encode(tokens(&SOURCES, 0, 5, &device), &lengths(&SOURCES));
        let mut found = [Vec::new(), Vec::new(), Vec::new()];
        for step in 0..6 {
            let reading: Vec<usize> = (0..3).filter(|row| step >= *row && step - row < TARGETS[*row].len()).collect();
            let ids: Vec<i32> = reading.iter().map(|row| TARGETS[*row][step - row]).collect();
            let read = Tensor::<2, Int>::from_data(TensorData::new(ids, [reading.len(), 1]), &device);
            let (last, after) = model.read(read, &vec![1; reading.len()], state.take_rows(&reading));
            state = state.put_rows(&reading, after);
            for (row, numbers) in
                reading.iter().zip(last.into_data().iter::<f32>().collect::<Vec<_>>().chunks(VOCABULARY))
            {
                found[*row].extend_from_slice(numbers);
            }
        }
        (0..3).for_each(|row| assert_close(&found[row], &of_row(&whole, row)));
        assert_eq!(state.positions(), [6, 3, 4]);
    }
}

#[test]
fn the_losses_are_those_of_the_logits_and_every_parameter_has_a_gradient() {
    let device = Device::flex().autodiff();
    for config in configurations() {
        let model = model(&config, &device);
        let pairs = || PairTokens {
            sources: tokens(&SOURCES, 0, 5, &device),
            source_lengths: lengths(&SOURCES),
            inputs: tokens(&TARGETS, 0, 6, &device),
            targets: tokens(&TARGETS, 1, 6, &device),
        };
        let losses = model.losses(pairs(), 0.0, &mut Draws::none());
        // Padding of a target is read as a token, whose loss nobody counts.
        let state = model.encode(tokens(&SOURCES, 0, 5, &device), &lengths(&SOURCES));
        let (logits, _) = model.forward(tokens(&TARGETS, 0, 6, &device), &[6; 3], state);
        let expected = burn::tensor::activation::log_softmax(logits, 2)
            .gather(2, tokens(&TARGETS, 1, 6, &device).unsqueeze_dim(2))
            .neg()
            .reshape([3, 6]);
        losses.clone().into_data().assert_approx_eq::<f32>(&expected.into_data(), Tolerance::absolute(1e-5));
        let gradients = GradientsParams::from_grads(losses.sum().backward(), &model);
        let norms: Vec<f32> =
            flat_gradients(&model, &gradients).into_iter().map(|gradient| gradient.abs().sum().into_scalar()).collect();
        assert_eq!(norms.len(), catalogue(&model).len());
        assert!(norms.iter().all(|norm| *norm > 0.0), "{norms:?}");
    }
}

#[test]
fn counts_by_part_are_those_of_the_module() {
    for config in configurations() {
        let model = model(&config, &Device::flex());
        let counted = config.parameters(VOCABULARY, CONTEXT);
        let sum: u64 = counted.iter().map(|part| part.count).sum();
        assert_eq!(sum, model.num_params() as u64, "{config:?}");
    }
}

#[test]
fn a_target_looks_at_all_of_its_source_in_parts_of_one() {
    let device = Device::flex();
    let config = EncoderDecoderConfig { decoder_layers: Some(3), ..transformers()[0].clone() };
    let config = ModelConfig::EncoderDecoder(config);
    let weights = model(&config, &device)
        .cross_attention_weights(tokens(&SOURCES[..1], 0, 5, &device), tokens(&TARGETS[..1], 0, 6, &device));
    assert_eq!(weights.len(), 3);
    for weights in weights {
        assert_eq!(weights.dims(), [2, 6, 5]);
        let sums: Vec<f32> = weights.sum_dim(2).into_data().iter().collect();
        assert!(sums.iter().all(|sum| (sum - 1.0).abs() < 1e-6), "{sums:?}");
    }
    let [attentive, without, _] = recurrent().map(|config| {
        let model = model(&ModelConfig::RecurrentEncoderDecoder(config), &device);
        model.cross_attention_weights(tokens(&SOURCES[..1], 0, 5, &device), tokens(&TARGETS[..1], 0, 6, &device))
    });
    assert_eq!((attentive[0].dims(), without.len()), ([1, 6, 5], 0));
}

#[test]
#[should_panic(expected = "a source of 13 tokens, but the model reads at most 12")]
fn a_source_beyond_the_context_is_refused() {
    let device = Device::flex();
    model(&ModelConfig::EncoderDecoder(small()), &device).encode(Tensor::zeros([1, 13], &device), &[13]);
}
