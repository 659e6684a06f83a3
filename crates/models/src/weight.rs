//! Matrices of weights: parameters that are trained, or packed numbers that are read with.

use burn::module::{Module, Param};
use burn::tensor::{Device, Int, Tensor};
use kiln_kernels::{
    RnnActivation, affine, embedding, gru_sequence, lstm_sequence, packed_affine, packed_gru_sequence,
    packed_lstm_sequence, packed_rnn_sequence, packed_rows, rnn_sequence,
};
use kiln_packed::{Format, PackedError, PackedMatrix};

use crate::observed::Observed;

/// A matrix that inputs are multiplied with.
#[derive(Module, Debug)]
pub enum Weight {
    /// A parameter.
    Parameter(Param<Tensor<2>>),
    /// Numbers as a file of a model has them, on the CPU: they are multiplied with as they are, and are no parameter.
    Packed(Packed),
    /// A parameter whose inputs are summed, for methods that make models smaller.
    Observed(Observed),
}

/// Packed numbers within a model.
#[derive(Module, Debug)]
pub struct Packed {
    #[module(skip)]
    matrix: PackedMatrix,
}

/// Which of its axes the rows of a packed matrix go along.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Orientation {
    /// A table `[rows, width]`, a packed row for each of its rows.
    Table,
    /// A projection `[in, out]`, a packed row for each of its columns.
    Projection,
}

impl From<PackedMatrix> for Weight {
    fn from(matrix: PackedMatrix) -> Self {
        Self::Packed(Packed { matrix })
    }
}

impl Weight {
    /// The parameter, in a model that can be trained.
    ///
    /// # Panics
    /// If the numbers are packed.
    pub fn val(&self) -> Tensor<2> {
        match self {
            Self::Parameter(parameter) | Self::Observed(Observed { parameter, .. }) => parameter.val(),
            Self::Packed(_) => panic!("packed numbers are no parameter"),
        }
    }

    /// The packed numbers, in a model that was opened to read with it.
    pub(crate) fn packed(&self) -> Option<&PackedMatrix> {
        match self {
            Self::Parameter(_) | Self::Observed(_) => None,
            Self::Packed(packed) => Some(&packed.matrix),
        }
    }

    /// Whether its inputs are summed.
    pub(crate) fn is_observed(&self) -> bool {
        matches!(self, Self::Observed(_))
    }

    /// Where the numbers are.
    pub(crate) fn device(&self) -> Device {
        match self {
            Self::Parameter(_) | Self::Observed(_) => self.val().device(),
            Self::Packed(_) => Device::flex(),
        }
    }

    /// Bytes that its numbers take.
    pub(crate) fn bytes(&self) -> usize {
        match self {
            Self::Parameter(parameter) | Self::Observed(Observed { parameter, .. }) => {
                parameter.lazy_shape().num_elements() * parameter.val().dtype().size()
            }
            Self::Packed(packed) => packed.matrix.bytes(),
        }
    }

    /// The sizes of its axes.
    pub(crate) fn dims(&self, orientation: Orientation) -> [usize; 2] {
        match (self, orientation) {
            // A parameter that has no value yet doesn't get one for being asked.
            (Self::Parameter(parameter) | Self::Observed(Observed { parameter, .. }), _) => {
                parameter.lazy_shape().dims()
            }
            (Self::Packed(packed), Orientation::Table) => [packed.matrix.outputs(), packed.matrix.inputs()],
            (Self::Packed(packed), Orientation::Projection) => [packed.matrix.inputs(), packed.matrix.outputs()],
        }
    }

    /// The sum of squares of each column of a projection, `[out]`, without gradients; of packed numbers row by row.
    pub(crate) fn squares(&self, device: &Device) -> Tensor<1> {
        match self {
            Self::Parameter(_) | Self::Observed(_) => self.val().detach().powi_scalar(2).sum_dim(0).squeeze_dim(0),
            Self::Packed(packed) => {
                let (matrix, mut row) = (&packed.matrix, Vec::new());
                let squares = (0..matrix.outputs()).map(|index| {
                    row.clear();
                    matrix.unpack(index..index + 1, &mut row);
                    row.iter().map(|number| number * number).sum()
                });
                Tensor::from_data(squares.collect::<Vec<f32>>().as_slice(), device)
            }
        }
    }

