//! Names of tensors: those of a GGUF file and those of `transformers`.

use kiln_storage::formats::Step;

use super::architectures::{Architecture, Layout};

/// Names here and in `transformers`.
type Names = &'static [(&'static str, &'static str)];

/// Names outside of the layers.
const WHOLE_LLAMA: Names =
    &[("token_embd", "model.embed_tokens"), ("output_norm", "model.norm"), ("output", "lm_head")];
const WHOLE_GPT2: Names =
    &[("token_embd", "wte"), ("position_embd", "wpe"), ("output_norm", "ln_f"), ("output", "lm_head")];
const WHOLE_GPT_NEOX: Names =
    &[("token_embd", "gpt_neox.embed_in"), ("output_norm", "gpt_neox.final_layer_norm"), ("output", "lm_head")];

/// What stands before the names of GPT-2 in a model with its head.
const GPT2_PREFIX: &str = "transformer.";

/// Names within a layer, behind its number.
const PROJECTIONS: Names = &[
    ("attn_q", "self_attn.q_proj"),
    ("attn_k", "self_attn.k_proj"),
    ("attn_v", "self_attn.v_proj"),
    ("attn_output", "self_attn.o_proj"),
    ("attn_q_norm", "self_attn.q_norm"),
    ("attn_k_norm", "self_attn.k_norm"),
    ("ffn_gate", "mlp.gate_proj"),
    ("ffn_up", "mlp.up_proj"),
    ("ffn_down", "mlp.down_proj"),
];
const PACKED_PROJECTIONS: Names = &[
    ("attn_qkv", "self_attn.qkv_proj"),
    ("attn_output", "self_attn.o_proj"),
    ("ffn_up", "mlp.gate_up_proj"),
    ("ffn_down", "mlp.down_proj"),
];
const NORMS_BEFORE: Names = &[("attn_norm", "input_layernorm"), ("ffn_norm", "post_attention_layernorm")];
const NORMS_AFTER: Names =
    &[("post_attention_norm", "post_attention_layernorm"), ("post_ffw_norm", "post_feedforward_layernorm")];
const NORMS_AROUND: Names = &[
    ("attn_norm", "input_layernorm"),
    ("post_attention_norm", "post_attention_layernorm"),
    ("ffn_norm", "pre_feedforward_layernorm"),
    ("post_ffw_norm", "post_feedforward_layernorm"),
];
const LAYER_GPT2: Names = &[
    ("attn_norm", "ln_1"),
    ("attn_qkv", "attn.c_attn"),
    ("attn_output", "attn.c_proj"),
    ("ffn_norm", "ln_2"),
    ("ffn_up", "mlp.c_fc"),
    ("ffn_down", "mlp.c_proj"),
];
const LAYER_GPT_NEOX: Names = &[
    ("attn_norm", "input_layernorm"),
    ("attn_qkv", "attention.query_key_value"),
    ("attn_output", "attention.dense"),
    ("ffn_norm", "post_attention_layernorm"),
    ("ffn_up", "mlp.dense_h_to_4h"),
    ("ffn_down", "mlp.dense_4h_to_h"),
];

/// The names of a layout.
struct Tables {
    whole: Names,
    /// What stands before a layer's number.
    layers: &'static str,
    layer: [Names; 2],
}

impl Tables {
    const fn llama(layer: [Names; 2]) -> Self {
        Self { whole: WHOLE_LLAMA, layers: "model.layers", layer }
    }

    fn of(layout: Layout) -> Self {
        match layout {
            Layout::Gpt2 => Self { whole: WHOLE_GPT2, layers: "h", layer: [LAYER_GPT2, &[]] },
            Layout::GptNeox => Self { whole: WHOLE_GPT_NEOX, layers: "gpt_neox.layers", layer: [LAYER_GPT_NEOX, &[]] },
            Layout::Llama => Self::llama([PROJECTIONS, NORMS_BEFORE]),
            Layout::Phi3 => Self::llama([PACKED_PROJECTIONS, NORMS_BEFORE]),
            Layout::NormsAfter => Self::llama([PROJECTIONS, NORMS_AFTER]),
            Layout::NormsAround => Self::llama([PROJECTIONS, NORMS_AROUND]),
        }
    }

