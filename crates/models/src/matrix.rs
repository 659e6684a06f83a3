//! The matrices of a model, to be looked at and replaced.

use std::collections::BTreeMap;

use burn::module::Param;
use burn::tensor::{Tensor, TensorData};
use kiln_packed::{PackedError, PackedMatrix};
use kiln_storage::formats::PackedTensor;

use crate::LanguageModel;
use crate::adapter::Adapter;
use crate::initializer::Initializer;
use crate::observed::{InputSums, Observed, Sums};
use crate::weight::{Orientation, Weight};

/// A matrix that inputs are multiplied with, in a model.
pub struct Matrix<'a> {
    /// The path of its parameter, for example `blocks.0.attention.query_key_value.weight`.
    pub name: String,
    pub(crate) orientation: Orientation,
    pub(crate) weight: &'a mut Weight,
}

impl<'a> Matrix<'a> {
    pub(crate) fn table(name: impl Into<String>, weight: &'a mut Weight) -> Self {
        Self { name: name.into(), orientation: Orientation::Table, weight }
    }

    pub(crate) fn projection(name: impl Into<String>, weight: &'a mut Weight) -> Self {
        Self { name: name.into(), orientation: Orientation::Projection, weight }
    }

    /// Outputs and inputs of each token: rows of the matrix as it is packed, and numbers of a row.
    pub fn sizes(&self) -> [usize; 2] {
        let [first, second] = self.weight.dims(self.orientation);
        if self.orientation == Orientation::Table { [first, second] } else { [second, first] }
    }

    /// Whether it is a table whose rows are looked up. It may be the head too.
    pub fn is_table(&self) -> bool {
        self.orientation == Orientation::Table
    }

    /// Bytes that it takes in memory.
    pub fn bytes(&self) -> usize {
        self.weight.bytes()
    }

    /// All numbers by outputs, `[outputs, inputs]`, in single precision.
    pub fn rows(&self) -> Vec<f32> {
        self.weight.rows(self.orientation).0
    }

    /// The packed numbers, if they are.
    pub fn packed(&self) -> Option<&PackedMatrix> {
        self.weight.packed()
    }

    /// Puts packed numbers in its place, after which it is no parameter.
    ///
    /// # Errors
    /// [`PackedError::Pieces`] if they are of other sizes.
    pub fn pack(&mut self, matrix: PackedMatrix) -> Result<(), PackedError> {
        if [matrix.outputs(), matrix.inputs()] != self.sizes() {
            return Err(PackedError::Pieces);
        }
        *self.weight = matrix.into();
        Ok(())
    }

    /// Puts other numbers in its place, `[outputs, inputs]`; nothing happens to one that is packed.
    ///
    /// # Panics
    /// If there is another number of them.
    pub fn set_rows(&mut self, numbers: Vec<f32>) {
        let (sizes, orientation) = (self.sizes(), self.orientation);
        let Weight::Parameter(parameter) = &mut *self.weight else { return };
        let rows = Tensor::<2>::from_data(TensorData::new(numbers, sizes), &parameter.lazy_device());
        let value = if orientation == Orientation::Table { rows } else { rows.transpose() };
        *parameter = parameter.clone().map(|_| value);
    }

    /// From now on sums its inputs, if it is a parameter.
    pub fn observe(&mut self, sums: Sums) {
        if let Weight::Parameter(parameter) = &*self.weight {
            *self.weight = Weight::Observed(Observed::new(parameter.clone(), sums));
        }
    }

    /// Stops that, and says what was seen; nothing if it wasn't observed.
    ///
    /// # Errors
    /// What the device said when it failed.
    pub fn observed(&mut self) -> Option<Result<InputSums, String>> {
        let Weight::Observed(observed) = &*self.weight else { return None };
        let (sums, parameter) = (observed.sums(), observed.parameter.clone());
        *self.weight = Weight::Parameter(parameter);
        Some(sums)
    }
}

/// A product with a matrix W `[in, out]`, which may be one of two thin ones: x A W.
pub struct Product<'a> {
    /// The path of W.
    pub name: String,
    pub(crate) narrow_name: String,
    pub(crate) weight: &'a mut Weight,
    pub(crate) narrow: &'a mut Option<Weight>,
    pub(crate) adapter: &'a mut Option<Adapter>,
}

