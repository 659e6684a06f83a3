//! Between Burn's CPU tensors and slices.

use burn::backend::flex::{FlexTensor, Layout};
use burn::backend::{
    BackendTensor, DispatchAutodiffContext, DispatchDevice, DispatchTensor, DispatchTensorKind, Element, TensorMetadata,
};
use burn::tensor::{Bytes, DType, Int, Shape, Tensor};

use crate::cpu::{Matrix, Real};

/// A [`Real`] that Burn knows.
pub(crate) trait Number: Real + Element + bytemuck::Pod {}

impl Number for f32 {}
impl Number for f64 {}

/// Runs an expression with the type of numbers that a tensor has.
///
/// # Panics
/// With half-precision numbers, for which [`has_fast_body`] is false.
macro_rules! with_number {
    ($tensor:expr, $Number:ident => $body:expr) => {
        match $tensor.dtype() {
            burn::tensor::DType::F64 => {
                type $Number = f64;
                $body
            }
            _ => {
                type $Number = f32;
                $body
            }
        }
    };
}
pub(crate) use with_number;

/// Whether the tensor lies where the CPU bodies work, in a type of numbers that they have.
pub(crate) fn has_fast_body<const D: usize>(tensor: &Tensor<D>) -> bool {
    let device = tensor.device().inner();
    matches!(device.as_dispatch(), DispatchDevice::Flex(_)) && matches!(tensor.dtype(), DType::F32 | DType::F64)
}

/// The CPU backend's own form of a tensor without autodiff that [`has_fast_body`], for operations on lists of tensors,
/// which Burn's backend extensions do not carry.
///
/// # Panics
/// With any other tensor.
pub(crate) fn unwrapped<const D: usize>(tensor: Tensor<D>) -> FlexTensor {
    match tensor.into_dispatch().kind {
        DispatchTensorKind::Flex(tensor) => tensor.float(),
        #[allow(unreachable_patterns, reason = "reached when other backends are compiled in")]
        _ => panic!("a tensor of another backend, or with autodiff, came to a body for the CPU"),
    }
}

/// As [`unwrapped`], of whole numbers.
///
/// # Panics
/// With a tensor of another backend.
pub(crate) fn unwrapped_integers<const D: usize>(tensor: Tensor<D, Int>) -> FlexTensor {
    match tensor.into_dispatch().kind {
        DispatchTensorKind::Flex(tensor) => tensor.int(),
        #[allow(unreachable_patterns, reason = "reached when other backends are compiled in")]
        _ => panic!("a tensor of another backend, or with autodiff, came to a body for the CPU"),
    }
}

/// The tensor whose form in the CPU backend this is.
pub(crate) fn wrapped<const D: usize>(tensor: FlexTensor) -> Tensor<D> {
    let kind = DispatchTensorKind::Flex(BackendTensor::Float(tensor));
    Tensor::from_dispatch(DispatchTensor { kind, autodiff: DispatchAutodiffContext::Disabled })
}

/// The same numbers one after the other, as the whole of their buffer.
pub(crate) fn contiguous(tensor: FlexTensor) -> FlexTensor {
    // By reference, since only that is public; the first handle ends here, so that the result may be the only one.
    tensor.to_contiguous()
}

/// The numbers of a tensor that went through [`contiguous`].
pub(crate) fn numbers<T: Number>(tensor: &FlexTensor) -> &[T] {
    match tensor.as_slice() {
        Some(numbers) => numbers,
        None => panic!("a tensor of {:?} was read as another type or out of order", tensor.dtype()),
    }
}

/// A tensor of these numbers.
pub(crate) fn tensor<T: Number>(numbers: Vec<T>, shape: impl Into<Shape>) -> FlexTensor {
    FlexTensor::new(Bytes::from_elems(numbers), Layout::contiguous(shape.into()), T::dtype())
}

/// The sizes of a tensor of `D` axes.
///
/// # Panics
/// If it has another number of axes.
pub(crate) fn sizes<const D: usize>(tensor: &impl TensorMetadata) -> [usize; D] {
    tensor.shape().dims()
}

/// Runs `body` with a view of a matrix, copied only if neither its rows nor its columns are contiguous.
pub(crate) fn viewed<T: Number, Output>(tensor: FlexTensor, body: impl FnOnce(Matrix<'_, T>) -> Output) -> Output {
    if let Some(view) = matrix_view::<T>(&tensor) {
        return body(view);
    }
    let [rows, columns] = sizes(&tensor);
    body(Matrix::new(numbers(&contiguous(tensor)), rows, columns))
}

/// A matrix as it lies in memory, if its rows or its columns are contiguous.
fn matrix_view<T: Number>(tensor: &FlexTensor) -> Option<Matrix<'_, T>> {
    let [rows, columns] = sizes(tensor);
    let data = tensor.storage::<T>().get(tensor.layout().start_offset()..)?;
    match *tensor.layout().strides() {
        [row, 1] if row >= 0 => Some(Matrix::strided(data, rows, columns, row as usize)),
        [1, column] if column >= 0 => Some(Matrix::strided(data, columns, rows, column as usize).transposed()),
        _ => None,
    }
}

/// Indices below `limit`.
///
/// # Panics
/// If one is not, or the type of numbers is not a 32- or 64-bit integer: `what` says what they are.
pub(crate) fn indices(tensor: &FlexTensor, limit: usize, what: &str) -> Vec<u32> {
    let tensor = tensor.to_contiguous();
    let checked = |index: i64| match u32::try_from(index) {
        Ok(small) if (small as usize) < limit => small,
        _ => panic!("{what} {index} is not below {limit}"),
    };
    match tensor.dtype() {
        DType::I32 => tensor.storage::<i32>().iter().map(|&index| checked(i64::from(index))).collect(),
        DType::I64 => tensor.storage::<i64>().iter().map(|&index| checked(index)).collect(),
        other => panic!("{what} must be 32- or 64-bit integers, not {other:?}"),
    }
}
