//! Which modules of `transformers` have the outputs of a matrix here.

use std::collections::BTreeMap;

use crate::saved::hugging_face::config::{Foreign, Names};

/// A matrix here, and the modules there that have its outputs, one after the other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Target {
    /// The path of the matrix.
    pub(super) own: String,
    pub(super) modules: Vec<Module>,
    /// Heads and their width, where each head's query, key and value stand together there.
    pub(super) heads: Option<[usize; 2]>,
}

/// A linear layer there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Module {
    /// Its path in the model, for example `model.layers.0.self_attn.q_proj`.
    pub(super) path: String,
    pub(super) outputs: usize,
}

impl Target {
    /// Which output there is the output `index` here, counted over all modules.
    pub(super) fn place(&self, index: usize) -> usize {
        match self.heads {
            Some([heads, width]) => {
                let (kind, head, column) = (index / (heads * width), index / width % heads, index % width);
                (head * 3 + kind) * width + column
            }
            None => index,
        }
    }
}

/// What the layers of an architecture are called, and what stands before it.
fn layers_of(names: Names) -> [&'static str; 2] {
    match names {
        Names::Gpt2 => ["transformer", "h"],
        Names::GptNeox => ["gpt_neox", "layers"],
        Names::Llama | Names::Phi3 => ["model", "layers"],
    }
}

/// All matrices that can have adapters.
pub(super) fn targets(foreign: &Foreign) -> Vec<Target> {
    let config = &foreign.config;
    let (heads, key_values) = (config.heads * config.head_width(), config.key_value_heads() * config.head_width());
    let (width, columns) = (config.width, config.feed_forward_columns());
    let (inner, packed) = (config.feed_forward_width(), heads + 2 * key_values);
    let parts: [(&str, Vec<(&str, usize)>); 4] = match foreign.names {
        Names::Gpt2 => [
            ("attention.query_key_value", vec![("attn.c_attn", packed)]),
            ("attention.output", vec![("attn.c_proj", width)]),
            ("feed_forward.input", vec![("mlp.c_fc", columns)]),
            ("feed_forward.output", vec![("mlp.c_proj", width)]),
        ],
        Names::GptNeox => [
            ("attention.query_key_value", vec![("attention.query_key_value", packed)]),
            ("attention.output", vec![("attention.dense", width)]),
            ("feed_forward.input", vec![("mlp.dense_h_to_4h", columns)]),
            ("feed_forward.output", vec![("mlp.dense_4h_to_h", width)]),
        ],
        Names::Phi3 => [
            ("attention.query_key_value", vec![("self_attn.qkv_proj", packed)]),
            ("attention.output", vec![("self_attn.o_proj", width)]),
            ("feed_forward.input", vec![("mlp.gate_up_proj", columns)]),
            ("feed_forward.output", vec![("mlp.down_proj", width)]),
        ],
        Names::Llama => [
            (
                "attention.query_key_value",
                vec![("self_attn.q_proj", heads), ("self_attn.k_proj", key_values), ("self_attn.v_proj", key_values)],
            ),
            ("attention.output", vec![("self_attn.o_proj", width)]),
            ("feed_forward.input", vec![("mlp.gate_proj", inner), ("mlp.up_proj", inner)]),
            ("feed_forward.output", vec![("mlp.down_proj", width)]),
        ],
    };
    let [model, layers] = layers_of(foreign.names);
    let target = |layer: usize, (own, modules): &(&str, Vec<(&str, usize)>)| Target {
        own: format!("blocks.{layer}.{own}.weight"),
        modules: modules
            .iter()
            .map(|(name, outputs)| Module { path: format!("{model}.{layers}.{layer}.{name}"), outputs: *outputs })
            .collect(),
        heads: (foreign.names == Names::GptNeox && own.ends_with("query_key_value"))
            .then(|| [config.heads, config.head_width()]),
    };
    (0..config.layers).flat_map(|layer| parts.iter().map(move |part| target(layer, part))).collect()
}

/// Which target and which of its modules a path means, whatever stands before the layers.
pub(super) fn by_path(foreign: &Foreign, targets: &[Target]) -> impl Fn(&str) -> Option<(usize, usize)> {
    let [model, layers] = layers_of(foreign.names);
    let mut places = BTreeMap::new();
    for (index, target) in targets.iter().enumerate() {
        for (part, module) in target.modules.iter().enumerate() {
            let inside = module.path.trim_start_matches(model).trim_start_matches('.').to_owned();
            places.insert(inside, (index, part));
        }
    }
    let word = format!("{layers}.");
    move |path: &str| {
        let start = path.rfind(&format!(".{word}")).map(|at| at + 1).or(path.starts_with(&word).then_some(0))?;
        places.get(&path[start..]).copied()
    }
}
