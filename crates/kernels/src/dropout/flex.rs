//! Between Burn's CPU tensors and the bodies.

use burn::backend::Flex;
use burn::backend::flex::FlexTensor;
use burn::backend::tensor::FloatTensor;

use super::draws::Draw;
use super::{DropoutOps, Places, cpu};
use crate::cpu::philox::Dropout;
use crate::flex::{Number, contiguous, numbers, tensor, with_number};

impl DropoutOps for Flex {
    fn drop_out(input: FloatTensor<Self>, probability: f64, draw: Draw, places: Places) -> FloatTensor<Self> {
        let dropout = Dropout::new(probability, draw.seed, draw.site);
        with_number!(input, T => drop_out::<T>(input, dropout, places))
    }
}

fn drop_out<T: Number>(input: FlexTensor, dropout: Dropout, places: Places) -> FlexTensor {
    let input = contiguous(input);
    tensor(cpu::drop_out::<T>(numbers(&input), dropout, places), input.layout().shape().clone())
}
