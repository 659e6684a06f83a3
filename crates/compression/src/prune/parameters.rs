//! Parameters that lose rows and columns, and the model that is made of what is left.

use std::collections::BTreeMap;
use std::path::Path;

use burn::tensor::TensorData;
use kiln_models::saved::{apply_tensors, collect_tensors};
use kiln_models::{LanguageModel, ModelConfig};

use crate::error::CompressionError;

/// All parameters of a model by their paths.
pub(super) struct Parameters(BTreeMap<String, TensorData>);

impl Parameters {
    pub(super) fn of(model: &LanguageModel) -> Result<Self, CompressionError> {
        collect_tensors(model).map(Self).map_err(|error| CompressionError::Device(error.to_string()))
    }

    /// Keeps these indices of an axis, if there is such a parameter.
    pub(super) fn keep(&mut self, name: &str, axis: usize, kept: &[usize]) {
        let Some(data) = self.0.get_mut(name) else { return };
        let shape = data.shape().to_vec();
        let numbers: Vec<f32> = data.iter::<f32>().collect();
        let inner: usize = shape[axis + 1..].iter().product();
        let outer: usize = shape[..axis].iter().product();
        let mut left = Vec::with_capacity(outer * kept.len() * inner);
        for outer in 0..outer {
            for index in kept {
                let start = (outer * shape[axis] + index) * inner;
                left.extend_from_slice(&numbers[start..start + inner]);
            }
        }
        let mut left_shape = shape;
        left_shape[axis] = kept.len();
        *data = TensorData::new(left, left_shape);
    }

    /// Gives those under `from` the paths under `to`.
    pub(super) fn rename(&mut self, from: &str, to: &str) {
        if from == to {
            return;
        }
        let names: Vec<String> = self.0.keys().filter(|name| name.starts_with(from)).cloned().collect();
        for name in names {
            if let Some(data) = self.0.remove(&name) {
                self.0.insert(format!("{to}{}", &name[from.len()..]), data);
            }
        }
    }

    /// Takes out those under `prefix`.
    pub(super) fn remove(&mut self, prefix: &str) {
        self.0.retain(|name, _| !name.starts_with(prefix));
    }

    /// Sum of squares of each row of a matrix `[rows, columns]`.
    pub(super) fn squares_of_rows(&self, name: &str) -> Vec<f64> {
        let Some(data) = self.0.get(name) else { return Vec::new() };
        let columns = data.shape().last().copied().unwrap_or(1).max(1);
        let numbers: Vec<f64> = data.iter::<f64>().collect();
        numbers.chunks(columns).map(|row| row.iter().map(|number| number * number).sum()).collect()
    }

    /// The model of this configuration with these parameters.
    pub(super) fn into_model(
        self,
        config: &ModelConfig,
        like: &LanguageModel,
        context: usize,
    ) -> Result<LanguageModel, CompressionError> {
        let blank = config.blank(like.vocabulary_size(), context, &like.device());
        apply_tensors(blank, self.0, Path::new("the pruned model"))
            .map_err(|error| CompressionError::Device(error.to_string()))
    }
}

/// The indices of all but the `count` least, in order; of equals the first go.
pub(super) fn all_but_the_least(values: &[f64], count: usize) -> Vec<usize> {
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by(|left, right| values[*left].total_cmp(&values[*right]));
    let mut kept = order.split_off(count.min(order.len()));
    kept.sort_unstable();
    kept
}
