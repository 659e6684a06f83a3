use burn::module::Module;
use burn::tensor::activation::log_softmax;
use burn::tensor::{Device, Int, Tensor, TensorData};
use kiln_kernels::Draws;

use crate::recurrent::{Activation, GruConfig, LstmConfig, RnnConfig};
use crate::reference::with_fixed_weights;
use crate::transformer::{
    AttentionLayer, FeedForwardActivation, NormKind, NormPlacement, PositionKind, QueryKeyNormSpan, TransformerConfig,
};
use crate::{LanguageModel, ModelConfig, State};

mod documents;
mod fixtures;
mod parameters;
mod rows;

const VOCABULARY: usize = 11;
const CONTEXT: usize = 12;
const ROWS: usize = 2;

/// Every kind of model, and every option at least once.
fn configurations() -> Vec<(&'static str, ModelConfig)> {
    let rnn = RnnConfig { hidden: 16, ..RnnConfig::default() };
    let lstm = LstmConfig { hidden: 16, ..LstmConfig::default() };
    let gru = GruConfig { hidden: 16, ..GruConfig::default() };
    let gpt2 = TransformerConfig {
        layers: 2,
        heads: 4,
        width: 16,
        bias: true,
        activation: FeedForwardActivation::GeluTanh,
        ..TransformerConfig::default()
    };
    let nanogpt = TransformerConfig { bias: false, activation: FeedForwardActivation::Gelu, ..gpt2.clone() };
    let llama = TransformerConfig {
        key_value_heads: Some(2),
        position: PositionKind::Rotary,
        norm: NormKind::Rms,
        activation: FeedForwardActivation::Swiglu,
        tied: false,
        ..nanogpt.clone()
    };
    let capped = TransformerConfig {
        key_value_heads: Some(1),
        activation: FeedForwardActivation::ReluSquared,
        query_key_norm: true,
        attention_soft_cap: Some(5.0),
        logit_soft_cap: Some(2.0),
        ..llama.clone()
    };
    let normed = TransformerConfig { query_key_norm: true, logit_soft_cap: Some(2.0), ..gpt2.clone() };
    let rotary = TransformerConfig { position: PositionKind::Rotary, ..nanogpt.clone() };
    let neox = TransformerConfig { rotary_fraction: 0.5, parallel_residual: true, tied: false, ..rotary.clone() };
    let gemma = TransformerConfig {
        layers: 3,
        activation: FeedForwardActivation::GegluTanh,
        norm_placement: NormPlacement::Both,
        attention_window: Some(3),
        layer_pattern: Some(vec![AttentionLayer::Local, AttentionLayer::Global]),
        local_rotary_base: Some(100.0),
        attention_scale: Some(0.7),
        scaled_embeddings: true,
        query_key_norm: true,
        attention_soft_cap: Some(5.0),
        tied: true,
        ..llama.clone()
    };
    let olmo = TransformerConfig {
        norm_placement: NormPlacement::After,
        norm_bias: Some(true),
        norm: NormKind::Layer,
        query_key_norm: true,
        query_key_norm_over: QueryKeyNormSpan::AllHeads,
        layer_pattern: Some(vec![AttentionLayer::Unrotated, AttentionLayer::Global]),
        ..llama.clone()
    };
    let local = TransformerConfig { attention_window: Some(4), ..gpt2.clone() };
    vec![
        ("rnn", ModelConfig::Rnn(RnnConfig { embedding: Some(8), ..rnn.clone() })),
        ("rnn with relu", ModelConfig::Rnn(RnnConfig { activation: Activation::Relu, layers: 1, ..rnn })),
        ("lstm", ModelConfig::Lstm(LstmConfig { embedding: Some(8), layers: 3, ..lstm.clone() })),
        (
            "lstm with tied head and dropout",
            ModelConfig::Lstm(LstmConfig { tied: true, dropout: 0.5, output_dropout: 0.5, ..lstm }),
        ),
        ("gru", ModelConfig::Gru(GruConfig { embedding: Some(8), ..gru.clone() })),
        ("gru with tied head", ModelConfig::Gru(GruConfig { tied: true, ..gru })),
        ("gpt-2", ModelConfig::Transformer(gpt2)),
        ("nanogpt with dropout", ModelConfig::Transformer(TransformerConfig { dropout: 0.5, ..nanogpt })),
        ("llama", ModelConfig::Transformer(llama)),
        ("llama with norms, caps and squared relu", ModelConfig::Transformer(capped)),
        ("gpt-2 with query-key norm", ModelConfig::Transformer(normed)),
        ("gpt-2 with rotary positions", ModelConfig::Transformer(rotary)),
        ("gpt-neox", ModelConfig::Transformer(neox)),
        ("gemma", ModelConfig::Transformer(gemma)),
        ("olmo 2 with unrotated layers and layer norms", ModelConfig::Transformer(olmo)),
        ("gpt-2 with a window", ModelConfig::Transformer(local)),
    ]
}

