//! Names of tensors: those of a GGUF file and those of `transformers`.

use kiln_storage::formats::Step;

use super::config::Architecture;

/// Names here and in `transformers`.
type Names = &'static [(&'static str, &'static str)];

/// Names outside of the layers.
const WHOLE_LLAMA: [(&str, &str); 3] =
    [("token_embd", "model.embed_tokens"), ("output_norm", "model.norm"), ("output", "lm_head")];
const WHOLE_GPT2: [(&str, &str); 4] =
    [("token_embd", "wte"), ("position_embd", "wpe"), ("output_norm", "ln_f"), ("output", "lm_head")];

/// What stands before the names of GPT-2 in a model with its head.
const GPT2_PREFIX: &str = "transformer.";

/// Names within a layer, behind its number.
const LAYER_LLAMA: [(&str, &str); 11] = [
    ("attn_norm", "input_layernorm"),
    ("attn_q", "self_attn.q_proj"),
    ("attn_k", "self_attn.k_proj"),
    ("attn_v", "self_attn.v_proj"),
    ("attn_output", "self_attn.o_proj"),
    ("attn_q_norm", "self_attn.q_norm"),
    ("attn_k_norm", "self_attn.k_norm"),
    ("ffn_norm", "post_attention_layernorm"),
    ("ffn_gate", "mlp.gate_proj"),
    ("ffn_up", "mlp.up_proj"),
    ("ffn_down", "mlp.down_proj"),
];
const LAYER_GPT2: [(&str, &str); 6] = [
    ("attn_norm", "ln_1"),
    ("attn_qkv", "attn.c_attn"),
    ("attn_output", "attn.c_proj"),
    ("ffn_norm", "ln_2"),
    ("ffn_up", "mlp.c_fc"),
    ("ffn_down", "mlp.c_proj"),
];

impl Architecture {
    fn is_gpt2(&self) -> bool {
        self.name == "gpt2"
    }

    fn tables(&self) -> (Names, &'static str, Names) {
        if self.is_gpt2() { (&WHOLE_GPT2, "h", &LAYER_GPT2) } else { (&WHOLE_LLAMA, "model.layers", &LAYER_LLAMA) }
    }

    /// The name that `transformers` has for a tensor; the same one where it has none.
    pub(super) fn their_name(&self, name: &str) -> String {
        let (whole, layers, layer) = self.tables();
        let translated = || {
            let (stem, kind) = name.rsplit_once('.')?;
            let theirs = |table: &[(&str, &str)], stem: &str| {
                table.iter().find(|(own, _)| *own == stem).map(|(_, theirs)| (*theirs).to_owned())
            };
            let Some(inner) = stem.strip_prefix("blk.") else {
                return Some(format!("{}.{kind}", theirs(whole, stem)?));
            };
            let (number, stem) = inner.split_once('.')?;
            Some(format!("{layers}.{number}.{}.{kind}", theirs(layer, stem)?))
        };
        translated().unwrap_or_else(|| name.to_owned())
    }

    /// The name in a GGUF file of a tensor that `transformers` calls so; the same one where there is none.
    pub(super) fn own_name(&self, theirs: &str) -> String {
        let (whole, layers, layer) = self.tables();
        let bare = theirs.strip_prefix(GPT2_PREFIX).unwrap_or(theirs);
        let translated = || {
            let (stem, kind) = bare.rsplit_once('.')?;
            let own = |table: &[(&str, &str)], stem: &str| {
                table.iter().find(|(_, theirs)| *theirs == stem).map(|(own, _)| (*own).to_owned())
            };
            let inner = stem.strip_prefix(layers).and_then(|inner| inner.strip_prefix('.'));
            let Some(inner) = inner else { return Some(format!("{}.{kind}", own(whole, stem)?)) };
            let (number, stem) = inner.split_once('.')?;
            Some(format!("blk.{number}.{}.{kind}", own(layer, stem)?))
        };
        translated().unwrap_or_else(|| theirs.to_owned())
    }

    /// What makes a tensor of a GGUF file the one that `transformers` has; `heads` are those of queries and of keys.
    ///
    /// Matrices of GPT-2 are `[out, in]` here and `[in, out]` there. Llama's rotation exchanges neighbours here and
    /// halves of a head there, so that the rows of queries and keys of a head are ordered 0, 2, 4, ... 1, 3, 5, ... .
    pub(super) fn steps(&self, name: &str, shape: &[usize], heads: [usize; 2]) -> Vec<Step> {
        let Some((stem, kind)) = name.rsplit_once('.') else { return Vec::new() };
        let part = stem.rsplit('.').next().unwrap_or(stem);
        if self.is_gpt2() {
            let is_matrix = kind == "weight" && shape.len() == 2 && stem.starts_with("blk.");
            return if is_matrix { vec![Step::Transpose] } else { Vec::new() };
        }
        let heads = match part {
            "attn_q" => heads[0],
            "attn_k" => heads[1],
            _ => return Vec::new(),
        };
        match shape {
            [rows, inner @ ..] if self.rotates_neighbours && heads > 0 && rows % (2 * heads) == 0 => {
                let split = [&[heads, rows / heads / 2, 2], inner].concat();
                vec![Step::Reshape(split), Step::Swap(1), Step::Reshape(shape.to_vec())]
            }
            _ => Vec::new(),
        }
    }

    /// What undoes [`Architecture::steps`]; `shape` is the one that `transformers` has.
    pub(super) fn inverse_steps(&self, name: &str, shape: &[usize], heads: [usize; 2]) -> Vec<Step> {
        let steps = self.steps(name, shape, heads);
        match (&steps[..], shape) {
            // Halves of a head become neighbours.
            ([Step::Reshape(split), _, whole], _) => {
                let mut halves = split.clone();
                halves.swap(1, 2);
                vec![Step::Reshape(halves), Step::Swap(1), whole.clone()]
            }
            _ => steps,
        }
    }
}
