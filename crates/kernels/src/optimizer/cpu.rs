//! The CPU bodies, in place where nobody else holds a tensor.

use burn::backend::Flex;
use burn::backend::flex::FlexTensor;
use burn::backend::tensor::FloatTensor;

use super::{AdamStep, OptimizerOps, SgdStep};
use crate::cpu::reduce::sum;
use crate::cpu::{Rows, for_rows, simd, sum_of_rows};
use crate::flex::{Number, contiguous, numbers, tensor, with_number};

impl OptimizerOps for Flex {
    fn adam_step(
        value: FloatTensor<Self>,
        gradient: FloatTensor<Self>,
        first: FloatTensor<Self>,
        second: FloatTensor<Self>,
        step: AdamStep,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>) {
        with_number!(value, T => adam::<T>(value, gradient, first, second, step))
    }

    fn descend(
        value: FloatTensor<Self>,
        gradient: FloatTensor<Self>,
        rate: f64,
        weight_decay: f64,
    ) -> FloatTensor<Self> {
        with_number!(value, T => descend::<T>(value, gradient, rate, weight_decay))
    }

    fn sgd_step(
        value: FloatTensor<Self>,
        gradient: FloatTensor<Self>,
        velocity: FloatTensor<Self>,
        step: SgdStep,
    ) -> (FloatTensor<Self>, FloatTensor<Self>) {
        with_number!(value, T => sgd::<T>(value, gradient, velocity, step))
    }

    fn sum_of_squares(values: FloatTensor<Self>) -> FloatTensor<Self> {
        with_number!(values, T => squares::<T>(values))
    }
}

fn adam<T: Number>(
    value: FlexTensor,
    gradient: FlexTensor,
    first: FlexTensor,
    second: FlexTensor,
    step: AdamStep,
) -> (FlexTensor, FlexTensor, FlexTensor) {
    let [mut value, gradient, mut first, mut second] = [value, gradient, first, second].map(contiguous);
    let g = numbers::<T>(&gradient);
    let [beta_1, beta_2] = step.betas.map(T::from_f64);
    let [rest_1, rest_2] = step.betas.map(|beta| T::from_f64(1.0 - beta));
    let [rate, shrink, epsilon] = [step.rate, step.shrink, step.epsilon].map(T::from_f64);
    let inverse_correction = T::from_f64(1.0 / step.root_correction);
    let moments = (Rows::new(first.storage_mut::<T>(), 1), Rows::new(second.storage_mut::<T>(), 1));
    let parts = (Rows::new(value.storage_mut::<T>(), 1), moments);
    for_rows(g.len(), 5, parts, |range, (value, (first, second))| {
        let gradients = &g[range];
        simd(
            #[inline(always)]
            || {
                let moments = first.data.iter_mut().zip(second.data);
                for ((w, g), (m, v)) in value.data.iter_mut().zip(gradients).zip(moments) {
                    *m = beta_1 * *m + rest_1 * *g;
                    *v = beta_2 * *v + rest_2 * *g * *g;
                    *w = shrink * *w - rate * *m / (v.sqrt() * inverse_correction + epsilon);
                }
            },
        );
    });
    (value, first, second)
}

fn descend<T: Number>(value: FlexTensor, gradient: FlexTensor, rate: f64, weight_decay: f64) -> FlexTensor {
    let [mut value, gradient] = [value, gradient].map(contiguous);
    let g = numbers::<T>(&gradient);
    let [rate, decay] = [rate, weight_decay].map(T::from_f64);
    for_rows(g.len(), 2, Rows::new(value.storage_mut::<T>(), 1), |range, value| {
        let gradients = &g[range];
        simd(
            #[inline(always)]
            || value.data.iter_mut().zip(gradients).for_each(|(w, g)| *w = *w - rate * (*g + decay * *w)),
        );
    });
    value
}

fn sgd<T: Number>(
    value: FlexTensor,
    gradient: FlexTensor,
    velocity: FlexTensor,
    step: SgdStep,
) -> (FlexTensor, FlexTensor) {
    let [mut value, gradient, mut velocity] = [value, gradient, velocity].map(contiguous);
    let g = numbers::<T>(&gradient);
    let [rate, momentum, decay] = [step.rate, step.momentum, step.weight_decay].map(T::from_f64);
    // Without a branch in the loop: Nesterov's step goes along g + momentum b, the other one along b.
    let [of_gradient, of_velocity] = if step.nesterov { [T::ONE, momentum] } else { [T::ZERO, T::ONE] };
    let parts = (Rows::new(value.storage_mut::<T>(), 1), Rows::new(velocity.storage_mut::<T>(), 1));
    for_rows(g.len(), 4, parts, |range, (value, velocity)| {
        let gradients = &g[range];
        simd(
            #[inline(always)]
            || {
                for ((w, g), b) in value.data.iter_mut().zip(gradients).zip(velocity.data) {
                    let g = *g + decay * *w;
                    *b = momentum * *b + g;
                    *w = *w - rate * (of_gradient * g + of_velocity * *b);
                }
            },
        );
    });
    (value, velocity)
}

fn squares<T: Number>(values: FlexTensor) -> FlexTensor {
    let values = contiguous(values);
    let x = numbers::<T>(&values);
    // In double precision: the norm of many parameters is a sum of tens of millions of numbers.
    let total = sum_of_rows::<f64, _>(x.len(), 1, 1, (), |range, (), total| {
        simd(
            #[inline(always)]
            || {
                for block in x[range].chunks(1024) {
                    total[0] += sum(block, |x| x * x).to_f64();
                }
            },
        );
    });
    tensor(vec![T::from_f64(total[0])], [1])
}
