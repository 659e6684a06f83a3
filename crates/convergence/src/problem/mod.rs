//! Objectives F, with their gradients, on R points at once.

mod config;
mod draws;
mod least_squares;
mod linear_model;
mod logistic_regression;
mod neural_network;
mod objective;
mod on_device;
mod quadratic;
mod quadratic_form;
mod robust_regression;

pub use config::ProblemConfig;
pub use draws::Draws;
pub use least_squares::LinearRegressionConfig;
pub use logistic_regression::LogisticRegressionConfig;
pub use neural_network::NeuralNetworkConfig;
pub use objective::{Problem, Sampled};
pub use quadratic::QuadraticConfig;
pub use robust_regression::RobustRegressionConfig;
