//! One update of every parameter of a module, and the state that goes with it.

use std::collections::BTreeMap;

use burn::module::Module;
use burn::optim::GradientsParams;
use burn::tensor::{Device, ExecutionError, Tensor, TensorData};

use kiln_kernels::GradientScale;
use kiln_parameters::{HostCopy, map, put_back, take};

use super::error::OptimizerStateError;
use super::{Moving, ParameterView, Slots, UpdateRule};

/// A rule with the state of all parameters, keyed by path.
///
/// # Examples
/// Two updates of plain gradient descent on w², from w = 3:
/// ```
/// use burn::module::{Module, Param};
/// use burn::optim::GradientsParams;
/// use burn::tensor::{Device, Tensor};
/// use kiln_optimization::optimizers::{OptimizerConfig, SgdConfig};
///
/// #[derive(Module, Debug)]
/// struct Point {
///     at: Param<Tensor<1>>,
/// }
///
/// let device = Device::flex().autodiff();
/// let mut point = Point { at: Param::from_tensor(Tensor::from_data([3.0_f32], &device)) };
/// let mut optimizer = OptimizerConfig::Sgd(SgdConfig::default()).build();
/// for _ in 0..2 {
///     let gradients = point.at.val().square().sum().backward();
///     let gradients = GradientsParams::from_grads(gradients, &point);
///     point = optimizer.update(point, gradients, 1.0, 0.25);
/// }
/// assert_eq!(point.at.val().into_data().iter::<f32>().collect::<Vec<_>>(), [0.75]);
/// assert_eq!(optimizer.step(), 2);
/// ```
pub struct Optimizer {
    rule: Box<dyn UpdateRule>,
    slots: BTreeMap<String, Slots>,
    step: u64,
    /// What the rate is multiplied by, by path, where that isn't 1.
    factors: BTreeMap<String, f64>,
    /// Updates before the first one that moves a parameter, by path, where there are any.
    births: BTreeMap<String, u64>,
}

/// What the host, and not the device, keeps of an optimizer's state.
#[derive(Debug, Clone)]
pub struct HostState {
    step: u64,
    numbers: BTreeMap<String, BTreeMap<&'static str, f64>>,
}

impl Optimizer {
    /// An optimizer that follows `rule`, before its first update.
    pub fn new(rule: Box<dyn UpdateRule>) -> Self {
        Self { rule, slots: BTreeMap::new(), step: 0, factors: BTreeMap::new(), births: BTreeMap::new() }
    }

    /// The same, with the rate of some parameters multiplied, by their paths.
    #[must_use]
    pub fn with_factors(mut self, factors: BTreeMap<String, f64>) -> Self {
        self.factors = factors;
        self
    }

    /// The same, with parameters that aren't moved from the start: updates before the first that moves them, by path.
    /// What a rule makes of the number of an update is counted from there.
    #[must_use]
    pub fn with_births(mut self, births: BTreeMap<String, u64>) -> Self {
        self.births = births;
        self
    }

    /// Which update of a parameter this is, counted from 1. An update that wasn't made counts for one born later.
    fn age(&self, path: &str) -> u64 {
        self.step.saturating_sub(self.births.get(path).copied().unwrap_or(0)).max(1)
    }

    /// Moves every parameter that has a gradient, which is multiplied by `scale` first (clipping). If the device
    /// decides that none of them moves, the host learns of it later, and calls [`Optimizer::take_back`].
    pub fn update<M: Module>(
        &mut self,
        model: M,
        gradients: GradientsParams,
        scale: impl Into<GradientScale>,
        rate: f64,
    ) -> M {
        self.step += 1;
        let (model, mut taken) = take(model, gradients);
        let tensors = std::mem::take(&mut taken.tensors);
        let mut slots: Vec<Slots> =
            taken.parameters.iter().map(|taken| self.slots.remove(&taken.path).unwrap_or_default()).collect();
        let moving = taken.parameters.iter().zip(tensors).zip(&mut slots);
        let moving = moving.map(|((taken, [value, gradient]), slots)| {
            let parameter = ParameterView::new(taken, self.age(&taken.path));
            Moving { parameter, value, gradient, slots }
        });
        let values = self.moved(moving.collect(), &scale.into(), rate);
        let model = put_back(model, &taken, values);
        self.slots.extend(taken.parameters.into_iter().map(|taken| taken.path).zip(slots));
        model
    }