/// Every configuration as a model with fixed weights, large enough that a mistake anywhere moves the logits.
fn for_each_model(mut check: impl FnMut(&str, &LanguageModel)) {
    for (name, config) in configurations() {
        assert_eq!(config.validate(), Vec::new(), "{name}");
        check(name, &with_fixed_weights(config.init(VOCABULARY, CONTEXT, 1, &Device::flex())));
    }
}

/// Every configuration without dropout as a model with fixed weights that can be trained.
fn for_each_training_model(mut check: impl FnMut(&str, &LanguageModel)) {
    for (name, config) in configurations().into_iter().filter(|(name, _)| !name.contains("dropout")) {
        check(name, &with_fixed_weights(config.init(VOCABULARY, CONTEXT, 1, &Device::flex().autodiff())));
    }
}

/// A row of tokens for each row, `[ROWS, steps]`, the same at every call.
fn tokens(steps: usize) -> Tensor<2, Int> {
    let values: Vec<i32> = (0..ROWS * CONTEXT).map(|index| ((index * index + 3 * index) % VOCABULARY) as i32).collect();
    let all = Tensor::<2, Int>::from_data(TensorData::new(values, [ROWS, CONTEXT]), &Device::flex());
    all.narrow(1, 0, steps)
}

fn assert_close<const D: usize>(name: &str, actual: &Tensor<D>, expected: &Tensor<D>) {
    let largest = (actual.clone() - expected.clone()).abs().max().into_scalar::<f32>();
    assert!(largest < 1e-5, "{name}: off by {largest}");
}

/// The logits of `tokens` read one by one, `[ROWS, T, V]`.
fn step_by_step(model: &LanguageModel, tokens: Tensor<2, Int>, mut state: State) -> Tensor<3> {
    let mut logits = Vec::new();
    for position in 0..tokens.dims()[1] {
        let token = tokens.clone().narrow(1, position, 1).squeeze_dim(1);
        let (next, after) = model.step(token, state);
        logits.push(next);
        state = after;
    }
    Tensor::stack(logits, 1)
}

#[test]
fn one_step_at_a_time_equals_the_whole_window() {
    for_each_model(|name, model| {
        let (whole, _) = model.forward(tokens(CONTEXT), None);
        let steps = step_by_step(model, tokens(CONTEXT), model.initial_state(ROWS));
        assert_close(name, &steps, &whole);
    });
}

#[test]
fn two_windows_with_carried_state_equal_one_long_window() {
    for_each_model(|name, model| {
        let (whole, _) = model.forward(tokens(CONTEXT), None);
        for first in [1, 5, 11] {
            let (before, state) = model.forward(tokens(first), Some(model.initial_state(ROWS)));
            let rest = tokens(CONTEXT).narrow(1, first, CONTEXT - first);
            let (after, _) = model.forward(rest, state);
            assert_close(name, &Tensor::cat(vec![before, after], 1), &whole);
        }
    });
}

#[test]
fn a_window_and_then_single_steps_equal_one_long_window() {
    for_each_model(|name, model| {
        let (whole, _) = model.forward(tokens(CONTEXT), None);
        let (before, state) = model.forward(tokens(7), Some(model.initial_state(ROWS)));
        let rest = tokens(CONTEXT).narrow(1, 7, CONTEXT - 7);
        let after = step_by_step(model, rest, state.expect("a state comes back for a state"));
        assert_close(name, &Tensor::cat(vec![before, after], 1), &whole);
    });
}

