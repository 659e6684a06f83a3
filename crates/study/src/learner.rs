//! Updates on a loss of one's own: [`Trainer`](kiln_training::learning::Trainer) has the mean loss of a text, and clips
//! by the global norm alone.

use burn::module::Module;
use burn::optim::GradientsParams;
use burn::tensor::{ExecutionError, Tensor};
use kiln_models::LanguageModel;
use kiln_optimization::optimizers::{Optimizer, OptimizerConfig, clip_coefficient, global_norm};
use kiln_optimization::schedules::Schedule;
use kiln_parameters::catalogue;

/// What keeps an update from being too large.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Clipping {
    /// Nothing.
    None,
    /// The gradient is scaled down to this global norm.
    Norm(f64),
    /// Each of its numbers is brought within this size.
    Value(f64),
}

/// A model that learns.
pub(crate) struct Learner {
    /// With autodiff; nothing only while an update moves it.
    model: Option<LanguageModel>,
    optimizer: Optimizer,
    schedule: Box<dyn Schedule>,
    clipping: Clipping,
}

/// The numbers of an update, before clipping.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Numbers {
    pub(crate) loss: f64,
    pub(crate) norm: f64,
}

impl Numbers {
    pub(crate) fn are_finite(self) -> bool {
        self.loss.is_finite() && self.norm.is_finite()
    }
}

impl Learner {
    /// Of a model without autodiff.
    pub(crate) fn new(
        model: LanguageModel,
        optimizer: &OptimizerConfig,
        schedule: Box<dyn Schedule>,
        clipping: Clipping,
    ) -> Self {
        Self { model: Some(model.train()), optimizer: optimizer.build(), schedule, clipping }
    }

    /// The model, with autodiff.
    pub(crate) fn model(&self) -> &LanguageModel {
        let Some(model) = &self.model else { panic!("there is a model between updates") };
        model
    }

    /// The model as it is to be used.
    pub(crate) fn finished(&self) -> LanguageModel {
        self.optimizer.for_evaluation(self.model().valid())
    }

    /// One update; where a number isn't finite the weights stay as they were.
    pub(crate) fn update(&mut self, loss: impl FnOnce(&LanguageModel) -> Tensor<1>) -> Result<Numbers, ExecutionError> {
        let Some(model) = self.model.take() else { panic!("there is a model between updates") };
        let loss = loss(&model);
        let gradients = GradientsParams::from_grads(loss.backward(), &model);
        let norm = global_norm(&model, &gradients).map_or_else(|| loss.clone().inner().zeros_like(), |norm| norm.0);
        let read: Vec<f64> = Tensor::cat(vec![loss.inner(), norm], 0).try_into_data()?.iter::<f64>().collect();
        let numbers = Numbers { loss: read[0], norm: read[1] };
        self.schedule.observe_training(numbers.loss);
        let rate = self.schedule.next_rate();
        self.model = Some(if numbers.are_finite() {
            let (gradients, scale) = match self.clipping {
                Clipping::None => (gradients, 1.0),
                Clipping::Norm(limit) => (gradients, clip_coefficient(numbers.norm, Some(limit))),
                Clipping::Value(limit) => (clamped(&model, gradients, limit), 1.0),
            };
            self.optimizer.update(model, gradients, scale, rate)
        } else {
            model
        });
        Ok(numbers)
    }
}

/// Gradients with every number brought within `limit`, as `torch.nn.utils.clip_grad_value_`.
pub(crate) fn clamped(model: &LanguageModel, mut gradients: GradientsParams, limit: f64) -> GradientsParams {
    for parameter in catalogue(model) {
        // Parameters of language models are vectors and matrices.
        let id = parameter.id;
        if parameter.shape.len() == 1 {
            let vector = gradients.remove::<1>(id);
            vector.into_iter().for_each(|vector| gradients.register(id, vector.clamp(-limit, limit)));
        } else {
            let matrix = gradients.remove::<2>(id);
            matrix.into_iter().for_each(|matrix| gradients.register(id, matrix.clamp(-limit, limit)));
        }
    }
    gradients
}

#[cfg(test)]
mod tests {
    use burn::tensor::{Device, Int};
    use kiln_kernels::Draws;
    use kiln_models::{ModelConfig, RnnConfig};
    use kiln_optimization::optimizers::SgdConfig;
    use kiln_optimization::schedules::{ConstantConfig, ScheduleConfig};
    use kiln_parameters::visit;

    use super::*;

    fn numbers(model: &LanguageModel) -> Vec<f32> {
        let mut all = Vec::new();
        visit(model, |_, values| all.extend(values.into_data().iter::<f32>()));
        all
    }

    /// How far one update of gradient descent with rate 1 moves each number.
    fn moved(clipping: Clipping) -> (Vec<f32>, Numbers) {
        let config = RnnConfig { layers: 1, hidden: 4, ..RnnConfig::default() };
        let model = ModelConfig::Rnn(config).init(5, 8, 1, &Device::flex());
        let before = numbers(&model);
        let schedule = ScheduleConfig::Constant(ConstantConfig { rate: 1.0, warmup: 0 }).build(1);
        let mut learner = Learner::new(model, &OptimizerConfig::Sgd(SgdConfig::default()), schedule, clipping);
        let window = |first: i32| Tensor::<1, Int>::arange(i64::from(first)..i64::from(first) + 4, &learner_device());
        let found = learner.update(|model| {
            let (inputs, targets) = (window(0).reshape([1, 4]), window(1).reshape([1, 4]));
            model.losses(inputs, targets, None, &mut Draws::none()).0.mean()
        });
        let moved = numbers(&learner.finished()).iter().zip(&before).map(|(after, before)| after - before).collect();
        (moved, found.expect("a processor does not fail"))
    }

    fn learner_device() -> Device {
        Device::flex().autodiff()
    }

    #[test]
    fn clipping_does_what_it_says() {
        let (free, numbers) = moved(Clipping::None);
        let norm = |values: &[f32]| values.iter().map(|value| f64::from(value * value)).sum::<f64>().sqrt();
        assert!((norm(&free) - numbers.norm).abs() < 1e-4 * numbers.norm, "{} {}", norm(&free), numbers.norm);
        let (scaled, _) = moved(Clipping::Norm(0.1));
        assert!(numbers.norm > 0.2 && (norm(&scaled) - 0.1).abs() < 1e-4);
        let (clamped, _) = moved(Clipping::Value(0.05));
        for (clamped, free) in clamped.iter().zip(&free) {
            assert!((clamped - free.clamp(-0.05, 0.05)).abs() < 1e-6, "{clamped} {free}");
        }
        assert!(free.iter().any(|number| number.abs() > 0.05));
    }
}
