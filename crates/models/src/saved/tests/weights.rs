use burn::Tensor;
use burn::module::{Module, Param};
use burn::tensor::{Device, TensorData};

use kiln_parameters::catalogue;

use super::super::weights::not_finite;
use super::super::{SavedModelError, WeightProblem, apply_tensors, collect_tensors};

/// A module with everything that makes up a path: a list, an enum, an option.
#[derive(Module, Debug)]
struct Model {
    layers: Vec<Layer>,
    head: Head,
}

#[derive(Module, Debug)]
struct Layer {
    weight: Param<Tensor<2>>,
    bias: Option<Param<Tensor<1>>>,
}

#[derive(Module, Debug)]
enum Head {
    Linear(Layer),
    #[allow(dead_code)]
    None(Gain),
}

#[derive(Module, Debug)]
struct Gain {
    gain: Param<Tensor<1>>,
}

fn layer(first: f32, bias: bool, device: &Device) -> Layer {
    let weight = Param::from_data([[first, 2.0, 1.0 / 3.0], [0.1, -0.0, 1e-40]], device);
    Layer { weight, bias: bias.then(|| Param::from_data([first, first], device)) }
}

fn model(first: f32) -> Model {
    let device = Device::flex();
    Model {
        layers: vec![layer(first, true, &device), layer(first + 1.0, false, &device)],
        head: Head::Linear(layer(first + 2.0, false, &device)),
    }
}

#[test]
fn names_are_paths_without_the_variants_of_enums() {
    let names: Vec<_> = catalogue(&model(1.0)).into_iter().map(|parameter| parameter.path).collect();
    assert_eq!(names, ["layers.0.weight", "layers.0.bias", "layers.1.weight", "head.weight"]);
    let collected: Vec<_> = collect_tensors(&model(1.0)).unwrap().into_keys().collect();
    assert_eq!(collected, ["head.weight", "layers.0.bias", "layers.0.weight", "layers.1.weight"]);
}

#[test]
fn applied_tensors_are_bit_equal_and_ids_stay() {
    let (source, target) = (model(5.0), model(1.0));
    let ids: Vec<_> = catalogue(&target);
    let tensors = collect_tensors(&source).unwrap();

    let loaded = apply_tensors(target, tensors.clone(), "x".as_ref()).unwrap();

    assert_eq!(collect_tensors(&loaded).unwrap(), tensors);
    assert_eq!(catalogue(&loaded), ids);
    assert_ne!(catalogue(&source), ids, "two models must not share ids, or the test says nothing");
}

#[test]
fn a_model_on_an_autodiff_device_stays_trainable() {
    let device = Device::flex().autodiff();
    let target = Head::Linear(layer(1.0, true, &device));
    let tensors = collect_tensors(&Head::Linear(layer(9.0, true, &Device::flex()))).unwrap();

    let Head::Linear(loaded) = apply_tensors(target, tensors, "x".as_ref()).unwrap() else { unreachable!() };

    assert!(loaded.weight.is_require_grad());
    let gradients = loaded.weight.val().sum().backward();
    assert!(loaded.weight.val().grad(&gradients).is_some());
    assert_eq!(loaded.weight.val().to_data().as_slice::<f32>().unwrap()[0], 9.0);
}

#[test]
fn every_tensor_that_does_not_fit_is_named_and_nothing_is_loaded() {
    let mut tensors = collect_tensors(&model(5.0)).unwrap();
    tensors.remove("head.weight");
    tensors.insert("layers.0.bias".into(), TensorData::new(vec![1.0_f32], [1]));
    tensors.insert("layers.0.weight".into(), TensorData::new(vec![1.0_f64; 6], [2, 3]));
    tensors
        .insert("layers.1.weight".into(), TensorData::new(vec![0.0, 1.0, f32::NAN, 0.0, f32::INFINITY, 0.0], [2, 3]));
    tensors.insert("extra".into(), TensorData::new(vec![1.0_f32], [1]));

    let refused = apply_tensors(model(1.0), tensors, "x".as_ref()).unwrap_err();
    let SavedModelError::Weights { problems, .. } = refused else { panic!("{refused}") };

    let words: Vec<_> = problems.iter().map(ToString::to_string).collect();
    assert_eq!(
        words,
        [
            "the tensor `layers.0.weight` holds F64 instead of F32",
            "the tensor `layers.0.bias` has the shape [1] instead of [2]",
            "the tensor `layers.1.weight` holds a value that is not finite, at index 2",
            "the tensor `head.weight` is missing",
            "the tensor `extra` belongs to no parameter of the model",
        ]
    );
}

#[test]
fn values_that_are_not_finite_are_found_in_every_float_type() {
    let halves = |bits: [u16; 3]| bits.into_iter().flat_map(u16::to_le_bytes).collect::<Vec<_>>();
    let bad = [
        ("f64", TensorData::new(vec![0.0, f64::NAN], [2]), 1),
        ("f32", TensorData::new(vec![f32::NEG_INFINITY, 0.0], [2]), 0),
        // 65504 is the largest half; 0x7C00 is infinity and 0xFE00 a not-a-number.
        ("f16", TensorData::from_bytes_vec(halves([0x7BFF, 0x7C00, 0]), [3], burn::tensor::DType::F16), 1),
        ("bf16", TensorData::from_bytes_vec(halves([0x7F7F, 0x3F80, 0xFFC0]), [3], burn::tensor::DType::BF16), 2),
    ];
    for (name, data, index) in bad {
        let tensors = [(name.to_owned(), data)].into();
        assert_eq!(not_finite(&tensors), [WeightProblem::NotFinite { name: name.into(), index }]);
    }
    let whole = [("i32".to_owned(), TensorData::new(vec![-1_i32], [1]))].into();
    assert!(not_finite(&whole).is_empty());
}
