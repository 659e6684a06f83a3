//! Gradients to new parameters: optimizers, schedules of the learning rate, and averages of the weights.
//!
//! None of it knows language models. An [optimizer](optimizers::Optimizer) moves any Burn module, a
//! [schedule](schedules::Schedule) says how far:
//!
//! ```
//! use burn::module::{Module, Param};
//! use burn::optim::GradientsParams;
//! use burn::tensor::{Device, Tensor};
//! use kiln_optimization::optimizers::{OptimizerConfig, SgdConfig};
//! use kiln_optimization::schedules::{InverseTimeConfig, ScheduleConfig};
//!
//! #[derive(Module, Debug)]
//! struct Point {
//!     at: Param<Tensor<1>>,
//! }
//!
//! let mut point = Point { at: Param::from_tensor(Tensor::from_data([8.0_f32], &Device::flex().autodiff())) };
//! let mut optimizer = OptimizerConfig::Sgd(SgdConfig::default()).build();
//! let settings = InverseTimeConfig { rate: 0.5, time_constant: None, warmup: 0 };
//! let mut schedule = ScheduleConfig::InverseTime(settings).build(2);
//! for _ in 0..2 {
//!     let gradients = (point.at.val().square() / 2.0).sum().backward();
//!     let gradients = GradientsParams::from_grads(gradients, &point);
//!     point = optimizer.update(point, gradients, 1.0, schedule.next_rate());
//! }
//! // 8 (1 - 1/2) (1 - 1/4).
//! assert_eq!(point.at.val().into_scalar::<f32>(), 3.0);
//! ```

pub mod averaging;
pub mod optimizers;
pub mod schedules;
