//! What is known of each architecture of these files.

/// Keys of a file, behind the architecture's name, and those of a `config.json`.
type Keys = &'static [(&'static str, &'static str)];

/// Whether the head has weights of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum HeadWeights {
    /// Where the file has them; else they are the table of tokens.
    Optional,
    /// Always.
    Own,
    /// Never.
    Tied,
}

/// How tensors are called and laid out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Layout {
    Gpt2,
    GptNeox,
    Llama,
    /// As Llama; queries, keys and values are one matrix, and gates and what they open another.
    Phi3,
    /// As Llama, with norms behind the parts.
    NormsAfter,
    /// As Llama, with norms before and behind the parts.
    NormsAround,
}

/// What is known of an architecture.
#[derive(Debug, Clone, Copy)]
pub(super) struct Architecture {
    /// The `general.architecture`.
    pub(super) name: &'static str,
    /// The `model_type` of a `config.json`.
    pub(super) model_type: &'static str,
    pub(super) layout: Layout,
    /// Whether rows of queries and keys are ordered for a rotation of neighbours.
    pub(super) rotates_neighbours: bool,
    /// Whether a part of each head may be rotated.
    pub(super) rotates_part: bool,
    pub(super) head: HeadWeights,
    /// Further keys, by what follows the architecture's name.
    keys: &'static [Keys],
    /// What the architecture leaves unsaid.
    pub(super) fixed: &'static [(&'static str, &'static str)],
    /// Every how many layers one is global, where the others have a window and the file doesn't say it.
    pub(super) global_every: Option<usize>,
    /// The window where the file doesn't say it; `None` is none.
    pub(super) window: Option<usize>,
}

/// What follows the architecture's name in the key of the window.
pub(super) const WINDOW: &str = "attention.sliding_window";

const SIZES: Keys = &[
    ("context_length", "max_position_embeddings"),
    ("embedding_length", "hidden_size"),
    ("block_count", "num_hidden_layers"),
    ("feed_forward_length", "intermediate_size"),
    ("attention.head_count", "num_attention_heads"),
    ("rope.freq_base", "rope_theta"),
];

const GPT2_SIZES: Keys = &[
    ("context_length", "n_positions"),
    ("embedding_length", "n_embd"),
    ("block_count", "n_layer"),
    ("feed_forward_length", "n_inner"),
    ("attention.head_count", "n_head"),
    ("attention.layer_norm_epsilon", "layer_norm_epsilon"),
];

const KEY_HEADS: Keys = &[("attention.head_count_kv", "num_key_value_heads")];
const HEADS: Keys = &[("attention.head_count_kv", "num_key_value_heads"), ("attention.key_length", "head_dim")];
const RMS: Keys = &[("attention.layer_norm_rms_epsilon", "rms_norm_eps")];
const LAYER_NORM: Keys = &[("attention.layer_norm_epsilon", "layer_norm_eps")];
const LOCAL: Keys = &[(WINDOW, "sliding_window")];
const LOCAL_BASE: Keys = &[("rope.freq_base_swa", "rope_local_base_freq")];
const ATTENTION_CAP: Keys = &[("attn_logit_softcapping", "attn_logit_softcapping")];
const LOGIT_CAP: Keys = &[("final_logit_softcapping", "final_logit_softcapping")];
const PARALLEL: Keys = &[("use_parallel_residual", "use_parallel_residual")];

const SILU: &[(&str, &str)] = &[("hidden_act", "silu")];
const GELU_TANH: &[(&str, &str)] = &[("hidden_activation", "gelu_pytorch_tanh")];

/// Llama, which the others are said to differ from.
const LLAMA: Architecture = Architecture {
    name: "llama",
    model_type: "llama",
    layout: Layout::Llama,
    rotates_neighbours: true,
    rotates_part: false,
    head: HeadWeights::Optional,
    keys: &[SIZES, HEADS, RMS],
    fixed: SILU,
    global_every: None,
    window: None,
};

