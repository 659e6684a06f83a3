use burn::tensor::activation::log_softmax;
use burn::tensor::{Device, TensorData, Tolerance};

use super::*;
use crate::{GruConfig, LstmConfig, ModelConfig, RnnConfig, TransformerConfig};

const VOCABULARY: usize = 7;

fn families() -> [ModelConfig; 4] {
    [
        ModelConfig::Rnn(RnnConfig { layers: 2, hidden: 6, embedding: Some(5), ..RnnConfig::default() }),
        ModelConfig::Lstm(LstmConfig { layers: 2, hidden: 5, ..LstmConfig::default() }),
        ModelConfig::Gru(GruConfig { layers: 2, hidden: 4, ..GruConfig::default() }),
        ModelConfig::Transformer(TransformerConfig { layers: 2, heads: 2, width: 8, ..TransformerConfig::default() }),
    ]
}

fn tokens(device: &Device) -> Tensor<2, Int> {
    let ids: Vec<i32> = (0..18).map(|index| index * 5 % 7).collect();
    Tensor::from_data(TensorData::new(ids, [2, 9]), device)
}

#[test]
fn a_traced_pass_makes_the_same_logits() {
    let device = Device::flex().autodiff();
    for config in families() {
        let model = config.init(VOCABULARY, 16, 3, &device);
        let expected = model.forward(tokens(&device), None).0.narrow(1, 8, 1).squeeze_dim::<2>(1).into_data();
        let found = model.traced(tokens(&device)).logits.into_data();
        found.assert_approx_eq::<f32>(&expected, Tolerance::absolute(1e-5));
    }
}

/// The loss of row 1 where a state is changed by `change` along `direction`.
fn loss(logits: Tensor<2>) -> Tensor<1> {
    let [rows, _] = logits.dims();
    log_softmax(logits, 1).narrow(1, 2, 1).reshape([rows]).neg()
}

#[test]
fn the_gradient_of_an_input_is_the_difference_quotient() {
    let device = Device::flex();
    for config in families() {
        let model = config.init(VOCABULARY, 16, 3, &device.clone().autodiff());
        let traced = model.traced(tokens(&device.clone().autodiff()));
        let gradients = traced.gradients(&loss(traced.logits.clone()).sum().backward()).inputs;
        let plain = burn::module::Module::valid(&model);
        // An input is the embedding of a token: moving the row of token 3 moves it at both of its places in row 0.
        let [_, _, width] = gradients.dims();
        let places: Vec<usize> = (0..9).filter(|place| place * 5 % 7 == 3).collect();
        let moved = |amount: f32| {
            let changed = kiln_parameters::map(plain.clone(), |parameter, values| {
                if !parameter.path.ends_with("embedding.weight") || parameter.path.starts_with("position") {
                    return values;
                }
                let mut numbers: Vec<f32> = values.clone().into_data().iter().collect();
                numbers[3 * width + 1] += amount;
                Tensor::from_data(TensorData::new(numbers, values.dims()), &values.device())
            });
            // A tied head would move too.
            let features = changed.features(tokens(&device), None, &Default::default(), &mut crate::Draws::none()).0;
            let last = features.narrow(1, 8, 1).squeeze_dim::<2>(1);
            loss(plain.logits_of(last)).narrow(0, 0, 1).into_scalar::<f32>()
        };
        let quotient = (moved(1e-2) - moved(-1e-2)) / 2e-2;
        let numbers: Vec<f32> = gradients.into_data().iter().collect();
        let exact: f32 = places.iter().map(|place| numbers[place * width + 1]).sum();
        assert!((quotient - exact).abs() < 1e-3 * (1.0 + exact.abs()), "{}: {quotient}, {exact}", config.name());
    }
}

/// h_t = x_t W + h_(t-1) R + b with R = c Q, Q orthogonal: the gradient k steps back is c^k times the last one.
#[test]
fn the_gradient_of_a_linear_network_is_the_radius_to_the_lag() {
    let device = Device::flex().autodiff();
    let config = RnnConfig { layers: 1, hidden: 3, activation: crate::Activation::Relu, ..RnnConfig::default() };
    for radius in [0.8_f32, 1.0, 1.25] {
        let model = ModelConfig::Rnn(config.clone()).init(VOCABULARY, 16, 3, &device);
        // A permutation keeps every state above 0, where the ramp is the identity; its eigenvalues are roots of 1.
        let model = kiln_parameters::map(model, |parameter, values| {
            let numbers: Vec<f32> = match parameter.path.as_str() {
                "layers.0.hidden_weight" => [0, 1, 0, 0, 0, 1, 1, 0, 0].map(|one| radius * one as f32).to_vec(),
                "layers.0.bias" => vec![100.0; 3],
                _ => return values,
            };
            Tensor::from_data(TensorData::new(numbers, values.dims()), &values.device())
        });
        let traced = model.traced(tokens(&device));
        let found = traced.gradients(&loss(traced.logits.clone()).sum().backward());
        let numbers: Vec<f32> = found.layers[0].hidden.clone().into_data().iter().collect();
        let norm = |place: usize| numbers[3 * place..3 * place + 3].iter().map(|x| x * x).sum::<f32>().sqrt();
        for lag in 0..9 {
            let ratio = norm(8 - lag) / norm(8);
            assert!((ratio / radius.powi(lag as i32) - 1.0).abs() < 1e-4, "{radius}, {lag}: {ratio}");
        }
    }
}

