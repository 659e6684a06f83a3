//! Operations on lists of tensors, which Burn's backend extensions do not carry.

use burn::backend::{BackendTensor, DispatchAutodiffContext, DispatchTensor, DispatchTensorKind};
use burn::tensor::Tensor;
use burn_cubecl::Cube;
use burn_cubecl::tensor::CubeTensor;

/// Runs a body on a list of tensors without autodiff on one GPU. It returns tensors `[N]` of f32, of the lengths
/// promised in `outputs`.
///
/// With fusion it runs later, when its turn comes.
///
/// # Panics
/// Without a tensor, or with one of another backend or with autodiff.
pub(crate) fn on_list(
    name: &'static str,
    inputs: Vec<Tensor<1>>,
    outputs: &[usize],
    body: impl Fn(Vec<CubeTensor>) -> Vec<CubeTensor> + Send + Sync + 'static,
) -> Vec<Tensor<1>> {
    let inputs = inputs.into_iter().map(unwrapped).collect();
    backend::run(name, inputs, outputs, body).into_iter().map(wrapped).collect()
}

/// What a tensor is for the backend on GPUs.
type Primitive = burn::backend::tensor::FloatTensor<Cube>;

fn unwrapped(tensor: Tensor<1>) -> Primitive {
    match tensor.into_dispatch().kind {
        DispatchTensorKind::Cube(tensor) => tensor.float(),
        #[allow(unreachable_patterns, reason = "reached when other backends are compiled in")]
        _ => panic!("a tensor of another backend, or with autodiff, came to a body for GPUs"),
    }
}

fn wrapped(tensor: Primitive) -> Tensor<1> {
    let kind = DispatchTensorKind::Cube(BackendTensor::Float(tensor));
    Tensor::from_dispatch(DispatchTensor { kind, autodiff: DispatchAutodiffContext::Disabled })
}

#[cfg(not(feature = "fusion"))]
mod backend {
    use burn_cubecl::tensor::CubeTensor;

    pub(super) fn run(
        _name: &'static str,
        inputs: Vec<CubeTensor>,
        _outputs: &[usize],
        body: impl Fn(Vec<CubeTensor>) -> Vec<CubeTensor>,
    ) -> Vec<CubeTensor> {
        body(inputs)
    }
}

#[cfg(feature = "fusion")]
mod backend {
    use burn::backend::fusion::custom::{
        CustomOpIr, HandleContainer, OperationFn, OperationIr, StreamId, TensorId, TensorIr,
    };
    use burn::tensor::{DType, Shape};
    use burn_cubecl::CubeBackend;
    use burn_cubecl::tensor::CubeTensor;

    use super::Primitive;

    /// As the code that Burn's macro for backend extensions writes.
    pub(super) fn run(
        name: &'static str,
        inputs: Vec<Primitive>,
        outputs: &[usize],
        body: impl Fn(Vec<CubeTensor>) -> Vec<CubeTensor> + Send + Sync + 'static,
    ) -> Vec<Primitive> {
        let client = match inputs.first() {
            Some(input) => input.client.clone(),
            None => panic!("an operation on a list needs a tensor"),
        };
        let inputs: Vec<TensorIr> = inputs.into_iter().map(Primitive::into_ir).collect();
        let described = outputs
            .iter()
            .map(|length| TensorIr::uninit(client.create_empty_handle(), Shape::new([*length]), DType::F32));
        let described: Vec<TensorIr> = described.collect();
        let names: Vec<TensorId> = described.iter().map(|output| output.id).collect();
        let operation = CustomOpIr { id: name.into(), inputs: inputs.clone(), outputs: described, scalars: Vec::new() };
        let run = OperationFn(move |handles: &mut HandleContainer<_>| {
            let tensors = inputs.iter().map(|input| handles.get_float_tensor::<CubeBackend>(input)).collect();
            for (name, tensor) in names.iter().zip(body(tensors)) {
                handles.register_float_tensor::<CubeBackend>(name, tensor);
            }
            Ok(())
        });
        client.register(StreamId::current(), OperationIr::Custom(operation), run)
    }
}