    /// The new values, in their order; those with one rate and one age are moved in one go.
    fn moved(&self, moving: Vec<Moving<'_>>, scale: &GradientScale, rate: f64) -> Vec<Tensor<1>> {
        if self.factors.is_empty() && self.births.is_empty() {
            return self.rule.update_all(moving, scale, rate);
        }
        let mut groups: BTreeMap<(u64, u64), (Vec<usize>, Vec<Moving<'_>>)> = BTreeMap::new();
        for (place, moving) in moving.into_iter().enumerate() {
            let factor = self.factors.get(moving.parameter.path).copied().unwrap_or(1.0);
            let (places, group) = groups.entry((factor.to_bits(), moving.parameter.step)).or_default();
            places.push(place);
            group.push(moving);
        }
        let mut values: BTreeMap<usize, Tensor<1>> = BTreeMap::new();
        for ((factor, _), (places, group)) in groups {
            values.extend(places.into_iter().zip(self.rule.update_all(group, scale, rate * f64::from_bits(factor))));
        }
        values.into_values().collect()
    }

    /// What the host keeps of the state, to be given to [`Optimizer::take_back`].
    pub fn host_state(&self) -> HostState {
        let numbers = self.slots.iter().map(|(path, slots)| (path, slots.numbers()));
        let numbers = numbers.filter(|(_, numbers)| !numbers.is_empty());
        HostState { step: self.step, numbers: numbers.map(|(path, numbers)| (path.clone(), numbers.clone())).collect() }
    }

    /// Counts the updates since `before` as not made: on the device they have changed nothing.
    pub fn take_back(&mut self, before: HostState) {
        self.step = before.step;
        if before.step == 0 {
            self.slots.clear();
        }
        for (path, numbers) in before.numbers {
            if let Some(slots) = self.slots.get_mut(&path) {
                slots.set_numbers(numbers);
            }
        }
    }

    /// How many updates were made.
    pub fn step(&self) -> u64 {
        self.step
    }

    /// Whether a model is evaluated, and used after training, with other weights than those that move.
    pub fn has_evaluation_weights(&self) -> bool {
        self.rule.has_evaluation_weights()
    }

    /// The model, which is without autodiff, with the weights that it is to be evaluated with.
    pub fn for_evaluation<M: Module>(&self, model: M) -> M {
        if !self.has_evaluation_weights() {
            return model;
        }
        map(model, |parameter, value| match self.slots.get(&parameter.path) {
            Some(slots) => self.rule.evaluation_weights(value, slots),
            None => value,
        })
    }

    /// Adds the state to a copy, named `path/slot`.
    pub fn copy_state<G: Copy + Ord>(&self, group: G, copy: &mut HostCopy<G>) {
        self.slots.iter().for_each(|(path, slots)| slots.copy(path, group, copy));
    }

    /// The state as data, named `path/slot`, all of it read before this returns.
    ///
    /// # Errors
    /// When the device fails.
    pub fn state(&self) -> Result<BTreeMap<String, TensorData>, ExecutionError> {
        let mut copy = HostCopy::default();
        self.copy_state((), &mut copy);
        Ok(copy.read()?.remove(&()).unwrap_or_default())
    }

    /// Puts back what [`Optimizer::state`] gave, after `step` updates of a model with these parameters; frozen ones
    /// have no state.
    ///
    /// # Errors
    /// When a slot is missing, left over, or of another length than its parameter: nothing is restored in part. A
    /// parameter that is moved later may have none.
    pub fn restore(
        &mut self,
        mut state: BTreeMap<String, TensorData>,
        step: u64,
        parameters: &[kiln_parameters::Parameter],
        device: &Device,
    ) -> Result<(), OptimizerStateError> {
        let mut restored: BTreeMap<String, Slots> = BTreeMap::new();
        if step > 0 {
            for parameter in parameters.iter().filter(|parameter| parameter.is_trained) {
                let view = ParameterView::new(parameter, step);
                let (names, is_packed) = (self.rule.slot_names(view), self.rule.is_packed(view));
                let is_unborn = || !names.all().any(|name| state.contains_key(&format!("{}/{name}", parameter.path)));
                if self.births.contains_key(&parameter.path) && is_unborn() {
                    continue;
                }
                let slots =
                    Slots::from_data(names, is_packed, &parameter.path, parameter.elements(), &mut state, device)?;
                restored.insert(parameter.path.clone(), slots);
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