/// With a forget gate that is f everywhere and a cell that nothing else reads back, d c_t / d c_(t-1) = f.
#[test]
fn the_memory_of_an_lstm_decays_by_its_forget_gate() {
    let device = Device::flex().autodiff();
    let config = LstmConfig { layers: 1, hidden: 2, ..LstmConfig::default() };
    let model = ModelConfig::Lstm(config).init(VOCABULARY, 16, 3, &device);
    let bias = (0.75_f32 / 0.25).ln();
    let model = kiln_parameters::map(model, |parameter, values| match parameter.path.as_str() {
        "layers.0.hidden_weight" => values.zeros_like(),
        "layers.0.bias" | "layers.0.input_weight" => {
            let mut numbers: Vec<f32> = values.clone().into_data().iter().collect();
            let is_bias = parameter.shape.len() == 1;
            numbers.iter_mut().enumerate().filter(|(place, _)| (2..4).contains(&(place % 8))).for_each(
                |(_, number)| {
                    *number = if is_bias { bias } else { 0.0 };
                },
            );
            Tensor::from_data(TensorData::new(numbers, values.dims()), &values.device())
        }
        _ => values,
    });
    let traced = model.traced(tokens(&device));
    let found = traced.gradients(&loss(traced.logits.clone()).sum().backward());
    let memory = found.layers[0].memory.clone().expect("an LSTM has one");
    let numbers: Vec<f32> = memory.into_data().iter().collect();
    for place in 1..9 {
        for column in 0..2 {
            let ratio = numbers[2 * (place - 1) + column] / numbers[2 * place + column];
            assert!((ratio - 0.75).abs() < 1e-4, "{place}: {ratio}");
        }
    }
}

/// PyTorch's norms, made by `scripts/reference/study.py`.
const FIXTURE: &str = include_str!("../../fixtures/traced.json");

#[test]
fn the_norms_are_those_of_pytorch() {
    let fixture: serde_json::Value = serde_json::from_str(FIXTURE).unwrap();
    let device = Device::flex().autodiff();
    let names = |of_layer: &[&str]| -> Vec<String> {
        let layers = (0..2).flat_map(|index| of_layer.iter().map(move |name| format!("layers.{index}.{name}")));
        let around = |name: &str| name.to_owned();
        std::iter::once(around("embedding.weight"))
            .chain(layers)
            .chain(["output.weight", "output.bias"].map(around))
            .collect()
    };
    let plain = ["input_weight", "hidden_weight", "bias"];
    let gru = ["input_weight", "hidden_weight", "bias", "hidden_bias"];
    let rnn = RnnConfig { hidden: 4, embedding: Some(3), ..RnnConfig::default() };
    let lstm = LstmConfig { hidden: 4, embedding: Some(3), ..LstmConfig::default() };
    let gated = GruConfig { hidden: 4, embedding: Some(3), ..GruConfig::default() };
    for (config, names) in [
        (ModelConfig::Rnn(rnn), names(&plain)),
        (ModelConfig::Lstm(lstm), names(&plain)),
        (ModelConfig::Gru(gated), names(&gru)),
    ] {
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let model = crate::reference::with_reference_weights(config.init(5, 6, 1, &device), &names);
        let tokens = Tensor::from_data([[0, 3, 1, 4], [2, 2, 0, 1]], &device);
        let traced = model.traced(tokens);
        let found = traced.gradients(&loss(traced.logits.clone()).sum().backward());
        let check = |name: &str, states: Tensor<3>| {
            let norms: Vec<f32> = states.powi_scalar(2).sum_dim(2).sqrt().into_data().iter().collect();
            let expected = fixture["curves"][config.name()][name].as_array().expect("it is a list of steps");
            for (step, rows) in expected.iter().enumerate() {
                for row in 0..2 {
                    let (norm, expected) = (norms[row * 4 + step], rows[row].as_f64().expect("a norm") as f32);
                    let is_close = (norm - expected).abs() < 1e-4 * expected.abs() + 1e-6;
                    assert!(is_close, "{} {name} {row} {step}: {norm}, {expected}", config.name());
                }
            }
        };
        check("inputs", found.inputs);
        for (index, layer) in found.layers.into_iter().enumerate() {
            check(&format!("hidden.{index}"), layer.hidden);
            layer.memory.into_iter().for_each(|memory| check(&format!("memory.{index}"), memory));
        }
    }
}
