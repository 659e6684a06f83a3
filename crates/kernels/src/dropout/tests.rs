use burn::tensor::{DType, Device, Tensor};

use super::{Draws, dropout};
use crate::cpu::philox::philox;
use crate::testing::{assert_gradients, tensor, values};

/// What the number at `place` is multiplied by, from the definition.
fn factor(place: usize, probability: f64, seed: u64, site: u32) -> f64 {
    let (row, column) = (place / 1024, place % 1024);
    let word = philox([column as u32 / 4, row as u32, 0, site], [seed as u32, (seed >> 32) as u32])[column % 4];
    if f64::from(word) >= (probability * 2f64.powi(32)).round() { 1.0 / (1.0 - probability) } else { 0.0 }
}

#[test]
fn what_is_dropped_is_a_function_of_seed_and_place() {
    let (device, seed, probability) = (Device::flex(), 0xFEDC_BA98_7654_3210, 0.3);
    for length in [1, 5, 1023, 1025, 100_000] {
        let mut draws = Draws::from_seed(seed);
        draws.take();
        let input = tensor([length], 1, DType::F64, &device);
        let output = values(&dropout(input.clone(), probability, draws.take()));
        for (place, (output, input)) in output.iter().zip(values(&input)).enumerate() {
            assert_eq!(*output, input * factor(place, probability, seed, 1), "place {place} of {length}");
        }
    }
}

#[test]
fn gradients_go_where_the_numbers_went() {
    let draw = Draws::from_seed(3).take();
    assert_gradients("dropout", &[3000], &|inputs: &[Tensor<1>]| dropout(inputs[0].clone(), 0.5, draw));
}

#[test]
fn nothing_is_dropped_without_a_draw_or_a_probability() {
    let input = tensor([100], 1, DType::F32, &Device::flex());
    assert_eq!(values(&dropout(input.clone(), 0.5, Draws::none().take())), values(&input));
    assert_eq!(values(&dropout(input.clone(), 0.0, Draws::from_seed(1).take())), values(&input));
}

#[test]
#[should_panic(expected = "a probability of dropout is in [0, 1), not 1")]
fn a_certain_loss_is_refused() {
    dropout(Tensor::<1>::zeros([1], &Device::flex()), 1.0, None);
}