/// Where two have one name, the later one has a window.
const ARCHITECTURES: [Architecture; 13] = [
    Architecture {
        name: "gpt2",
        model_type: "gpt2",
        layout: Layout::Gpt2,
        rotates_neighbours: false,
        keys: &[GPT2_SIZES],
        fixed: &[],
        ..LLAMA
    },
    LLAMA,
    Architecture { model_type: "mistral", keys: &[SIZES, HEADS, RMS, LOCAL], ..LLAMA },
    Architecture { name: "qwen2", model_type: "qwen2", rotates_neighbours: false, ..LLAMA },
    Architecture { name: "qwen3", model_type: "qwen3", rotates_neighbours: false, ..LLAMA },
    Architecture {
        name: "gptneox",
        model_type: "gpt_neox",
        layout: Layout::GptNeox,
        rotates_neighbours: false,
        rotates_part: true,
        head: HeadWeights::Own,
        keys: &[SIZES, LAYER_NORM, PARALLEL],
        // The file doesn't say which of the two it is; that of Pythia.
        fixed: &[("hidden_act", "gelu")],
        ..LLAMA
    },
    Architecture {
        name: "gemma",
        model_type: "gemma",
        rotates_neighbours: false,
        head: HeadWeights::Tied,
        fixed: GELU_TANH,
        ..LLAMA
    },
    Architecture {
        name: "gemma2",
        model_type: "gemma2",
        layout: Layout::NormsAround,
        rotates_neighbours: false,
        head: HeadWeights::Tied,
        keys: &[SIZES, HEADS, RMS, LOCAL, ATTENTION_CAP, LOGIT_CAP],
        fixed: GELU_TANH,
        global_every: Some(2),
        window: Some(4096),
        ..LLAMA
    },
    Architecture {
        name: "gemma3",
        model_type: "gemma3_text",
        layout: Layout::NormsAround,
        rotates_neighbours: false,
        keys: &[SIZES, HEADS, RMS, LOCAL, LOCAL_BASE, LOGIT_CAP],
        fixed: GELU_TANH,
        global_every: Some(6),
        ..LLAMA
    },
    Architecture {
        name: "olmo2",
        model_type: "olmo2",
        layout: Layout::NormsAfter,
        rotates_neighbours: false,
        head: HeadWeights::Own,
        keys: &[SIZES, KEY_HEADS, RMS],
        ..LLAMA
    },
    Architecture { name: "smollm3", model_type: "smollm3", ..LLAMA },
    Architecture {
        name: "phi3",
        model_type: "phi3",
        layout: Layout::Phi3,
        rotates_neighbours: false,
        rotates_part: true,
        keys: &[SIZES, KEY_HEADS, RMS, LOCAL],
        ..LLAMA
    },
    Architecture {
        name: "stablelm",
        model_type: "stablelm",
        rotates_neighbours: false,
        rotates_part: true,
        head: HeadWeights::Own,
        keys: &[SIZES, KEY_HEADS, LAYER_NORM],
        ..LLAMA
    },
];

impl Architecture {
    /// The one of this name, and of those the one `with_window` or without.
    pub(super) fn named(name: &str, with_window: bool) -> Option<Self> {
        let mut found = ARCHITECTURES.into_iter().filter(|architecture| architecture.name == name);
        let first = found.next();
        found.next().filter(|_| with_window).or(first)
    }

    /// The one of a `model_type`.
    pub(super) fn of_family(family: &str) -> Option<Self> {
        ARCHITECTURES.into_iter().find(|architecture| architecture.model_type == family)
    }

    /// The names of all.
    pub(super) fn all_names() -> String {
        let mut names = ARCHITECTURES.map(|architecture| architecture.name).to_vec();
        names.dedup();
        names.join(", ")
    }

    /// Keys of a file, behind the architecture's name, and those of a `config.json`.
    pub(super) fn keys(&self) -> impl Iterator<Item = &'static (&'static str, &'static str)> {
        self.keys.iter().copied().flatten()
    }

    /// Whether a key of a file, without the architecture's name, becomes one of a `config.json`.
    pub(super) fn has_key(&self, ending: &str) -> bool {
        self.keys().any(|(known, _)| *known == ending)
    }
}
