//! What gradients are multiplied by, known to the host or to the device alone.
//!
//! A GPU works behind the host. If the host had to read a loss and a norm before it can ask for a step, the GPU would
//! stand still meanwhile; so the device itself clips, and leaves everything as it is if a number is not finite.

use burn::tensor::Tensor;

/// Whether the numbers of an update are finite, and how far its gradients are scaled down. It lies where the numbers
/// lie: on a GPU, making one waits for nothing.
#[derive(Debug, Clone)]
pub struct Guard {
    /// The factor, and 1 if steps are to be made, else 0.
    state: Tensor<1>,
}

/// What every gradient is multiplied by before a step.
#[derive(Debug, Clone)]
pub enum GradientScale {
    /// A number.
    Number(f64),
    /// A number on the device, where it is decided whether the step is made at all.
    Guarded(Box<Guard>),
}

/// The factor that brings a gradient of norm `norm` down to `limit`, 1 if it is not above.
///
/// As `torch.nn.utils.clip_grad_norm_`: min(1, limit / (norm + 1e-6)).
pub fn clip_coefficient(norm: f64, limit: Option<f64>) -> f64 {
    limit.map_or(1.0, |limit| (limit / (norm + 1e-6)).min(1.0))
}

impl Guard {
    /// That of an update whose loss and gradient norm are the first two of `numbers`: it scales the norm down to
    /// `limit`. Nothing is written where one of them is not finite, nor after an update to which this already happened:
    /// `before` is the guard of the last update, unless the host knows that it was made.
    ///
    /// # Panics
    /// With less than two numbers, or if they are tracked by autodiff.
    pub fn new(numbers: Tensor<1>, limit: Option<f64>, before: Option<&Self>) -> Self {
        assert!(numbers.dims()[0] >= 2, "a guard needs a loss and a norm");
        assert!(!numbers.device().is_autodiff(), "a guard is made without autodiff");
        let before = before.map(|guard| guard.state.clone());
        let state = if crate::flex::has_fast_body(&numbers) {
            super::flex::guard(numbers, limit, before)
        } else {
            Self::on_other_devices(numbers, limit, before)
        };
        Self { state }
    }

    #[cfg(feature = "cube")]
    fn on_other_devices(numbers: Tensor<1>, limit: Option<f64>, before: Option<Tensor<1>>) -> Tensor<1> {
        if crate::cube::is_on_gpu(&numbers) {
            return super::cube_guard::guard(numbers, limit, before);
        }
        super::reference::guard(numbers, limit, before)
    }

    #[cfg(not(feature = "cube"))]
    fn on_other_devices(numbers: Tensor<1>, limit: Option<f64>, before: Option<Tensor<1>>) -> Tensor<1> {
        super::reference::guard(numbers, limit, before)
    }

    /// The factor, and 1 if steps are to be made, else 0: `[2]`.
    pub fn state(&self) -> &Tensor<1> {
        &self.state
    }
}

impl GradientScale {
    /// A flattened gradient times the factor; without an operation if that is known to be 1.
    pub fn scaled(&self, gradient: Tensor<1>) -> Tensor<1> {
        match self {
            Self::Number(1.0) => gradient,
            Self::Number(factor) => gradient.mul_scalar(*factor),
            Self::Guarded(guard) => gradient.mul(guard.state.clone().narrow(0, 0, 1)),
        }
    }

    /// `new` if the step is made, else `old`.
    pub fn chosen(&self, new: Tensor<1>, old: Tensor<1>) -> Tensor<1> {
        match self {
            Self::Number(_) => new,
            Self::Guarded(guard) => {
                let stays = guard.state.clone().narrow(0, 1, 1).equal_elem(0.0).expand([old.dims()[0]]);
                new.mask_where(stays, old)
            }
        }
    }
}

impl From<f64> for GradientScale {
    fn from(factor: f64) -> Self {
        Self::Number(factor)
    }
}

impl From<Guard> for GradientScale {
    fn from(guard: Guard) -> Self {
        Self::Guarded(Box::new(guard))
    }
}