impl<'a> Product<'a> {
    /// A, if there is one, and W.
    pub(crate) fn matrices(self) -> Vec<Matrix<'a>> {
        let narrow = self.narrow.as_mut().map(|narrow| Matrix::projection(self.narrow_name, narrow));
        narrow.into_iter().chain([Matrix::projection(self.name, self.weight)]).collect()
    }

    /// Outputs and inputs of W.
    pub fn sizes(&self) -> [usize; 2] {
        let [inputs, outputs] = self.weight.dims(Orientation::Projection);
        [outputs, inputs]
    }

    /// Inputs and outputs of the product.
    pub(crate) fn inputs_and_outputs(&self) -> [usize; 2] {
        let [first, outputs] = self.weight.dims(Orientation::Projection);
        let inputs = self.narrow.as_ref().map_or(first, |narrow| narrow.dims(Orientation::Projection)[0]);
        [inputs, outputs]
    }

    /// Puts one matrix in the place of all that the product is with, if it has an adapter.
    pub(crate) fn merge(self) {
        let Some(adapter) = self.adapter.take() else { return };
        let weight = dense(self.weight);
        let weight = self.narrow.take().map(|narrow| dense(&narrow).matmul(weight.clone())).unwrap_or(weight);
        *self.weight = Weight::Parameter(Param::from_tensor(weight + adapter.product()));
    }

    /// All numbers of W by outputs, `[outputs, inputs]`, in single precision.
    pub fn rows(&self) -> Vec<f32> {
        self.weight.rows(Orientation::Projection).0
    }

    /// Whether it is of two matrices.
    pub fn is_factored(&self) -> bool {
        self.narrow.is_some()
    }

    /// Puts two thin matrices in the place of one: A by outputs, `[rank, inputs]`, and W, `[outputs, rank]`.
    ///
    /// # Panics
    /// If there are other numbers of them, or it is of two matrices already.
    pub fn factor(&mut self, rank: usize, narrow: Vec<f32>, weight: Vec<f32>) {
        assert!(self.narrow.is_none(), "a product of two matrices can't be factored again");
        let ([outputs, inputs], device) = (self.sizes(), self.weight.device());
        let parameter = |rows: Vec<f32>, sizes: [usize; 2]| {
            let rows = Tensor::<2>::from_data(TensorData::new(rows, sizes), &device);
            Weight::Parameter(Param::from_tensor(rows.transpose()))
        };
        *self.narrow = Some(parameter(narrow, [rank, inputs]));
        *self.weight = parameter(weight, [outputs, rank]);
    }

    /// Makes room for two thin matrices, without values.
    pub(crate) fn make_room(&mut self, rank: usize, initializer: &mut Initializer<'_>) {
        let [outputs, inputs] = self.sizes();
        *self.narrow = Some(Weight::Parameter(initializer.normal([inputs, rank], 1.0)));
        *self.weight = Weight::Parameter(initializer.normal([rank, outputs], 1.0));
    }
}

/// A projection's numbers in single precision, `[in, out]`.
fn dense(weight: &Weight) -> Tensor<2> {
    match weight {
        Weight::Packed(_) => {
            let (rows, width) = weight.rows(Orientation::Projection);
            let height = rows.len() / width;
            Tensor::<2>::from_data(TensorData::new(rows, [height, width]), &weight.device()).transpose()
        }
        _ => weight.val(),
    }
}

impl LanguageModel {
    /// The products with matrices of the layers, but for those of recurrent layers with their own states. What makes
    /// models smaller doesn't know encoder-decoders, and is given none of theirs.
    pub fn products(&mut self) -> Vec<Product<'_>> {
        match self {
            Self::Recurrent(model) => model.products(),
            Self::Transformer(model) => model.products(),
            Self::EncoderDecoder(_) => Vec::new(),
        }
    }

    /// The matrices that inputs are multiplied with, in the order in which a token meets them.
    pub fn matrices(&mut self) -> Vec<Matrix<'_>> {
        match self {
            Self::Recurrent(model) => model.matrices(),
            Self::Transformer(model) => model.matrices(),
            Self::EncoderDecoder(_) => Vec::new(),
        }
    }

    /// Those that are packed, by the paths of their parameters.
    pub(crate) fn packed_tensors(&self) -> BTreeMap<String, PackedTensor> {
        let mut model = self.clone();
        let packed = model.matrices().into_iter().filter_map(|matrix| {
            let axis = usize::from(!matrix.is_table());
            Some((matrix.name.clone(), PackedTensor { axis, matrix: matrix.packed()?.clone() }))
        });
        packed.collect()
    }
}
