//! Which of its tensors each parameter is made of.

use std::collections::{BTreeMap, BTreeSet};

use burn::tensor::DType;
use kiln_storage::formats::{Part, Recipe, Step};

use super::config::{Foreign, Names};
use crate::transformer::NormPlacement;

/// Tables that some files hold beside the parameters, by the ends of their names: masks and angles.
const NO_PARAMETERS: [&str; 5] =
    [".attn.bias", ".attn.masked_bias", ".attention.bias", ".attention.masked_bias", ".rotary_emb.inv_freq"];

/// The names of the head's weights.
const HEADS: [&str; 3] = ["lm_head.weight", "language_model.lm_head.weight", "embed_out.weight"];

/// The recipe of each parameter, in single precision; and a tensor among `names` that none of them uses, if there is
/// one that isn't known to be without effect.
pub(in crate::saved) fn recipes(foreign: &Foreign, names: &[String]) -> (BTreeMap<String, Recipe>, Option<String>) {
    let has = |start: &str| names.iter().any(|name| name.starts_with(start));
    let mut recipes = match foreign.names {
        // The language model's head is left out of some files, and with it the name of the rest.
        Names::Gpt2 => gpt2(foreign, if has("h.") { "" } else { "transformer." }),
        Names::GptNeox => gpt_neox(foreign),
        Names::Llama | Names::Phi3 => {
            // Longer where it is a part of a model that also reads pictures.
            let prefixes = ["language_model.model.", "model.language_model.", "model."];
            llama(foreign, prefixes.into_iter().find(|prefix| has(prefix)).unwrap_or("model."))
        }
    };
    if !foreign.config.tied {
        let head = HEADS.into_iter().find(|head| names.iter().any(|name| name == head)).unwrap_or(HEADS[0]);
        recipes.insert("output.weight".to_owned(), transposed(head));
    }
    let used: BTreeSet<&str> =
        recipes.values().flat_map(|recipe| &recipe.parts).map(|part| part.name.as_str()).collect();
    let is_known = |name: &&String| {
        used.contains(name.as_str())
            || NO_PARAMETERS.iter().any(|end| name.ends_with(end))
            || foreign.other_parts.iter().any(|start| name.starts_with(start))
            || (foreign.config.tied && HEADS.contains(&name.as_str()))
    };
    let left_over = names.iter().find(|name| !is_known(name)).cloned();
    let increment = |name: &str| i32::from(foreign.has_norms_less_one && name.ends_with("norm.weight"));
    let finished = |(name, recipe): (String, Recipe)| {
        let recipe = recipe.with_type(DType::F32).plus(increment(&name));
        (name, recipe)
    };
    (recipes.into_iter().map(finished).collect(), left_over)
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

/// Its matrices are `[out, in]`, and each head's query, key and value stand together.
fn gpt_neox(foreign: &Foreign) -> BTreeMap<String, Recipe> {
    let config = &foreign.config;
    let (heads, width) = (config.heads, config.head_width());
    // Of each head there, all queries, all keys and all values here.
    let apart = |shape: Vec<usize>| {
        let inner = shape[1..].iter().product::<usize>();
        let of_heads = vec![heads, 3, width * inner];
        [Step::Reshape(shape.clone()), Step::Reshape(of_heads), Step::Swap(0), Step::Reshape(shape)]
    };
    let packed = |name: &str, shape: Vec<usize>| apart(shape).iter().fold(Recipe::of(name), Recipe::then);
    let mut recipes = BTreeMap::from([
        ("token_embedding.weight".to_owned(), Recipe::of("gpt_neox.embed_in.weight")),
        ("final_norm.weight".to_owned(), Recipe::of("gpt_neox.final_layer_norm.weight")),
        ("final_norm.bias".to_owned(), Recipe::of("gpt_neox.final_layer_norm.bias")),
    ]);
    for layer in 0..config.layers {
        let their = |name: &str| format!("gpt_neox.layers.{layer}.{name}");
        let mut add = |own: &str, recipe: Recipe| _ = recipes.insert(format!("blocks.{layer}.{own}"), recipe);
        for (own, theirs) in [("attention_norm", "input_layernorm"), ("feed_forward_norm", "post_attention_layernorm")]
        {
            add(&format!("{own}.weight"), Recipe::of(their(&format!("{theirs}.weight"))));
            add(&format!("{own}.bias"), Recipe::of(their(&format!("{theirs}.bias"))));
        }
        let matrix = packed(&their("attention.query_key_value.weight"), vec![3 * heads * width, config.width]);
        add("attention.query_key_value.weight", matrix.then(&Step::Transpose));
        let [has_biases, has_last_biases] = config.attention_biases();
        if has_biases {
            let vector = packed(&their("attention.query_key_value.bias"), vec![3 * heads * width]);
            add("attention.query_key_value.bias", vector);
        }
        let matrices = [
            ("attention.output", "attention.dense", has_last_biases),
            ("feed_forward.input", "mlp.dense_h_to_4h", true),
            ("feed_forward.output", "mlp.dense_4h_to_h", true),
        ];
        for (own, theirs, has_bias) in matrices {
            add(&format!("{own}.weight"), transposed(&their(&format!("{theirs}.weight"))));
            if has_bias {
                add(&format!("{own}.bias"), Recipe::of(their(&format!("{theirs}.bias"))));
            }
        }
    }
    recipes
}

fn llama(foreign: &Foreign, prefix: &str) -> BTreeMap<String, Recipe> {
    let config = &foreign.config;
    let [has_biases, has_last_biases] = config.attention_biases();
    let mut recipes =
        BTreeMap::from([("token_embedding.weight".to_owned(), Recipe::of(format!("{prefix}embed_tokens.weight")))]);
    let mut add_norm = |own: &str, theirs: &str| {
        for kind in if config.has_norm_biases() { &["weight", "bias"][..] } else { &["weight"] } {
            recipes.insert(format!("{own}.{kind}"), Recipe::of(format!("{prefix}{theirs}.{kind}")));
        }
    };
    add_norm("final_norm", "norm");
    for layer in 0..config.layers {
        for (own, theirs) in block_norms(config.norm_placement) {
            add_norm(&format!("blocks.{layer}.{own}"), &format!("layers.{layer}.{theirs}"));
        }
    }
    for layer in 0..config.layers {
        let their = |name: &str| format!("{prefix}layers.{layer}.{name}");
        let mut add = |own: &str, recipe: Recipe| _ = recipes.insert(format!("blocks.{layer}.{own}"), recipe);
        let projections = |kind: &str| ["q", "k", "v"].map(|name| their(&format!("self_attn.{name}_proj.{kind}")));
        if foreign.names == Names::Phi3 {
            add("attention.query_key_value.weight", transposed(&their("self_attn.qkv_proj.weight")));
            add("feed_forward.input.weight", transposed(&their("mlp.gate_up_proj.weight")));
        } else {
            add("attention.query_key_value.weight", side_by_side(&projections("weight")));
            let gates = ["gate", "up"].map(|name| their(&format!("mlp.{name}_proj.weight")));
            add("feed_forward.input.weight", side_by_side(&gates));
        }
        if has_biases {
            add("attention.query_key_value.bias", one_after_the_other(&projections("bias")));
        }
        add("attention.output.weight", transposed(&their("self_attn.o_proj.weight")));
        if has_last_biases {
            add("attention.output.bias", Recipe::of(their("self_attn.o_proj.bias")));
        }
        if config.query_key_norm {
            add("attention.query_norm.weight", Recipe::of(their("self_attn.q_norm.weight")));
            add("attention.key_norm.weight", Recipe::of(their("self_attn.k_norm.weight")));
        }
        add("feed_forward.output.weight", transposed(&their("mlp.down_proj.weight")));
    }
    recipes
}

/// A block's norms here and there.
fn block_norms(placement: NormPlacement) -> &'static [(&'static str, &'static str)] {
    match placement {
        NormPlacement::Before => {
            &[("attention_norm", "input_layernorm"), ("feed_forward_norm", "post_attention_layernorm")]
        }
        NormPlacement::After => &[
            ("attention_output_norm", "post_attention_layernorm"),
            ("feed_forward_output_norm", "post_feedforward_layernorm"),
        ],
        NormPlacement::Both => &[
            ("attention_norm", "input_layernorm"),
            ("attention_output_norm", "post_attention_layernorm"),
            ("feed_forward_norm", "pre_feedforward_layernorm"),
            ("feed_forward_output_norm", "post_feedforward_layernorm"),
        ],
    }
}
