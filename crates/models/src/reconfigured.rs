//! A model that is there under a configuration that differs in what is no part of its function.

use std::collections::{BTreeMap, BTreeSet};

use burn::tensor::Tensor;
use kiln_parameters::{fill, visit};
use serde_json::Value;

use crate::{LanguageModel, ModelConfig};

impl ModelConfig {
    /// Whether another model of the same sizes is the same function, which dropout is no part of.
    pub fn is_same_function(&self, other: &Self) -> bool {
        let [own, other] = [self, other].map(|config| serde_json::to_value(config).map(without_dropout));
        matches!((own, other), (Ok(own), Ok(other)) if own == other)
    }
}

fn without_dropout(value: Value) -> Value {
    match value {
        Value::Object(entries) => {
            let kept = entries.into_iter().filter(|(key, _)| !key.ends_with("dropout"));
            Value::Object(kept.map(|(key, value)| (key, without_dropout(value))).collect())
        }
        other => other,
    }
}

impl LanguageModel {
    /// The model with the dropout of `config` and for windows of `context` tokens: learned positions are the first of
    /// its own. Matrices stay packed if they are, and no number is copied.
    ///
    /// # Errors
    /// What it lacks, in words: it is of another configuration, or has fewer learned positions.
    pub fn reconfigured(mut self, config: &ModelConfig, context: usize) -> Result<Self, String> {
        let mut other = config.blank(self.vocabulary_size(), context, &self.device());
        let (mut taken, unfit) = (BTreeSet::new(), || "it is a model of another configuration".to_owned());
        let (own, theirs) = (self.products(), other.products());
        if own.len() != theirs.len() {
            return Err(unfit());
        }
        for (own, theirs) in own.into_iter().zip(theirs) {
            if (&own.name, own.inputs_and_outputs()) != (&theirs.name, theirs.inputs_and_outputs()) {
                return Err(unfit());
            }
            taken.extend([own.name, own.narrow_name]);
            theirs.narrow.clone_from(own.narrow);
            theirs.weight.clone_from(own.weight);
        }
        let (own, theirs) = (self.matrices(), other.matrices());
        for (own, theirs) in own.into_iter().zip(theirs) {
            if (&own.name, own.sizes()) != (&theirs.name, theirs.sizes()) {
                return Err(unfit());
            }
            taken.insert(own.name);
            theirs.weight.clone_from(own.weight);
        }
        let mut values: BTreeMap<String, Tensor<1>> = BTreeMap::new();
        visit(&self, |parameter, tensor| {
            if !taken.contains(&parameter.path) {
                values.insert(parameter.path.clone(), tensor);
            }
        });
        let mut problem = None;
        let other = fill(other, |parameter| {
            if taken.contains(&parameter.path) {
                return None;
            }
            let values = values.remove(&parameter.path);
            let (found, wanted) = (values.as_ref().map_or(0, |values| values.dims()[0]), parameter.elements());
            let is_table = parameter.path == POSITIONS;
            match values {
                Some(values) if found == wanted => Some(values),
                Some(values) if is_table && found > wanted => Some(values.narrow(0, 0, wanted)),
                _ if is_table => {
                    let positions = found * context / wanted.max(1);
                    problem = Some(format!("it has {positions} learned positions, fewer than {context}"));
                    None
                }
                _ => {
                    problem = Some(unfit());
                    None
                }
            }
        });
        match problem {
            Some(problem) => Err(problem),
            None if values.is_empty() => Ok(other),
            None => Err(unfit()),
        }
    }
}

/// The only parameter whose size is that of the context.
const POSITIONS: &str = "position_embedding.weight";

#[cfg(test)]
mod tests {
    use burn::tensor::{Device, Int};
    use kiln_packed::Format;

    use super::*;

    const LEARNED: &str = r#"{"transformer": {"layers": 2, "heads": 2, "width": 32, "bias": true}}"#;
    const LSTM: &str = r#"{"lstm": {"layers": 2, "hidden": 32, "embedding": 32}}"#;

    fn config(text: &str) -> ModelConfig {
        serde_json::from_str(text).unwrap()
    }

    fn logits(model: &LanguageModel) -> Vec<f32> {
        let tokens = Tensor::<2, Int>::from_data([[0, 1, 2, 3]], &Device::flex());
        model.forward(tokens, None).0.into_data().iter().collect()
    }

    #[test]
    fn a_shorter_context_and_dropout_change_no_bit_also_where_matrices_are_packed() {
        for text in [LEARNED, LSTM] {
            let dropping = config(&text.replace("\"layers\"", "\"dropout\": 0.25, \"layers\""));
            assert!(config(text).is_same_function(&dropping) && config(text) != dropping);
            for format in [None, Some(Format::Q8_0)] {
                let mut model = config(text).init(7, 9, 3, &Device::flex());
                for matrix in model.matrices().into_iter().filter(|_| format.is_some()) {
                    *matrix.weight = matrix.weight.repacked(matrix.orientation, format.unwrap()).unwrap();
                }
                let other = model.clone().reconfigured(&dropping, 5).unwrap();
                assert!(logits(&other) == logits(&model), "{text}");
                assert_eq!(other.longest_window(), model.longest_window().map(|_| 5));
                assert_eq!(other.packed_tensors().len(), model.packed_tensors().len());
            }
        }
    }

    #[test]
    fn what_it_lacks_is_said() {
        let model = || config(LEARNED).init(7, 9, 3, &Device::flex());
        assert_eq!(
            model().reconfigured(&config(LEARNED), 12).unwrap_err(),
            "it has 9 learned positions, fewer than 12"
        );
        let wider = config(&LEARNED.replace("32", "64"));
        assert!(!wider.is_same_function(&config(LEARNED)));
        assert_eq!(model().reconfigured(&wider, 9).unwrap_err(), "it is a model of another configuration");
        let deeper = config(&LEARNED.replace("\"layers\": 2", "\"layers\": 3"));
        assert_eq!(model().reconfigured(&deeper, 9).unwrap_err(), "it is a model of another configuration");
        let lstm = config(LSTM).init(7, 9, 3, &Device::flex());
        assert_eq!(lstm.reconfigured(&config(LEARNED), 9).unwrap_err(), "it is a model of another configuration");
    }
}
