//! One update of every parameter of a module, and the state that goes with it.

use std::collections::BTreeMap;

use burn::module::{Module, ModuleMapper, Param};
use burn::optim::GradientsParams;
use burn::tensor::{Device, Tensor, TensorData};

/// What a rule may know of the parameter that it updates.
#[derive(Debug, Clone, Copy)]
pub struct Parameter<'a> {
    /// Path in the module, for example `blocks.0.attention.query_key_value.weight`.
    pub path: &'a str,
    /// The shape before flattening; a rule decays matrices only.
    pub shape: &'a [usize],
    /// Which update this is, counted from 1.
    pub step: u64,
}

impl Parameter<'_> {
    /// Whether the parameter is a matrix (or more), not a bias or a gain.
    pub fn is_matrix(&self) -> bool {
        self.shape.len() >= 2
    }
}

/// The state of one parameter: named vectors of its length.
pub type Slots = BTreeMap<String, Tensor<1>>;

/// How one parameter moves.
pub trait UpdateRule: Send {
    /// The new value from the old one, its gradient and the learning rate; `slots` is read and written.
    fn update(
        &self,
        parameter: Parameter<'_>,
        value: Tensor<1>,
        gradient: Tensor<1>,
        slots: &mut Slots,
        rate: f64,
    ) -> Tensor<1>;

    /// The names of the slots that every parameter has after its first update.
    fn slot_names(&self) -> &'static [&'static str];
}

/// A rule with the state of all parameters, keyed by path.
pub struct Optimizer {
    rule: Box<dyn UpdateRule>,
    slots: BTreeMap<String, Slots>,
    step: u64,
}

/// A saved optimizer state that does not belong to this model or this optimizer.
#[derive(Debug, thiserror::Error)]
pub enum OptimizerStateError {
    /// A tensor for a parameter that the model has not.
    #[error("the optimizer state holds `{0}`, which is no slot of a parameter of this model")]
    Unexpected(String),
    /// A parameter without its state.
    #[error("the optimizer state lacks `{0}`")]
    Missing(String),
    /// A state of another size than its parameter.
    #[error("the optimizer state `{name}` has {found} numbers, its parameter {expected}")]
    Length {
        /// Which slot.
        name: String,
        /// The length in the file.
        found: usize,
        /// The parameter's number of elements.
        expected: usize,
    },
    /// Numbers that are not 32-bit floats.
    #[error("the optimizer state `{0}` does not hold 32-bit floats")]
    NumberType(String),
}

impl Optimizer {
    /// An optimizer that follows `rule`, before its first update.
    pub fn new(rule: impl UpdateRule + 'static) -> Self {
        Self { rule: Box::new(rule), slots: BTreeMap::new(), step: 0 }
    }

    /// Moves every parameter that has a gradient, which is multiplied by `scale` first (clipping).
    pub fn update<M: Module>(&mut self, model: M, gradients: GradientsParams, scale: f64, rate: f64) -> M {
        self.step += 1;
        let mut mapper = UpdateMapper {
            rule: &*self.rule,
            slots: &mut self.slots,
            step: self.step,
            gradients,
            scale,
            rate,
            path: Vec::new(),
        };
        model.map(&mut mapper)
    }

    /// How many updates were made.
    pub fn step(&self) -> u64 {
        self.step
    }

    /// The state as data, named `path/slot`.
    pub fn state(&self) -> BTreeMap<String, TensorData> {
        self.slots
            .iter()
            .flat_map(|(path, slots)| {
                slots.iter().map(move |(slot, tensor)| (format!("{path}/{slot}"), tensor.to_data()))
            })
            .collect()
    }

    /// Puts back what [`Optimizer::state`] gave, after `step` updates of `model`.
    ///
    /// # Errors
    /// When a slot is missing, left over, or of another length than its parameter: nothing is restored in part.
    pub fn restore(
        &mut self,
        mut state: BTreeMap<String, TensorData>,
        step: u64,
        lengths: &BTreeMap<String, usize>,
        device: &Device,
    ) -> Result<(), OptimizerStateError> {
        let mut restored: BTreeMap<String, Slots> = BTreeMap::new();
        if step > 0 {
            for (path, &expected) in lengths {
                for slot in self.rule.slot_names() {
                    let name = format!("{path}/{slot}");
                    let data = state.remove(&name).ok_or_else(|| OptimizerStateError::Missing(name.clone()))?;
                    let values = data.try_to_vec::<f32>().map_err(|_| OptimizerStateError::NumberType(name.clone()))?;
                    if values.len() != expected {
                        return Err(OptimizerStateError::Length { name, found: values.len(), expected });
                    }
                    let tensor = Tensor::from_data(TensorData::new(values, [expected]), device);
                    restored.entry(path.clone()).or_default().insert((*slot).to_string(), tensor);
                }
            }
        }
        if let Some(name) = state.into_keys().next() {
            return Err(OptimizerStateError::Unexpected(name));
        }
        self.slots = restored;
        self.step = step;
        Ok(())
    }
}

struct UpdateMapper<'a> {
    rule: &'a dyn UpdateRule,
    slots: &'a mut BTreeMap<String, Slots>,
    step: u64,
    gradients: GradientsParams,
    scale: f64,
    rate: f64,
    path: Vec<String>,
}

impl ModuleMapper for UpdateMapper<'_> {
    fn enter_module(&mut self, name: &str, _container_type: &str) {
        self.path.push(name.to_string());
    }

    fn exit_module(&mut self, _name: &str, _container_type: &str) {
        self.path.pop();
    }

    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let (id, tensor, mapper) = param.consume();
        let Some(gradient) = self.gradients.remove::<D>(id) else {
            return Param::from_mapped_value(id, tensor, mapper);
        };
        let gradient = if self.scale == 1.0 { gradient } else { gradient.mul_scalar(self.scale) };
        let requires_gradient = tensor.is_require_grad();
        let checkpointing = tensor.gradient_checkpointing_strategy();
        let path = self.path.join(".");
        let shape: [usize; D] = tensor.dims();
        let length = [shape.iter().product::<usize>()];
        let parameter = Parameter { path: &path, shape: &shape, step: self.step };
        let slots = self.slots.entry(path.clone()).or_default();
        let value = tensor.inner().reshape(length);
        let updated = self.rule.update(parameter, value, gradient.reshape(length), slots, self.rate).reshape(shape);
        let mut updated = Tensor::from_inner(updated);
        if let Some(strategy) = checkpointing {
            updated = updated.with_gradient_checkpointing_strategy(strategy);
        }
        if requires_gradient {
            updated = updated.require_grad();
        }
        Param::from_mapped_value(id, updated, mapper)
    }
}
