use burn::module::{Module, Param};
use burn::optim::GradientsParams;
use burn::tensor::{Device, Tensor};

use super::*;

#[derive(Module, Debug)]
struct Embedding {
    weight: Param<Tensor<2>>,
}

#[derive(Module, Debug)]
struct Norm {
    weight: Param<Tensor<1>>,
    bias: Option<Param<Tensor<1>>>,
}

#[derive(Module, Debug)]
struct Adapter {
    down: Param<Tensor<2>>,
    up: Param<Tensor<2>>,
}

#[derive(Module, Debug)]
struct Dense {
    weight: Param<Tensor<2>>,
}

#[derive(Module, Debug)]
struct LowRank {
    weight: Param<Tensor<2>>,
    adapter: Adapter,
}

/// The first derived enum inside a model: its variants must not show in a path.
#[derive(Module, Debug)]
enum Projection {
    Dense(Dense),
    LowRank(LowRank),
}

#[derive(Module, Debug)]
struct Head {
    weight: Option<Param<Tensor<2>>>,
    bias: Option<Param<Tensor<1>>>,
}

#[derive(Module, Debug)]
struct Model {
    table: Embedding,
    layers: Vec<Projection>,
    norm: Norm,
    output: Head,
}

fn matrix(rows: usize, columns: usize, device: &Device) -> Param<Tensor<2>> {
    Param::from_tensor(Tensor::ones([rows, columns], device))
}

fn vector(length: usize, device: &Device) -> Param<Tensor<1>> {
    Param::from_tensor(Tensor::ones([length], device))
}

fn model(device: &Device) -> Model {
    let low_rank = LowRank {
        weight: matrix(3, 3, device),
        adapter: Adapter { down: matrix(3, 1, device), up: matrix(1, 3, device) },
    };
    Model {
        table: Embedding { weight: matrix(5, 3, device) },
        layers: vec![Projection::Dense(Dense { weight: matrix(3, 3, device) }), Projection::LowRank(low_rank)],
        norm: Norm { weight: vector(3, device), bias: Some(vector(3, device)) },
        output: Head { weight: Some(matrix(3, 5, device)), bias: Some(vector(5, device)) },
    }
}

#[test]
fn every_parameter_has_its_path_role_and_shape() {
    let found: Vec<_> = catalogue(&model(&Device::flex()))
        .into_iter()
        .map(|parameter| (parameter.path, parameter.role, parameter.shape))
        .collect();
    let expected = [
        ("table.weight", Role::Embedding, vec![5, 3]),
        ("layers.0.weight", Role::HiddenMatrix, vec![3, 3]),
        ("layers.1.weight", Role::HiddenMatrix, vec![3, 3]),
        ("layers.1.adapter.down", Role::Adapter, vec![3, 1]),
        ("layers.1.adapter.up", Role::Adapter, vec![1, 3]),
        ("norm.weight", Role::Gain, vec![3]),
        ("norm.bias", Role::Bias, vec![3]),
        ("output.weight", Role::Head, vec![3, 5]),
        ("output.bias", Role::Bias, vec![5]),
    ];
    assert_eq!(found, expected.map(|(path, role, shape)| (path.to_string(), role, shape)));
}

#[test]
fn all_walks_call_a_parameter_by_the_same_path() {
    let device = Device::flex().autodiff();
    let model = model(&device);
    let paths: Vec<String> = catalogue(&model).into_iter().map(|parameter| parameter.path).collect();
    let mut visited = Vec::new();
    visit(&model, |parameter, _| visited.push(parameter.path.clone()));
    assert_eq!(visited, paths);
    let mut mapped = Vec::new();
    let model = map(model, |parameter, value| {
        mapped.push(parameter.path.clone());
        value
    });
    assert_eq!(mapped, paths);
    let gradients = gradients_of(&model);
    let (_, taken) = take(model, gradients);
    assert_eq!(taken.parameters.iter().map(|parameter| parameter.path.clone()).collect::<Vec<_>>(), paths);
}

/// Of the sum of all numbers of trained parameters: ones.
fn gradients_of(model: &Model) -> GradientsParams {
    let mut sum: Option<Tensor<1>> = None;
    let mut add = |value: Tensor<1>| sum = Some(sum.take().map_or_else(|| value.clone(), |sum| sum + value.clone()));
    let Model { table, layers, norm, output } = model;
    add(table.weight.val().sum());
    for layer in layers {
        match layer {
            Projection::Dense(dense) => add(dense.weight.val().sum()),
            Projection::LowRank(low_rank) => {
                add(low_rank.weight.val().sum());
                add(low_rank.adapter.down.val().sum());
                add(low_rank.adapter.up.val().sum());
            }
        }
    }
    add(norm.weight.val().sum());
    norm.bias.iter().chain(&output.bias).for_each(|bias| add(bias.val().sum()));
    output.weight.iter().for_each(|weight| add(weight.val().sum()));
    GradientsParams::from_grads(sum.unwrap().backward(), model)
}

