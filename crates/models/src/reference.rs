//! Figures from PyTorch: what `scripts/reference/cells.py` wrote into `fixtures/`, and the weights that both sides
//! compute.

use std::collections::BTreeMap;
use std::path::Path;

use burn::module::{Module, ModuleVisitor, Param};
use burn::tensor::{Device, Gradients, Int, Shape, Tensor, TensorData};
use kiln_parameters::catalogue;
use serde::Deserialize;

/// One file of `fixtures/`.
#[derive(Deserialize)]
pub(crate) struct Fixture {
    inputs: BTreeMap<String, Numbers>,
    outputs: BTreeMap<String, Numbers>,
    gradients: BTreeMap<String, Numbers>,
}

/// A tensor in a fixture, row-major.
#[derive(Deserialize)]
struct Numbers {
    shape: Vec<usize>,
    data: Vec<f64>,
}

impl Fixture {
    pub(crate) fn read(name: &str) -> Self {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures").join(format!("{name}.json"));
        let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    }

    /// An input that wants a gradient.
    pub(crate) fn input<const D: usize>(&self, name: &str, device: &Device) -> Tensor<D> {
        let Numbers { shape, data } = &self.inputs[name];
        let values: Vec<f32> = data.iter().map(|&value| value as f32).collect();
        Tensor::from_data(TensorData::new(values, Shape::from(shape.clone())), device).require_grad()
    }

    /// Token ids.
    pub(crate) fn tokens(&self, name: &str, device: &Device) -> Tensor<2, Int> {
        let Numbers { shape, data } = &self.inputs[name];
        let values: Vec<i32> = data.iter().map(|&value| value as i32).collect();
        Tensor::from_data(TensorData::new(values, Shape::from(shape.clone())), device)
    }

    pub(crate) fn check_output<const D: usize>(&self, name: &str, output: &Tensor<D>) {
        check(&format!("output {name}"), &self.outputs[name], &output.to_data());
    }

    /// The gradient of an input.
    pub(crate) fn check_gradient<const D: usize>(&self, name: &str, input: &Tensor<D>, gradients: &Gradients) {
        let gradient = input.grad(gradients).unwrap_or_else(|| panic!("{name} has no gradient"));
        check(&format!("gradient of {name}"), &self.gradients[name], &gradient.to_data());
    }

    /// The gradients of every parameter of `module`, by path; `inputs` other gradients are in the fixture.
    pub(crate) fn check_parameter_gradients(&self, module: &impl Module, inputs: usize, gradients: &Gradients) {
        let paths: Vec<String> = catalogue(module).into_iter().map(|parameter| parameter.path).collect();
        let mut visitor = GradientCheck { fixture: self, gradients, paths: paths.into_iter(), checked: 0 };
        module.visit(&mut visitor);
        assert_eq!(visitor.checked + inputs, self.gradients.len(), "every gradient of the fixture was compared");
    }
}

/// Equal to within float32's rounding of sums of a few dozen terms.
fn check(what: &str, expected: &Numbers, actual: &TensorData) {
    assert_eq!(actual.shape().as_slice(), expected.shape.as_slice(), "shape of {what}");
    for (index, (actual, &expected)) in actual.iter::<f64>().zip(&expected.data).enumerate() {
        let tolerance = 1e-5 + 2e-5 * expected.abs();
        assert!((actual - expected).abs() <= tolerance, "{what}[{index}] is {actual}, PyTorch has {expected}");
    }
}

/// `module` with the weights that the fixtures were made with; `names` are the parameters' paths in the fixture's
/// order.
pub(crate) fn with_reference_weights<M: Module>(module: M, names: &[&str]) -> M {
    let number =
        |path: &str| names.iter().position(|name| *name == path).unwrap_or_else(|| panic!("unexpected {path}"));
    assert_eq!(catalogue(&module).len(), names.len(), "every named parameter exists");
    kiln_parameters::map(module, |parameter, old| weights(&parameter.path, number(&parameter.path), &old))
}

/// `module` with weights by the same formula, numbered in the order of its own parameters: a model that needs no
/// generator.
pub(crate) fn with_fixed_weights<M: Module>(module: M) -> M {
    let mut number = 0..;
    kiln_parameters::map(module, |parameter, old| weights(&parameter.path, number.next().unwrap_or(0), &old))
}

/// The objective whose gradients are in the fixtures: the sum of o[i] cos(i + 1 + m) over the outputs o, `number` being
/// m.
pub(crate) fn objective<const D: usize>(output: Tensor<D>, number: usize) -> Tensor<1> {
    let shape = output.shape();
    let cosines: Vec<f32> = (0..shape.num_elements()).map(|i| ((i + 1 + number) as f64).cos() as f32).collect();
    let cosines = Tensor::from_data(TensorData::new(cosines, shape), &output.device());
    (output * cosines).sum()
}

/// The values of the parameter `number`, in the shape of its `old` ones.
fn weights(path: &str, number: usize, old: &Tensor<1>) -> Tensor<1> {
    let value = |index: usize| (0.37 * ((index + 1) as f64).powi(2) + number as f64).sin();
    let scaled =
        |index: usize| if path.ends_with("norm.weight") { 1.0 + 0.2 * value(index) } else { 0.5 * value(index) };
    let values: Vec<f32> = (0..old.dims()[0]).map(|index| scaled(index) as f32).collect();
    Tensor::from_data(TensorData::new(values, old.dims()), &old.device())
}

struct GradientCheck<'a> {
    fixture: &'a Fixture,
    gradients: &'a Gradients,
    paths: std::vec::IntoIter<String>,
    checked: usize,
}

impl ModuleVisitor for GradientCheck<'_> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let path = self.paths.next().expect("a path for each parameter");
        self.fixture.check_gradient(&path, &param.val(), self.gradients);
        self.checked += 1;
    }
}
