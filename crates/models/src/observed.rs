//! What the inputs of a matrix are on a text: what methods that make models smaller weigh its numbers by.

use std::sync::{Arc, Mutex, PoisonError};

use burn::module::{Module, Param};
use burn::tensor::Tensor;

/// What is summed over the inputs of a matrix.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sums {
    /// The square of each input.
    Squares,
    /// The product of each input with each other.
    Products,
}

/// Sums over the inputs x of a matrix, a row for each token.
#[derive(Debug, Clone, Default)]
pub struct InputSums {
    /// How many rows there were.
    pub tokens: u64,
    /// Sum of x_i^2, `[inputs]`.
    pub squares: Vec<f32>,
    /// Sum of x_i x_j, `[inputs, inputs]`; empty if it wasn't asked for.
    pub products: Vec<f32>,
}

/// A parameter whose inputs are summed as they go by.
#[derive(Module, Debug)]
pub struct Observed {
    pub(crate) parameter: Param<Tensor<2>>,
    #[module(skip)]
    seen: Seen,
}

/// What was seen, and what went wrong.
#[derive(Debug, Clone)]
struct Seen {
    sums: Sums,
    so_far: Arc<Mutex<Result<InputSums, String>>>,
}

impl Observed {
    pub(crate) fn new(parameter: Param<Tensor<2>>, sums: Sums) -> Self {
        Self { parameter, seen: Seen { sums, so_far: Arc::new(Mutex::new(Ok(InputSums::default()))) } }
    }

    /// What was seen, or why the device failed.
    pub(crate) fn sums(&self) -> Result<InputSums, String> {
        self.seen.so_far.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Adds inputs `[N, in]`.
    pub(crate) fn see(&self, inputs: &Tensor<2>) {
        let mut so_far = self.seen.so_far.lock().unwrap_or_else(PoisonError::into_inner);
        let added = so_far.as_mut().map_err(|problem| problem.clone()).and_then(|sums| self.seen.add(inputs, sums));
        if let Err(problem) = added {
            *so_far = Err(problem);
        }
    }

    /// Adds the states that a recurrent matrix is multiplied with: the first `[B, H]`, and all of `[T, B, H]` but the
    /// last.
    pub(crate) fn see_states(&self, first: &Tensor<2>, states: &Tensor<3>) {
        let [steps, rows, width] = states.dims();
        let mut seen = vec![first.clone()];
        if steps > 1 {
            seen.push(states.clone().narrow(0, 0, steps - 1).reshape([(steps - 1) * rows, width]));
        }
        self.see(&Tensor::cat(seen, 0));
    }
}

impl Seen {
    fn add(&self, inputs: &Tensor<2>, sums: &mut InputSums) -> Result<(), String> {
        let [rows, width] = inputs.dims();
        let numbers = |tensor: Tensor<2>| {
            let data = tensor.try_into_data().map_err(|error| error.to_string())?;
            Ok::<_, String>(data.iter::<f32>().collect::<Vec<f32>>())
        };
        let squares = match self.sums {
            Sums::Squares => numbers(inputs.clone().powi_scalar(2).sum_dim(0))?,
            Sums::Products => {
                let products = numbers(inputs.clone().transpose().matmul(inputs.clone()))?;
                let squares = products.iter().step_by(width + 1).copied().collect();
                add(&mut sums.products, products);
                squares
            }
        };
        add(&mut sums.squares, squares);
        sums.tokens += rows as u64;
        Ok(())
    }
}

fn add(sums: &mut Vec<f32>, numbers: Vec<f32>) {
    if sums.is_empty() {
        *sums = numbers;
    } else {
        sums.iter_mut().zip(numbers).for_each(|(sum, number)| *sum += number);
    }
}