#[test]
fn later_tokens_never_change_earlier_logits() {
    let (kept, rest) = (6, CONTEXT - 6);
    for_each_training_model(|name, training| {
        for model in [training.clone(), training.valid()] {
            let tokens = tokens(CONTEXT).to_device(&model.device());
            let other = (tokens.clone() + 1).remainder_scalar(VOCABULARY as i32).narrow(1, kept, rest);
            let changed = Tensor::cat(vec![tokens.clone().narrow(1, 0, kept), other], 1);
            let logits = model.forward(tokens, None).0;
            let other_logits = model.forward(changed, None).0;
            let before = |logits: &Tensor<3>| logits.clone().narrow(1, 0, kept).to_data();
            assert_eq!(before(&logits), before(&other_logits), "{name}");
            let difference = (logits - other_logits).narrow(1, kept, rest).abs();
            let least = difference.max_dim(2).min().into_scalar::<f32>();
            assert!(least > 1e-4, "{name}: the changed tokens count from their own position on, moved {least}");
        }
    });
}

#[test]
fn rows_do_not_see_each_other() {
    for_each_model(|name, model| {
        let (both, _) = model.forward(tokens(CONTEXT), None);
        let (second, _) = model.forward(tokens(CONTEXT).narrow(0, 1, 1), None);
        assert_close(name, &second, &both.narrow(0, 1, 1));
    });
}

#[test]
fn autodiff_does_not_change_the_logits() {
    for_each_training_model(|name, training| {
        let (expected, _) = training.valid().forward(tokens(CONTEXT), None);
        let (logits, _) = training.forward(tokens(CONTEXT).to_device(&training.device()), None);
        assert_close(name, &logits.inner(), &expected);
    });
}

/// The losses of a window, and the state after it.
fn losses(model: &LanguageModel, mut draws: Draws) -> (TensorData, Option<State>) {
    let device = model.device();
    let [tokens, targets] = [tokens(CONTEXT), tokens(CONTEXT).flip([1])].map(|tokens| tokens.to_device(&device));
    let (losses, state) = model.losses(tokens, targets, None, &mut draws);
    (losses.to_data(), state)
}

#[test]
fn losses_are_those_of_the_logits() {
    for_each_model(|name, model| {
        let (found, _) = losses(model, Draws::none());
        let logits = model.forward(tokens(CONTEXT), None).0;
        let targets = tokens(CONTEXT).flip([1]).unsqueeze_dim::<3>(2);
        let expected = log_softmax(logits, 2).gather(2, targets).squeeze_dim::<2>(2).neg();
        assert_close(name, &Tensor::from_data(found, &Device::flex()), &expected);
    });
}

#[test]
fn dropout_acts_where_there_are_draws_and_the_same_seed_drops_the_same() {
    for (name, config) in configurations().into_iter().filter(|(name, _)| name.contains("dropout")) {
        let model = config.init(VOCABULARY, CONTEXT, 1, &Device::flex().autodiff());
        let with_seed = |seed: u64| losses(&model, Draws::from_seed(seed)).0;
        assert_eq!(losses(&model, Draws::none()).0, losses(&model.valid(), Draws::none()).0, "{name}");
        assert_eq!(with_seed(1), with_seed(1), "{name}");
        assert_ne!(with_seed(1), with_seed(2), "{name}");
        assert_ne!(with_seed(1), losses(&model, Draws::none()).0, "{name}");
    }
}

#[test]
fn dropout_acts_between_layers_and_before_the_head_but_never_on_the_state() {
    let between = LstmConfig { hidden: 16, dropout: 0.5, ..LstmConfig::default() };
    let at_the_end = LstmConfig { hidden: 16, output_dropout: 0.5, ..LstmConfig::default() };
    for (config, moved) in [(between, [false, true]), (at_the_end, [false, false])] {
        let model = ModelConfig::Lstm(config).init(VOCABULARY, CONTEXT, 1, &Device::flex());
        let read = |draws: Draws| {
            let (losses, state) = losses(&model, draws);
            let Some(State::Recurrent(state)) = state else { panic!("a recurrent model returns its state") };
            (losses, state.layers.into_iter().map(|layer| layer.hidden.to_data()).collect::<Vec<_>>())
        };
        let ((losses, dropped), (expected_losses, kept)) = (read(Draws::from_seed(1)), read(Draws::none()));
        assert_ne!(losses, expected_losses);
        for (layer, moved) in moved.into_iter().enumerate() {
            let change = largest_difference(&dropped[layer], &kept[layer]);
            assert_eq!(change > 1e-5, moved, "layer {layer} is off by {change}");
        }
    }
}

