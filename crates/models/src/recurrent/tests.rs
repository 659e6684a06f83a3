use burn::module::Module;
use burn::tensor::{Device, Int, Tensor, TensorData, Tolerance};
use kiln_kernels::Draws;

use super::{
    Activation, Cell, GruConfig, LayerState, LstmConfig, RecurrentConfig, RecurrentLayer, RecurrentModel, RnnConfig,
};
use crate::initializer::Initializer;
use crate::reference::{Fixture, objective, with_fixed_weights, with_reference_weights};

/// A layer that reads 3 numbers.
fn layer(cell: Cell, hidden: usize, device: &Device) -> RecurrentLayer {
    RecurrentLayer::init(cell, 3, hidden, &mut Initializer::random(1, device))
}

/// Outputs, last state and all gradients of one layer, against the fixture.
fn check_layer(cell: Cell, fixture_name: &str, names: &[&str]) {
    let device = Device::flex().autodiff();
    let fixture = Fixture::read(fixture_name);
    let has_cell = cell.has_memory();
    let layer = with_reference_weights(layer(cell, 4, &device), names);
    let (sequence, hidden) = (fixture.input::<3>("x", &device), fixture.input::<2>("h0", &device));
    let cell = has_cell.then(|| fixture.input::<2>("c0", &device));
    let state = LayerState { hidden: hidden.clone(), cell: cell.clone() };

    let (outputs, after) =
        layer.forward(layer.project_rows(sequence.clone().swap_dims(0, 1), &mut Draws::none()), state);

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
    check_layer(Cell::Rnn(Activation::Tanh), "rnn_tanh", &["input_weight", "hidden_weight", "bias"]);
}

#[test]
fn an_elman_layer_with_relu_agrees_with_pytorch() {
    check_layer(Cell::Rnn(Activation::Relu), "rnn_relu", &["input_weight", "hidden_weight", "bias"]);
}

#[test]
fn an_lstm_layer_agrees_with_pytorch() {
    check_layer(Cell::Lstm(1.0), "lstm", &["input_weight", "hidden_weight", "bias"]);
}

#[test]
fn a_gru_layer_agrees_with_pytorch() {
    check_layer(Cell::Gru, "gru", &["input_weight", "hidden_weight", "bias", "hidden_bias"]);
}

#[test]
fn only_the_forget_gates_biases_start_at_the_configured_value() {
    let layer = layer(Cell::Lstm(2.5), 64, &Device::flex());
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
    let state = layer(Cell::Rnn(Activation::Tanh), 4, &device).initial_state(2);
    layer(Cell::Lstm(1.0), 4, &device).forward(Tensor::zeros([1, 2, 16], &device), state);
}

#[test]
#[should_panic(expected = "a state has the rows of its window and the width of its layer")]
fn a_state_for_another_number_of_rows_is_refused() {
    let device = Device::flex();
    let layer = layer(Cell::Gru, 4, &device);
    layer.forward(Tensor::zeros([1, 2, 12], &device), layer.initial_state(3));
}

/// A window of more tokens than the vocabulary takes the way through the projected table; each of its steps alone, the
/// way through projected rows.
fn check_both_ways(config: &impl RecurrentConfig) {
    let device = Device::flex().autodiff();
    let model = with_fixed_weights(RecurrentModel::init(config.sizes(), 5, &mut Initializer::random(1, &device)));
    let tokens: Vec<i32> = (0..24).map(|place| (place * place + place / 3) % 5).collect();
    let columns = |first: usize, end: usize| {
        let columns: Vec<i32> = (0..3).flat_map(|row| tokens[row * 8 + first..row * 8 + end].to_vec()).collect();
        Tensor::<2, Int>::from_data(TensorData::new(columns, [3, end - first]), &device)
    };
    let (whole, _) = model.forward(columns(0, 8), &[8; 3], None);
    let (mut state, mut steps) = (None, Vec::new());
    for step in 0..8 {
        let (logits, after) = model.forward(columns(step, step + 1), &[1; 3], state);
        steps.push(logits);
        state = Some(after);
    }
    let ways = [whole, Tensor::cat(steps, 1)].map(|logits| {
        let gradients = objective(logits.clone(), 0).backward();
        let gradient = |weight: Tensor<2>| weight.grad(&gradients).expect("it has a gradient").into_data();
        [logits.into_data(), gradient(model.embedding.weight.val()), gradient(model.layers[0].input_weight.val())]
    });
    for (one, other) in ways[0].iter().zip(&ways[1]) {
        one.assert_approx_eq::<f32>(other, Tolerance::absolute(1e-5));
    }
}

#[test]
fn projecting_the_table_gives_the_logits_and_gradients_of_projecting_every_token() {
    let lstm = LstmConfig { layers: 2, hidden: 6, embedding: Some(6), ..LstmConfig::default() };
    check_both_ways(&lstm);
    check_both_ways(&LstmConfig { tied: true, ..lstm });
    check_both_ways(&GruConfig { hidden: 6, ..GruConfig::default() });
    check_both_ways(&RnnConfig { hidden: 6, ..RnnConfig::default() });
}
