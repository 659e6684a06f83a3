//! The parameters as the tensors of a family.

use std::collections::BTreeMap;

use burn::tensor::{DType, TensorData};
use kiln_storage::formats::{Mapped, Recipe, Step, TensorFile, TensorFileError, TensorInfo, TensorSource};

use super::super::config::Foreign;
use super::super::names;
use crate::ModelConfig;

/// The tensors of the family, made of `parameters` by name when they are read, and those `beside` them as they are.
/// Biases that the family has and the model doesn't are zero.
///
/// # Errors
/// A parameter is missing.
pub(in crate::saved) fn tensors(
    foreign: &Foreign,
    mut parameters: TensorFile,
    beside: BTreeMap<String, TensorData>,
) -> Result<Mapped<TensorFile>, TensorFileError> {
    let shapes = shapes(foreign);
    for (name, shape) in &shapes {
        if name.ends_with(".bias") && !parameters.tensors.contains_key(name) {
            let zeros = vec![0.0_f32; shape.iter().product()];
            parameters.tensors.insert(name.clone(), TensorData::new(zeros, shape.clone()));
        }
    }
    let mut theirs: BTreeMap<String, Recipe> = beside.keys().map(|name| (name.clone(), Recipe::of(name))).collect();
    parameters.tensors.extend(beside);
    let (recipes, _) = names::recipes(foreign, &[]);
    for (own, recipe) in recipes {
        let info = shapes.get(&own).ok_or_else(|| TensorFileError::Missing(own.clone()))?;
        theirs.extend(inverse(&own, &recipe, info, foreign));
    }
    Mapped::new(parameters, theirs)
}

/// The shapes of all parameters.
fn shapes(foreign: &Foreign) -> BTreeMap<String, Vec<usize>> {
    let config = ModelConfig::Transformer(foreign.config.clone());
    let blank = config.blank(foreign.vocabulary, foreign.context, &burn::tensor::Device::flex());
    let parameters = kiln_parameters::catalogue(&blank);
    parameters.into_iter().map(|parameter| (parameter.path, parameter.shape)).collect()
}

/// What makes each part of a recipe out of the parameter that the recipe makes.
fn inverse(own: &str, recipe: &Recipe, shape: &[usize], foreign: &Foreign) -> Vec<(String, Recipe)> {
    let config = &foreign.config;
    let length = shape.get(recipe.axis).copied().unwrap_or(1);
    let lengths = if own.contains("query_key_value") && recipe.parts.len() == 3 {
        let (queries, key_values) = (config.attention_width(), config.key_value_heads() * config.head_width());
        vec![queries, key_values, key_values]
    } else {
        vec![length / recipe.parts.len().max(1); recipe.parts.len()]
    };
    let mut start = 0;
    let mut made = Vec::new();
    for (part, length) in recipe.parts.iter().zip(lengths) {
        let mut own = Recipe::of(own);
        if recipe.parts.len() > 1 {
            own = own.then(&Step::Slice { axis: recipe.axis, range: start..start + length });
        }
        own = Step::undone(&part.steps).iter().fold(own, Recipe::then).plus(-recipe.increment);
        start += length;
        made.push((part.name.clone(), own));
    }
    made
}

/// The tensors of `source` with matrices of type `dtype`; vectors, of which there are few numbers, keep theirs.
pub(in crate::saved) fn with_precision<S: TensorSource>(source: S, dtype: DType) -> Result<Mapped<S>, TensorFileError> {
    let is_matrix = |info: Option<TensorInfo>| info.is_some_and(|info| info.shape.len() > 1);
    let recipe = |name: String| {
        let recipe = Recipe::of(&name);
        let recipe = if is_matrix(source.info(&name)) { recipe.with_type(dtype) } else { recipe };
        (name, recipe)
    };
    let recipes = source.names().into_iter().map(recipe).collect();
    Mapped::new(source, recipes)
}