fn largest_difference(left: &TensorData, right: &TensorData) -> f64 {
    left.iter::<f64>().zip(right.iter::<f64>()).map(|(left, right)| (left - right).abs()).fold(0.0, f64::max)
}

#[test]
fn a_detached_state_keeps_its_numbers_and_cuts_the_gradient() {
    for_each_training_model(|name, model| {
        if !model.carries_state_between_windows() {
            return;
        }
        let device = model.device();
        // Token 0 occurs in the first window only, so its embedding has a gradient only through the state.
        let window = |token: i32| Tensor::<2, Int>::full([ROWS, 3], token, &device);
        let gradient_of_first = |detached: bool| {
            let state = model.forward(window(0), None).1.expect("a recurrent model returns its state");
            let state = if detached { state.detach() } else { state };
            let (logits, _) = model.forward(window(1), Some(state));
            let gradients = logits.clone().narrow(2, 2, 3).sum().backward();
            let embedding = parameters::embedding(model).grad(&gradients).expect("the embedding is used");
            (logits.to_data(), embedding.narrow(0, 0, 1).abs().sum().into_scalar::<f32>())
        };
        let (through, some) = gradient_of_first(false);
        let (cut, none) = gradient_of_first(true);
        assert_eq!(through, cut, "{name}");
        let tied = name.contains("tied");
        assert!(some > 0.0 && (none == 0.0 || tied), "{name}: {some} and {none}");
    });
}

#[test]
fn a_model_and_its_configuration_give_the_same_answers() {
    for (name, config) in configurations() {
        let model = config.init(VOCABULARY, CONTEXT, 1, &Device::flex());
        assert_eq!(model.carries_state_between_windows(), config.carries_state_between_windows(), "{name}");
        assert_eq!(model.vocabulary_size(), VOCABULARY, "{name}");
        // What carries a state reads texts of any length; nothing else has to forget.
        assert_eq!(model.longest_window().is_none(), config.carries_state_between_windows(), "{name}");
    }
}

#[test]
#[should_panic(expected = "13 tokens after 0 are 13, but the model reads at most 12")]
fn a_window_longer_than_the_context_is_refused() {
    let model =
        ModelConfig::Transformer(TransformerConfig { layers: 1, heads: 1, width: 4, ..TransformerConfig::default() });
    let model = model.init(VOCABULARY, CONTEXT, 1, &Device::flex());
    model.forward(Tensor::zeros([1, 13], &Device::flex()), None);
}

#[test]
#[should_panic(expected = "2 tokens after 11 are 13, but the model reads at most 12")]
fn tokens_beyond_the_context_are_refused() {
    let model =
        ModelConfig::Transformer(TransformerConfig { layers: 1, heads: 1, width: 4, ..TransformerConfig::default() });
    let model = model.init(VOCABULARY, CONTEXT, 1, &Device::flex());
    let (_, state) = model.forward(tokens(11), Some(model.initial_state(ROWS)));
    model.forward(tokens(2), state);
}

#[test]
#[should_panic(expected = "the key-value cache is for 3 rows, the window has 2")]
fn a_cache_for_another_number_of_rows_is_refused() {
    let model =
        ModelConfig::Transformer(TransformerConfig { layers: 1, heads: 1, width: 4, ..TransformerConfig::default() });
    let model = model.init(VOCABULARY, CONTEXT, 1, &Device::flex());
    model.forward(tokens(2), Some(model.initial_state(3)));
}

#[test]
#[should_panic(expected = "a transformer was given the state of a recurrent model")]
fn the_state_of_another_kind_of_model_is_refused() {
    let (recurrent, transformer) =
        (ModelConfig::Gru(GruConfig::default()), ModelConfig::Transformer(TransformerConfig::default()));
    let state = recurrent.init(VOCABULARY, CONTEXT, 1, &Device::flex()).initial_state(ROWS);
    transformer.init(VOCABULARY, CONTEXT, 1, &Device::flex()).forward(tokens(2), Some(state));
}