    fn of_layer(&self) -> impl Iterator<Item = &'static (&'static str, &'static str)> {
        self.layer.into_iter().flatten()
    }
}

impl Architecture {
    /// The name that `transformers` has for a tensor; the same one where it has none.
    pub(super) fn their_name(&self, name: &str) -> String {
        let tables = Tables::of(self.layout);
        let translated = || {
            let (stem, kind) = name.rsplit_once('.')?;
            let Some(inner) = stem.strip_prefix("blk.") else {
                let (_, theirs) = tables.whole.iter().find(|(own, _)| *own == stem)?;
                return Some(format!("{theirs}.{kind}"));
            };
            let (number, stem) = inner.split_once('.')?;
            let (_, theirs) = tables.of_layer().find(|(own, _)| *own == stem)?;
            Some(format!("{}.{number}.{theirs}.{kind}", tables.layers))
        };
        translated().unwrap_or_else(|| name.to_owned())
    }

    /// The name in a GGUF file of a tensor that `transformers` calls so; the same one where there is none.
    pub(super) fn own_name(&self, theirs: &str) -> String {
        let tables = Tables::of(self.layout);
        let bare = theirs.strip_prefix(GPT2_PREFIX).unwrap_or(theirs);
        let translated = || {
            let (stem, kind) = bare.rsplit_once('.')?;
            let inner = stem.strip_prefix(tables.layers).and_then(|inner| inner.strip_prefix('.'));
            let Some(inner) = inner else {
                let (own, _) = tables.whole.iter().find(|(_, theirs)| *theirs == stem)?;
                return Some(format!("{own}.{kind}"));
            };
            let (number, stem) = inner.split_once('.')?;
            let (own, _) = tables.of_layer().find(|(_, theirs)| *theirs == stem)?;
            Some(format!("blk.{number}.{own}.{kind}"))
        };
        translated().unwrap_or_else(|| theirs.to_owned())
    }

    /// What makes a tensor of a GGUF file the one that `transformers` has; `heads` are those of queries and of keys.
    ///
    /// Matrices of GPT-2 are `[out, in]` here and `[in, out]` there. GPT-NeoX has all queries, all keys and all values
    /// here, and those of one head together there. Llama's rotation exchanges neighbours here and halves of a head
    /// there, so that the rows of queries and keys of a head are ordered 0, 2, 4, ... 1, 3, 5, ... .
    pub(super) fn steps(&self, name: &str, shape: &[usize], heads: [usize; 2]) -> Vec<Step> {
        let Some((stem, kind)) = name.rsplit_once('.') else { return Vec::new() };
        let part = stem.rsplit('.').next().unwrap_or(stem);
        if self.layout == Layout::Gpt2 {
            let is_matrix = kind == "weight" && shape.len() == 2 && stem.starts_with("blk.");
            return if is_matrix { vec![Step::Transpose] } else { Vec::new() };
        }
        // Of what the rows are divided into, two are exchanged.
        let (split, swapped) = match (part, shape) {
            ("attn_qkv", [rows, ..]) if self.layout == Layout::GptNeox => {
                let rows = rows.checked_div(3 * heads[0]).unwrap_or_default();
                (vec![3, heads[0], rows], 0)
            }
            ("attn_q" | "attn_k", [rows, ..]) if self.rotates_neighbours => {
                let heads = if part == "attn_q" { heads[0] } else { heads[1] };
                (vec![heads, rows.checked_div(2 * heads).unwrap_or_default(), 2], 1)
            }
            _ => return Vec::new(),
        };
        let [rows, inner @ ..] = shape else { return Vec::new() };
        // Another shape is an error of the tensor that is made.
        if split.iter().product::<usize>() != *rows {
            return Vec::new();
        }
        let split = [&split, inner].concat();
        // The first one says from what shape.
        [shape.to_vec(), split]
            .map(Step::Reshape)
            .into_iter()
            .chain([Step::Swap(swapped), Step::Reshape(shape.to_vec())])
            .collect()
    }
}
