//! The catalogue of a module's parameters: one walk that gives each its path, its role, its type of numbers, its shape,
//! and whether it is trained. Saving, loading, optimizers, averages, norms and counts all stand on it.
//!
//! A parameter's path is the names of its fields, joined by dots: `layers.0.input.weight`. Which variant of an enum
//! holds it is left out: the description of the model says that already, and a saved model has plain paths.
//!
//! ```
//! use burn::module::{Module, Param};
//! use burn::tensor::{Device, Tensor};
//! use kiln_parameters::{Role, catalogue};
//!
//! #[derive(Module, Debug)]
//! struct Norm {
//!     weight: Param<Tensor<1>>,
//! }
//!
//! #[derive(Module, Debug)]
//! struct Layer {
//!     matrix: Param<Tensor<2>>,
//!     norm: Norm,
//! }
//!
//! let device = Device::flex();
//! let norm = Norm { weight: Param::from_tensor(Tensor::ones([3], &device)) };
//! let layer = Layer { matrix: Param::from_tensor(Tensor::ones([3, 3], &device)), norm };
//! let found: Vec<(String, Role)> = catalogue(&layer).into_iter().map(|found| (found.path, found.role)).collect();
//! assert_eq!(found, [("matrix".into(), Role::HiddenMatrix), ("norm.weight".into(), Role::Gain)]);
//! ```

mod catalogue;
mod count;
mod gradients;
mod host;
mod path;
mod pattern;
mod reading;
mod role;
mod taking;
#[cfg(test)]
mod tests;
mod values;
mod walk;
mod zeros;

pub use catalogue::{Parameter, catalogue};
pub use count::PartCount;
pub use gradients::{flat_gradient, flat_gradients};
pub use host::{HostCopy, HostTensors};
pub use pattern::{fits, is_chosen};
pub use reading::Reading;
pub use role::Role;
pub use taking::{Taken, put_back, take};
pub use walk::{fill, freeze, map, visit};
pub use zeros::{Zeros, without_zeros};
