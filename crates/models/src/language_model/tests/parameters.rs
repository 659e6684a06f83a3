//! The parameters themselves: how many, their names, where they start, and that each has a gradient.

use std::collections::{BTreeMap, BTreeSet};

use burn::module::{Module, ModuleVisitor, Param};
use burn::tensor::{Device, Gradients, Tensor};
use kiln_parameters::{Role, catalogue};

use super::{CONTEXT, VOCABULARY, configurations, for_each_training_model, tokens};
use crate::recurrent::{GruConfig, LstmConfig};
use crate::transformer::{NormKind, PositionKind, TransformerConfig};
use crate::{LanguageModel, ModelConfig};

/// One parameter: its path in the model, its numbers, and its gradient if it has one.
struct Parameter {
    path: String,
    values: Vec<f32>,
    gradient: Option<Vec<f32>>,
}

struct Collector<'a> {
    gradients: Option<&'a Gradients>,
    found: Vec<(Vec<f32>, Option<Vec<f32>>)>,
}

impl ModuleVisitor for Collector<'_> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let tensor = param.val();
        let gradient = self.gradients.and_then(|gradients| tensor.grad(gradients));
        let numbers = |tensor: &Tensor<D>| tensor.to_data().iter().collect();
        self.found.push((numbers(&tensor), gradient.map(|gradient| gradient.to_data().iter().collect())));
    }
}

fn parameters(model: &LanguageModel, gradients: Option<&Gradients>) -> Vec<Parameter> {
    let mut collector = Collector { gradients, found: Vec::new() };
    model.visit(&mut collector);
    let paths = catalogue(model).into_iter().map(|parameter| parameter.path);
    let parameter = |(path, (values, gradient))| Parameter { path, values, gradient };
    paths.zip(collector.found).map(parameter).collect()
}

/// The embedding table of a recurrent model.
pub(super) fn embedding(model: &LanguageModel) -> Tensor<2> {
    match model {
        LanguageModel::Recurrent(model) => model.embedding.weight.val(),
        LanguageModel::Transformer(model) => model.token_embedding.weight.val(),
        LanguageModel::EncoderDecoder(model) => panic!("{model:?} is not in the list"),
    }
}

/// Whether the parameter belongs to the part, whose `*` stands for one number.
fn belongs(path: &str, part: &str) -> bool {
    let (path, part): (Vec<&str>, Vec<&str>) = (path.split('.').collect(), part.split('.').collect());
    path.len() >= part.len() && path.iter().zip(&part).all(|(name, part)| *part == "*" || name == part)
}

#[test]
fn counts_by_part_are_those_of_the_module() {
    for (name, config) in configurations() {
        let model = config.init(VOCABULARY, CONTEXT, 1, &Device::flex());
        let all = catalogue(&model);
        for part in config.parameters(VOCABULARY, CONTEXT) {
            let mut found: BTreeMap<Role, u64> = BTreeMap::new();
            for parameter in all.iter().filter(|parameter| belongs(&parameter.path, &part.name)) {
                *found.entry(parameter.role).or_default() += parameter.elements() as u64;
            }
            assert_eq!(part.roles.iter().copied().collect::<BTreeMap<_, _>>(), found, "{name}: {}", part.name);
            assert_eq!(part.count, found.values().sum::<u64>(), "{name}: {}", part.name);
        }
        assert_eq!(config.parameter_count(VOCABULARY, CONTEXT), model.num_params() as u64, "{name}");
    }
}

/// What the optimizers go by: Muon orthogonalises hidden matrices, and matrices decay.
#[test]
fn every_familys_parameters_have_the_roles_that_their_names_say() {
    let recurrent = ["layers.*.hidden_weight", "layers.*.input_weight"];
    let transformer = [
        "blocks.*.attention.output.weight",
        "blocks.*.attention.query_key_value.weight",
        "blocks.*.feed_forward.input.weight",
        "blocks.*.feed_forward.output.weight",
    ];
    for (name, config) in configurations() {
        let hidden = if matches!(config, ModelConfig::Transformer(_)) { &transformer[..] } else { &recurrent };
        let with_role = |role: Role| -> BTreeSet<String> {
            let all = catalogue(&config.init(VOCABULARY, CONTEXT, 1, &Device::flex())).into_iter();
            let paths = all.filter(|parameter| parameter.role == role);
            paths.map(|parameter| parameter.path.replace(|c: char| c.is_ascii_digit(), "*")).collect()
        };
        assert_eq!(with_role(Role::HiddenMatrix).into_iter().collect::<Vec<_>>(), hidden, "{name}");
        assert!(with_role(Role::Embedding).iter().all(|path| path.ends_with("embedding.weight")), "{name}");
        assert!(with_role(Role::Head).iter().all(|path| path == "output.weight"), "{name}");
        assert!(with_role(Role::Gain).iter().all(|path| path.ends_with("norm.weight")), "{name}");
        assert!(with_role(Role::Bias).iter().all(|path| path.ends_with("bias")), "{name}");
    }
}

#[test]
fn every_parameter_has_a_gradient() {
    for_each_training_model(|name, model| {
        let (logits, _) = model.forward(tokens(CONTEXT).to_device(&model.device()), None);
        let gradients = logits.narrow(2, 0, 3).powi_scalar(2).sum().backward();
        for parameter in parameters(model, Some(&gradients)) {
            let gradient = parameter.gradient.unwrap_or_else(|| panic!("{name}: {} has none", parameter.path));
            assert!(gradient.iter().all(|value| value.is_finite()), "{name}: {}", parameter.path);
            assert!(gradient.iter().any(|&value| value != 0.0), "{name}: {}", parameter.path);
        }
    });
}

