use burn::module::Module;
use burn::tensor::{Device, Int, Tensor, TensorData, Tolerance};

use super::model::project_rows;
use super::{
    Activation, GruConfig, GruLayer, LayerState, LstmConfig, LstmLayer, RecurrentLayer, RecurrentModel, RnnConfig,
    RnnLayer,
};
use crate::layers::Initializer;
use crate::reference::{Fixture, objective, with_fixed_weights, with_reference_weights};

/// Outputs, last state and all gradients of one layer, against the fixture.
fn check_layer(layer: impl RecurrentLayer, fixture_name: &str, names: &[&str], has_cell: bool) {
    let device = Device::flex().autodiff();
    let fixture = Fixture::read(fixture_name);
    let layer = with_reference_weights(layer, names);
    let (sequence, hidden) = (fixture.input::<3>("x", &device), fixture.input::<2>("h0", &device));
    let cell = has_cell.then(|| fixture.input::<2>("c0", &device));
    let state = LayerState { hidden: hidden.clone(), cell: cell.clone() };

    let (outputs, after) = layer.forward(project_rows(&layer, sequence.clone().swap_dims(0, 1)), state);

    let outputs = outputs.swap_dims(0, 1);
    fixture.check_output("output", &outputs);
    fixture.check_output("hidden", &after.hidden);
    let mut loss = objective(outputs, 0) + objective(after.hidden, 1);
    if let Some(cell) = after.cell {
        fixture.check_output("cell", &cell);
        loss = loss + objective(cell, 2);
    }
    let gradients = loss.backward();
    fixture.check_gradient("x", &sequence, &gradients);
    fixture.check_gradient("h0", &hidden, &gradients);
    if let Some(cell) = &cell {
        fixture.check_gradient("c0", cell, &gradients);
    }
    fixture.check_parameter_gradients(&layer, 2 + usize::from(has_cell), &gradients);
}

#[test]
fn an_elman_layer_with_tanh_agrees_with_pytorch() {
    let layer = RnnLayer::init(3, 4, Activation::Tanh, &mut Initializer::random(1, &Device::flex().autodiff()));
    check_layer(layer, "rnn_tanh", &["input_weight", "hidden_weight", "bias"], false);
}

#[test]
fn an_elman_layer_with_relu_agrees_with_pytorch() {
    let layer = RnnLayer::init(3, 4, Activation::Relu, &mut Initializer::random(1, &Device::flex().autodiff()));
    check_layer(layer, "rnn_relu", &["input_weight", "hidden_weight", "bias"], false);
}

#[test]
fn an_lstm_layer_agrees_with_pytorch() {
    let layer = LstmLayer::init(3, 4, 1.0, &mut Initializer::random(1, &Device::flex().autodiff()));
    check_layer(layer, "lstm", &["input_weight", "hidden_weight", "bias"], true);
}

#[test]
fn a_gru_layer_agrees_with_pytorch() {
    let layer = GruLayer::init(3, 4, &mut Initializer::random(1, &Device::flex().autodiff()));
    check_layer(layer, "gru", &["input_weight", "hidden_weight", "bias", "hidden_bias"], false);
}

#[test]
fn only_the_forget_gates_biases_start_at_the_configured_value() {
    let device = Device::flex();
    let layer = LstmLayer::init(3, 64, 2.5, &mut Initializer::random(1, &device));
    let bias: Vec<f32> = layer.bias.val().to_data().iter().collect();
    let bound = 1.0 / 64.0_f32.sqrt();
    assert!(bias[64..128].iter().all(|&value| value == 2.5));
    assert!(bias[..64].iter().chain(&bias[128..]).all(|value| value.abs() <= bound));
    assert_eq!(layer.num_params(), 4 * 64 * (3 + 64 + 1));
}

#[test]
#[should_panic(expected = "an LSTM was given the state of a model without memory cells")]
fn an_lstm_refuses_the_state_of_another_kind_of_layer() {
    let device = Device::flex();
    let state = RnnLayer::init(3, 4, Activation::Tanh, &mut Initializer::random(1, &device)).initial_state(2);
    LstmLayer::init(3, 4, 1.0, &mut Initializer::random(1, &device)).forward(Tensor::zeros([1, 2, 16], &device), state);
}

#[test]
#[should_panic(expected = "a state has the rows of its window and the width of its layer")]
fn a_state_for_another_number_of_rows_is_refused() {
    let device = Device::flex();
    let layer = GruLayer::init(3, 4, &mut Initializer::random(1, &device));
    layer.forward(Tensor::zeros([1, 2, 12], &device), layer.initial_state(3));
}

/// A window of more tokens than the vocabulary takes the way through the projected table; each of its steps alone, the way
/// through projected rows.
fn check_both_ways<L: RecurrentLayer>(model: &RecurrentModel<L>, input_weight: impl Fn(&L) -> Tensor<2>) {
    let device = Device::flex().autodiff();
    let tokens: Vec<i32> = (0..24).map(|place| (place * place + place / 3) % 5).collect();
    let columns = |first: usize, end: usize| {
        let columns: Vec<i32> = (0..3).flat_map(|row| tokens[row * 8 + first..row * 8 + end].to_vec()).collect();
        Tensor::<2, Int>::from_data(TensorData::new(columns, [3, end - first]), &device)
    };
    let (whole, _) = model.forward(columns(0, 8), None);
    let (mut state, mut steps) = (None, Vec::new());
    for step in 0..8 {
        let (logits, after) = model.forward(columns(step, step + 1), state);
        steps.push(logits);
        state = Some(after);
    }
    let ways = [whole, Tensor::cat(steps, 1)].map(|logits| {
        let gradients = objective(logits.clone(), 0).backward();
        let gradient = |weight: Tensor<2>| weight.grad(&gradients).expect("it has a gradient").into_data();
        [logits.into_data(), gradient(model.embedding.weight.val()), gradient(input_weight(&model.layers[0]))]
    });
    for (one, other) in ways[0].iter().zip(&ways[1]) {
        one.assert_approx_eq::<f32>(other, Tolerance::absolute(1e-5));
    }
}

#[test]
fn projecting_the_table_gives_the_logits_and_gradients_of_projecting_every_token() {
    let device = Device::flex().autodiff();
    let lstm = LstmConfig { layers: 2, hidden: 6, embedding: Some(6), ..LstmConfig::default() };
    check_both_ways(&with_fixed_weights(lstm.init(5, &mut Initializer::random(1, &device))), |layer| {
        layer.input_weight.val()
    });
    let tied = LstmConfig { tied: true, ..lstm };
    check_both_ways(&with_fixed_weights(tied.init(5, &mut Initializer::random(1, &device))), |layer| {
        layer.input_weight.val()
    });
    let gru = GruConfig { hidden: 6, ..GruConfig::default() };
    check_both_ways(&with_fixed_weights(gru.init(5, &mut Initializer::random(1, &device))), |layer| {
        layer.input_weight.val()
    });
    let rnn = RnnConfig { hidden: 6, ..RnnConfig::default() };
    check_both_ways(&with_fixed_weights(rnn.init(5, &mut Initializer::random(1, &device))), |layer| {
        layer.input_weight.val()
    });
}
