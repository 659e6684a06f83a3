//! What can be wrong with a folder of this form.

/// Why a model cannot be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HuggingFaceError {
    /// `config.json` cannot be read.
    #[error("`config.json` {0}")]
    Config(String),
    /// Another architecture than those that are known.
    #[error("`config.json` says `model_type` \"{found}\", and the architectures that can be read are {known}")]
    UnknownArchitecture {
        /// What it says.
        found: String,
        /// Those that are known.
        known: String,
    },
    /// A key that may change what the model computes.
    #[error("`config.json` has the key `{0}`, which may change what the model computes and is not known")]
    UnknownKey(String),
    /// A key without which nothing can be computed.
    #[error("`config.json` has no key `{0}`")]
    MissingKey(String),
    /// A value that is wrong, or that is not supported.
    #[error("`config.json` says {value} for `{key}`, {problem}")]
    Value {
        /// The key.
        key: String,
        /// What it says.
        value: String,
        /// What is wrong with it.
        problem: String,
    },
    /// The tokens that end a text cannot be read.
    #[error("`{file}` {problem}")]
    EndTokens {
        /// The file.
        file: String,
        /// What is wrong with it.
        problem: String,
    },
    /// A file beside the weights cannot be read.
    #[error("`{file}` {problem}")]
    Beside {
        /// The file.
        file: &'static str,
        /// What is wrong with it.
        problem: String,
    },
    /// There is no tokenizer of any form.
    #[error("it has no tokenizer: no `tokenizer.json`, no `vocab.json` with `merges.txt`, and no `tokenizer.model`")]
    NoTokenizer,
    /// There are no weights.
    #[error("it has neither `model.safetensors` nor `model.safetensors.index.json`")]
    NoWeights,
    /// There are weights that are not read.
    #[error(
        "its weights are the pickles `{0}`, which can run code when they are opened and are not read; it has no \
         `model.safetensors`"
    )]
    Pickles(&'static str),
    /// A shard is not there.
    #[error("`model.safetensors.index.json` names the shard `{name}`, {}", if *is_link { "which is a link to nothing \
        or to itself" } else { "which isn't there" })]
    MissingShard {
        /// The name.
        name: String,
        /// Whether a link of the name is there.
        is_link: bool,
    },
    /// The index of the shards makes no sense.
    #[error("`model.safetensors.index.json` {0}")]
    Index(String),
    /// A tensor that belongs to nothing that the configuration describes.
    #[error("its weights have `{0}`, which a model of this configuration has not")]
    UnknownTensor(String),
    /// Another number of weights than the configuration describes.
    #[error("`config.json` describes {expected} parameters, and the weights have {found}")]
    OtherSize {
        /// Numbers in the file.
        found: u64,
        /// Numbers of the model.
        expected: u64,
    },
    /// More layers than tensors.
    #[error("`config.json` describes {layers} layers, and the weights have {tensors} tensors")]
    FewerTensors {
        /// Layers of the configuration.
        layers: usize,
        /// Tensors in the files.
        tensors: usize,
    },
    /// No family has all of the model's options.
    #[error(
        "no family of `transformers` has all of its options; {family} is the nearest, and it has no counterpart of \
         `{option}`"
    )]
    NoFamily {
        /// The nearest family.
        family: String,
        /// An option that it lacks.
        option: String,
    },
    /// A recurrent model.
    #[error("it is a recurrent model, of which `transformers` and `llama.cpp` have no family")]
    Recurrent,
    /// Thin matrices in the place of one have no counterpart.
    #[error("products with two thin matrices have no counterpart in other programs")]
    Factored,
    /// Other programs have adapters in files of their own.
    #[error(
        "it has adapters; `kiln merge MODEL --run NAME` puts them into its matrices, and what that writes can be \
             exported"
    )]
    Adapted,
    /// Packed numbers in a folder.
    #[error("a folder of `transformers` holds f32, f16 or bf16; q8_0 is a type of GGUF files")]
    NoPacked,
    /// The tokenizer has more tokens than the model.
    #[error("its tokenizer has {tokens} tokens, and its model knows {rows}: it is the tokenizer of another model")]
    OtherTokenizer {
        /// Tokens of the tokenizer.
        tokens: usize,
        /// Rows of the model's table.
        rows: usize,
    },
}
