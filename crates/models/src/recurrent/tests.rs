use burn::module::Module;
use burn::tensor::{Device, Tensor};

use super::{Activation, GruLayer, LayerState, LstmLayer, RecurrentLayer, RnnLayer};
use crate::reference::{Fixture, objective, with_reference_weights};

/// Outputs, last state and all gradients of one layer, against the fixture.
fn check_layer(layer: impl RecurrentLayer, fixture_name: &str, names: &[&str], has_cell: bool) {
    let device = Device::flex().autodiff();
    let fixture = Fixture::read(fixture_name);
    let layer = with_reference_weights(layer, names);
    let (sequence, hidden) = (fixture.input::<3>("x", &device), fixture.input::<2>("h0", &device));
    let cell = has_cell.then(|| fixture.input::<2>("c0", &device));
    let state = LayerState { hidden: hidden.clone(), cell: cell.clone() };

    let (outputs, after) = layer.forward(sequence.clone().swap_dims(0, 1), state);

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
    let layer = RnnLayer::init(3, 4, Activation::Tanh, &Device::flex().autodiff());
    check_layer(layer, "rnn_tanh", &["input_weight", "hidden_weight", "bias"], false);
}

#[test]
fn an_elman_layer_with_relu_agrees_with_pytorch() {
    let layer = RnnLayer::init(3, 4, Activation::Relu, &Device::flex().autodiff());
    check_layer(layer, "rnn_relu", &["input_weight", "hidden_weight", "bias"], false);
}

#[test]
fn an_lstm_layer_agrees_with_pytorch() {
    let layer = LstmLayer::init(3, 4, 1.0, &Device::flex().autodiff());
    check_layer(layer, "lstm", &["input_weight", "hidden_weight", "bias"], true);
}

#[test]
fn a_gru_layer_agrees_with_pytorch() {
    let layer = GruLayer::init(3, 4, &Device::flex().autodiff());
    check_layer(layer, "gru", &["input_weight", "hidden_weight", "bias", "hidden_bias"], false);
}

#[test]
fn only_the_forget_gates_biases_start_at_the_configured_value() {
    let device = Device::flex();
    let layer = LstmLayer::init(3, 64, 2.5, &device);
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
    let state = RnnLayer::init(3, 4, Activation::Tanh, &device).initial_state(2);
    LstmLayer::init(3, 4, 1.0, &device).forward(Tensor::zeros([1, 2, 3], &device), state);
}

#[test]
#[should_panic(expected = "a state has the rows of its window and the width of its layer")]
fn a_state_for_another_number_of_rows_is_refused() {
    let device = Device::flex();
    let layer = GruLayer::init(3, 4, &device);
    layer.forward(Tensor::zeros([1, 2, 3], &device), layer.initial_state(3));
}
