//! Which of its tensors each parameter is made of.

use std::collections::{BTreeMap, BTreeSet};

use burn::tensor::DType;
use kiln_storage::formats::{Part, Recipe, Step};

use super::config::{Foreign, Names};

/// Tables that some files hold beside the parameters, by the ends of their names: masks and angles.
const NO_PARAMETERS: [&str; 3] = [".attn.bias", ".attn.masked_bias", ".rotary_emb.inv_freq"];

/// The recipe of each parameter, in single precision; and a tensor among `names` that none of them uses, if there is
/// one that isn't known to be without effect.
pub(in crate::saved) fn recipes(foreign: &Foreign, names: &[String]) -> (BTreeMap<String, Recipe>, Option<String>) {
    let mut recipes = match foreign.names {
        // The language model's head is left out of some files, and with it the name of the rest.
        Names::Gpt2 => gpt2(foreign, if names.iter().any(|name| name.starts_with("h.")) { "" } else { "transformer." }),
        Names::Llama => llama(foreign),
    };
    if !foreign.config.tied {
        recipes.insert("output.weight".to_owned(), transposed("lm_head.weight"));
    }
    let used: BTreeSet<&str> =
        recipes.values().flat_map(|recipe| &recipe.parts).map(|part| part.name.as_str()).collect();
    let is_known = |name: &&String| {
        used.contains(name.as_str())
            || NO_PARAMETERS.iter().any(|end| name.ends_with(end))
            || (foreign.config.tied && *name == "lm_head.weight")
    };
    let left_over = names.iter().find(|name| !is_known(name)).cloned();
    let recipes = recipes.into_iter().map(|(name, recipe)| (name, recipe.with_type(DType::F32))).collect();
    (recipes, left_over)
}

fn transposed(name: &str) -> Recipe {
    Recipe::of(name).then(&Step::Transpose)
}

/// Several matrices `[out, in]`, transposed and side by side.
fn side_by_side(names: &[String]) -> Recipe {
    let part = |name: &String| Part { name: name.clone(), steps: vec![Step::Transpose] };
    Recipe::joined(names.iter().map(part).collect::<Vec<_>>(), 1)
}

fn one_after_the_other(names: &[String]) -> Recipe {
    let part = |name: &String| Part { name: name.clone(), steps: Vec::new() };
    Recipe::joined(names.iter().map(part).collect::<Vec<_>>(), 0)
}

/// Its matrices are `[in, out]`, as here, and queries, keys and values are one.
fn gpt2(foreign: &Foreign, prefix: &str) -> BTreeMap<String, Recipe> {
    let mut recipes = BTreeMap::new();
    let mut add = |own: String, theirs: String| _ = recipes.insert(own, Recipe::of(format!("{prefix}{theirs}")));
    add("token_embedding.weight".to_owned(), "wte.weight".to_owned());
    add("position_embedding.weight".to_owned(), "wpe.weight".to_owned());
    let parts = [
        ("attention_norm", "ln_1"),
        ("attention.query_key_value", "attn.c_attn"),
        ("attention.output", "attn.c_proj"),
        ("feed_forward_norm", "ln_2"),
        ("feed_forward.input", "mlp.c_fc"),
        ("feed_forward.output", "mlp.c_proj"),
    ];
    for kind in ["weight", "bias"] {
        for layer in 0..foreign.config.layers {
            for (own, theirs) in parts {
                add(format!("blocks.{layer}.{own}.{kind}"), format!("h.{layer}.{theirs}.{kind}"));
            }
        }
        add(format!("final_norm.{kind}"), format!("ln_f.{kind}"));
    }
    recipes
}

fn llama(foreign: &Foreign) -> BTreeMap<String, Recipe> {
    let config = &foreign.config;
    let [has_biases, has_last_biases] = config.attention_biases();
    let mut recipes = BTreeMap::from([
        ("token_embedding.weight".to_owned(), Recipe::of("model.embed_tokens.weight")),
        ("final_norm.weight".to_owned(), Recipe::of("model.norm.weight")),
    ]);
    for layer in 0..config.layers {
        let their = |name: &str| format!("model.layers.{layer}.{name}");
        let mut add = |own: &str, recipe: Recipe| _ = recipes.insert(format!("blocks.{layer}.{own}"), recipe);
        let projections = |kind: &str| ["q", "k", "v"].map(|name| their(&format!("self_attn.{name}_proj.{kind}")));
        add("attention_norm.weight", Recipe::of(their("input_layernorm.weight")));
        add("attention.query_key_value.weight", side_by_side(&projections("weight")));
        add("attention.output.weight", transposed(&their("self_attn.o_proj.weight")));
        if has_biases {
            add("attention.query_key_value.bias", one_after_the_other(&projections("bias")));
        }
        if has_last_biases {
            add("attention.output.bias", Recipe::of(their("self_attn.o_proj.bias")));
        }
        if config.query_key_norm {
            add("attention.query_norm.weight", Recipe::of(their("self_attn.q_norm.weight")));
            add("attention.key_norm.weight", Recipe::of(their("self_attn.k_norm.weight")));
        }
        add("feed_forward_norm.weight", Recipe::of(their("post_attention_layernorm.weight")));
        add(
            "feed_forward.input.weight",
            side_by_side(&["gate", "up"].map(|name| their(&format!("mlp.{name}_proj.weight")))),
        );
        add("feed_forward.output.weight", transposed(&their("mlp.down_proj.weight")));
    }
    recipes
}