#[test]
fn a_frozen_parameter_has_no_gradient_and_is_not_taken() {
    let device = Device::flex().autodiff();
    let mut model = model(&device);
    model.table.weight = model.table.weight.set_require_grad(false);
    // It stays frozen through a walk, and without autodiff.
    let model = map(model, |_, value| value);
    for frozen in [catalogue(&model), catalogue(&model.valid())] {
        let trained: Vec<bool> = frozen.iter().map(|parameter| parameter.is_trained).collect();
        assert_eq!(trained, [false, true, true, true, true, true, true, true, true]);
    }
    let gradients = gradients_of(&model);
    let table = &catalogue(&model)[0];
    assert!(flat_gradient(&gradients, table).is_none());
    assert_eq!(flat_gradients(&model, &gradients).len(), 8);
    let (model, mut taken) = take(model, gradients);
    assert_eq!(taken.parameters.len(), 8);
    let values = std::mem::take(&mut taken.tensors).into_iter().map(|[value, gradient]| value + gradient).collect();
    let model = put_back(model, &taken, values);
    let mut sums = Vec::new();
    visit(&model, |_, value| sums.push(value.sum().into_scalar::<f32>()));
    assert_eq!(sums, [15.0, 18.0, 18.0, 6.0, 6.0, 6.0, 6.0, 30.0, 10.0]);
    assert!(!catalogue(&model)[0].is_trained);
}

#[test]
fn a_catalogue_draws_and_reads_nothing() {
    let device = Device::flex();
    let lazy = Param::uninitialized(
        burn::module::ParamId::new(),
        |_: &Device, _| -> Tensor<2> { panic!("it was made") },
        device,
        true,
        [2, 3].into(),
    );
    let found = catalogue(&Embedding { weight: lazy });
    assert_eq!((found[0].path.as_str(), &found[0].shape[..], found[0].is_trained), ("weight", &[2, 3][..], true));
}

#[test]
fn a_copy_has_every_tensor_in_its_group_with_its_shape_whether_or_not_it_is_with_autodiff() {
    #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
    enum Group {
        Parameters,
        Others,
        Empty,
    }
    let device = Device::flex();
    let norm = Norm {
        weight: Param::from_tensor(Tensor::from_floats([1.0, 2.0], &device)),
        bias: Some(Param::from_tensor(Tensor::from_floats([3.0, 4.0], &device))),
    };
    let mut copy = HostCopy::default();
    let with_autodiff = Tensor::<2>::from_floats([[5.0], [6.0]], &device.clone().autodiff());
    copy.add(Group::Others, "matrix".to_string(), with_autodiff);
    copy.add_parameters(Group::Parameters, &norm.train());
    copy.add_data(Group::Others, "number".to_string(), burn::tensor::TensorData::from([7.0_f64]));
    let groups = copy.read().unwrap();
    let found =
        |group, name: &str| (groups[&group][name].shape().to_vec(), groups[&group][name].iter::<f64>().collect());
    assert_eq!(found(Group::Parameters, "weight"), (vec![2], vec![1.0, 2.0]));
    assert_eq!(found(Group::Parameters, "bias"), (vec![2], vec![3.0, 4.0]));
    assert_eq!(found(Group::Others, "matrix"), (vec![2, 1], vec![5.0, 6.0]));
    assert_eq!(found(Group::Others, "number"), (vec![1], vec![7.0]));
    assert_eq!(groups.len(), 2, "{:?}", groups.get(&Group::Empty));
}

#[test]
fn a_copy_of_nothing_is_empty() {
    assert!(HostCopy::<()>::default().read().unwrap().is_empty());
}

#[test]
fn filling_keeps_ids_and_training_and_makes_no_value_first() {
    let device = Device::flex().autodiff();
    let lazy = |shape: [usize; 2], is_trained| {
        let made = |_: &Device, _| -> Tensor<2> { panic!("it was made") };
        Param::uninitialized(burn::module::ParamId::new(), made, device.clone(), is_trained, shape.into())
    };
    let adapter = Adapter { down: lazy([3, 1], false), up: lazy([1, 3], true) };
    let ids = [adapter.down.id, adapter.up.id];
    let filled = fill(adapter, |parameter| {
        let value = if parameter.path == "down" { 2.0 } else { 3.0 };
        Some(Tensor::full([parameter.elements()], value, &Device::flex()))
    });
    let found = catalogue(&filled);
    assert_eq!(found.iter().map(|parameter| parameter.id).collect::<Vec<_>>(), ids);
    assert_eq!(found.iter().map(|parameter| parameter.is_trained).collect::<Vec<_>>(), [false, true]);
    assert!(filled.down.val().device().is_autodiff());
    let gradients = (filled.down.val() * filled.up.val().transpose()).sum().backward();
    assert!(filled.down.val().grad(&gradients).is_none());
    assert_eq!(filled.up.val().grad(&gradients).unwrap().into_data().try_to_vec::<f32>().unwrap(), [2.0; 3]);
    // What isn't given stays.
    let some = fill(filled, |parameter| (parameter.path == "up").then(|| Tensor::zeros([3], &Device::flex())));
    assert_eq!(some.down.val().inner().sum().into_scalar::<f32>(), 6.0);
    assert_eq!(some.up.val().inner().sum().into_scalar::<f32>(), 0.0);
}