    /// `x W + b + r`, W being a projection.
    pub(crate) fn project(&self, input: Tensor<2>, bias: Option<Tensor<1>>, residual: Option<Tensor<2>>) -> Tensor<2> {
        match self {
            Self::Parameter(parameter) => affine(input, parameter.val(), bias, residual),
            Self::Observed(observed) => {
                observed.see(&input);
                affine(input, self.val(), bias, residual)
            }
            Self::Packed(packed) => packed_affine(input, &packed.matrix, bias, residual),
        }
    }

    /// `x W^T + b`, W being a table.
    pub(crate) fn project_with_table(&self, input: Tensor<2>, bias: Option<Tensor<1>>) -> Tensor<2> {
        match self {
            Self::Parameter(parameter) => affine(input, parameter.val().transpose(), bias, None),
            Self::Observed(observed) => {
                observed.see(&input);
                affine(input, self.val().transpose(), bias, None)
            }
            Self::Packed(packed) => packed_affine(input, &packed.matrix, bias, None),
        }
    }

    /// The rows of a table that `indices` name.
    pub(crate) fn look_up(&self, indices: Tensor<2, Int>) -> Tensor<3> {
        match self {
            Self::Parameter(_) | Self::Observed(_) => embedding(self.val(), indices),
            Self::Packed(packed) => packed_rows(&packed.matrix, indices),
        }
    }

    /// The sequence of an Elman network, this being V.
    pub(crate) fn rnn(&self, projected: Tensor<3>, hidden: Tensor<2>, activation: RnnActivation) -> Tensor<3> {
        match self {
            Self::Parameter(parameter) => rnn_sequence(projected, parameter.val(), hidden, activation),
            Self::Observed(observed) => {
                let states = rnn_sequence(projected, self.val(), hidden.clone(), activation);
                observed.see_states(&hidden, &states);
                states
            }
            Self::Packed(packed) => packed_rnn_sequence(projected, &packed.matrix, hidden, activation),
        }
    }

    /// The sequence of an LSTM and its last cell, this being R.
    pub(crate) fn lstm(&self, projected: Tensor<3>, hidden: Tensor<2>, cell: Tensor<2>) -> (Tensor<3>, Tensor<2>) {
        match self {
            Self::Parameter(parameter) => lstm_sequence(projected, parameter.val(), hidden, cell),
            Self::Observed(observed) => {
                let (states, cell) = lstm_sequence(projected, self.val(), hidden.clone(), cell);
                observed.see_states(&hidden, &states);
                (states, cell)
            }
            Self::Packed(packed) => packed_lstm_sequence(projected, &packed.matrix, hidden, cell),
        }
    }

    /// The sequence of a GRU, this being R.
    pub(crate) fn gru(&self, projected: Tensor<3>, hidden_bias: Tensor<1>, hidden: Tensor<2>) -> Tensor<3> {
        match self {
            Self::Parameter(parameter) => gru_sequence(projected, parameter.val(), hidden_bias, hidden),
            Self::Observed(observed) => {
                let states = gru_sequence(projected, self.val(), hidden_bias, hidden.clone());
                observed.see_states(&hidden, &states);
                states
            }
            Self::Packed(packed) => packed_gru_sequence(projected, &packed.matrix, hidden_bias, hidden),
        }
    }

    /// The same numbers packed as `format`, where its blocks fit the rows; otherwise as they are, or in half precision.
    ///
    /// # Errors
    /// The format is only read.
    pub(crate) fn repacked(&self, orientation: Orientation, format: Format) -> Result<Self, PackedError> {
        let (numbers, width) = self.rows(orientation);
        let format = match (format.row_bytes(width), self) {
            (Some(_), _) => format,
            (None, Self::Packed(_)) => return Ok(self.clone()),
            (None, Self::Parameter(_) | Self::Observed(_)) => Format::F16,
        };
        Ok(PackedMatrix::pack(format, width, &numbers)?.into())
    }

    /// All numbers in single precision in the order of packed rows, and how many a row has.
    pub(crate) fn rows(&self, orientation: Orientation) -> (Vec<f32>, usize) {
        match self {
            Self::Packed(packed) => {
                let mut numbers = Vec::new();
                packed.matrix.unpack(0..packed.matrix.outputs(), &mut numbers);
                (numbers, packed.matrix.inputs())
            }
            Self::Parameter(_) | Self::Observed(_) => {
                let table = match orientation {
                    Orientation::Table => self.val(),
                    Orientation::Projection => self.val().transpose(),
                };
                let [_, width] = table.dims();
                (table.into_data().iter().collect(), width)
            }
        }
    }
}