#[test]
fn names_of_parameters_stay_as_saved_models_have_them() {
    let names = |config: ModelConfig| -> Vec<String> {
        let model = config.init(VOCABULARY, CONTEXT, 1, &Device::flex());
        parameters(&model, None).into_iter().map(|parameter| parameter.path).collect()
    };
    let gru = GruConfig { layers: 1, hidden: 4, ..GruConfig::default() };
    assert_eq!(
        names(ModelConfig::Gru(gru)),
        [
            "embedding.weight",
            "layers.0.input_weight",
            "layers.0.hidden_weight",
            "layers.0.bias",
            "layers.0.hidden_bias",
            "output.weight",
            "output.bias",
        ]
    );
    let transformer = TransformerConfig {
        layers: 1,
        heads: 1,
        width: 4,
        bias: true,
        tied: false,
        query_key_norm: true,
        ..TransformerConfig::default()
    };
    assert_eq!(
        names(ModelConfig::Transformer(transformer)),
        [
            "token_embedding.weight",
            "position_embedding.weight",
            "blocks.0.attention_norm.weight",
            "blocks.0.attention_norm.bias",
            "blocks.0.attention.query_key_value.weight",
            "blocks.0.attention.query_key_value.bias",
            "blocks.0.attention.output.weight",
            "blocks.0.attention.output.bias",
            "blocks.0.attention.query_norm.weight",
            "blocks.0.attention.key_norm.weight",
            "blocks.0.feed_forward_norm.weight",
            "blocks.0.feed_forward_norm.bias",
            "blocks.0.feed_forward.input.weight",
            "blocks.0.feed_forward.input.bias",
            "blocks.0.feed_forward.output.weight",
            "blocks.0.feed_forward.output.bias",
            "final_norm.weight",
            "final_norm.bias",
            "output.weight",
        ]
    );
}

/// Mean, standard deviation and largest magnitude.
fn statistics(values: &[f32]) -> (f64, f64, f64) {
    let mean = values.iter().map(|&value| f64::from(value)).sum::<f64>() / values.len() as f64;
    let variance = values.iter().map(|&value| (f64::from(value) - mean).powi(2)).sum::<f64>() / values.len() as f64;
    (mean, variance.sqrt(), values.iter().map(|value| f64::from(value.abs())).fold(0.0, f64::max))
}

/// Asserts mean 0 and the deviation, within five standard errors of either.
fn assert_spread(path: &str, values: &[f32], deviation: f64) {
    let (mean, measured, _) = statistics(values);
    let count = values.len() as f64;
    assert!(mean.abs() < 5.0 * deviation / count.sqrt(), "{path}: mean {mean}");
    let error = 5.0 / (2.0 * count).sqrt();
    assert!((measured / deviation - 1.0).abs() < error, "{path}: deviation {measured}, should be {deviation}");
}

#[test]
fn a_transformers_weights_start_as_the_table_says() {
    let config =
        TransformerConfig { layers: 8, heads: 4, width: 64, bias: true, tied: false, ..TransformerConfig::default() };
    let rms = TransformerConfig {
        norm: NormKind::Rms,
        position: PositionKind::Rotary,
        query_key_norm: true,
        ..config.clone()
    };
    for config in [config, rms] {
        let model = ModelConfig::Transformer(config).init(100, 50, 1, &Device::flex());
        for Parameter { path, values, .. } in parameters(&model, None) {
            if path.ends_with("norm.weight") {
                assert!(values.iter().all(|&value| value == 1.0), "{path}");
            } else if path.ends_with("bias") {
                assert!(values.iter().all(|&value| value == 0.0), "{path}");
            } else if path.starts_with("blocks") && path.ends_with("output.weight") {
                assert_spread(&path, &values, 0.02 / 4.0);
            } else {
                assert_spread(&path, &values, 0.02);
            }
        }
    }
}

#[test]
fn a_recurrent_models_weights_start_as_the_table_says() {
    let lstm = LstmConfig { layers: 2, hidden: 64, embedding: Some(48), ..LstmConfig::default() };
    let gru = GruConfig { layers: 2, hidden: 64, tied: true, ..GruConfig::default() };
    for (config, embedding) in [(ModelConfig::Lstm(lstm), 1.0), (ModelConfig::Gru(gru), 1.0 / 8.0)] {
        let bound = 1.0 / 8.0;
        for Parameter { path, values, .. } in parameters(&config.init(100, 50, 1, &Device::flex()), None) {
            if path == "embedding.weight" {
                assert_spread(&path, &values, embedding);
                continue;
            }
            let drawn: Vec<f32> = values.into_iter().filter(|&value| value != 1.0).collect();
            assert_spread(&path, &drawn, bound / 3.0_f64.sqrt());
            assert!(statistics(&drawn).2 <= bound, "{path}");
        }
    }
}

#[test]
fn a_seed_gives_the_same_weights() {
    let drawn = |config: &ModelConfig, seed: u64| -> Vec<Vec<f32>> {
        let model = config.init(VOCABULARY, CONTEXT, seed, &Device::flex());
        parameters(&model, None).into_iter().map(|parameter| parameter.values).collect()
    };
    for (name, config) in configurations() {
        assert_eq!(drawn(&config, 7), drawn(&config, 7), "{name}");
        assert_ne!(drawn(&config, 7), drawn(&config, 8), "{name}");
    }
}
