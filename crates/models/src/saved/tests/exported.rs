//! Models in the forms of other programs, written and read again.

use std::path::{Path, PathBuf};

use burn::tensor::{Device, Int, Tensor};

use super::super::foreign::Foreign;
use super::super::hugging_face;
use crate::saved::{SavedModel, export_gguf, export_hugging_face};
use crate::{
    BytePairTokenizerConfig, ByteTokenizerConfig, CharacterTokenizerConfig, FeedForwardActivation, ModelConfig,
    NormKind, PositionKind, Tokenizer, TokenizerConfig, TransformerConfig,
};
use kiln_packed::{Format, Grid, PackedMatrix, Piece};
use kiln_storage::Which;

const TEXT: &str = "so it goes, and so it went: 12 of 34 came back\nand 5 did not";

fn learned(config: &TokenizerConfig) -> Tokenizer {
    Tokenizer::train(config, &mut [Ok(TEXT.to_owned())].into_iter()).unwrap()
}

/// One tokenizer of each kind that Kiln makes.
fn tokenizers() -> [Tokenizer; 3] {
    let special_tokens = vec!["<|end|>".to_owned()];
    [
        TokenizerConfig::Character(CharacterTokenizerConfig {
            special_tokens: special_tokens.clone(),
            ..CharacterTokenizerConfig::default()
        }),
        TokenizerConfig::Byte(ByteTokenizerConfig { special_tokens: special_tokens.clone() }),
        TokenizerConfig::BytePair(BytePairTokenizerConfig {
            vocabulary_size: 280,
            special_tokens,
            training_bytes: 1 << 20,
        }),
    ]
    .map(|config| learned(&config))
}

/// A model of Kiln with this tokenizer.
fn saved(config: TransformerConfig, tokenizer: Tokenizer) -> SavedModel {
    let rows = tokenizer.vocabulary_size();
    let model = ModelConfig::Transformer(config.clone()).init(rows, 32, 7, &Device::flex());
    let foreign = Foreign::own(config, rows, 32);
    foreign.saved(model, tokenizer, Vec::new(), None, Path::new("runs/own"))
}

/// The published families, by the configurations of the fixtures.
fn families() -> Vec<(String, TransformerConfig)> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("fixtures/hugging-face");
    let mut names: Vec<String> =
        std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names.into_iter().map(|name| (name.clone(), hugging_face::tests::configuration_of(&name))).collect()
}

fn logits(saved: &SavedModel) -> Vec<f32> {
    let rows = saved.tokenizer.vocabulary_size() as i32;
    let ids: Vec<i32> = (0..24).map(|index| (index * 7 + 3) % rows).collect();
    let ids = Tensor::<1, Int>::from_data(ids.as_slice(), &Device::flex()).unsqueeze::<2>();
    saved.model.forward(ids, None).0.into_data().iter::<f32>().collect()
}

fn largest_difference(left: &[f32], right: &[f32]) -> f32 {
    assert_eq!(left.len(), right.len());
    left.iter().zip(right).fold(0.0, |largest, (left, right)| largest.max((left - right).abs()))
}

fn open(path: &Path) -> SavedModel {
    SavedModel::open(path, Which::Best, &Device::flex()).unwrap_or_else(|error| panic!("{error}"))
}

/// Kiln's own, with every switch that a family has.
fn own() -> [(String, TransformerConfig); 3] {
    let small = TransformerConfig { layers: 2, heads: 2, width: 16, ..TransformerConfig::default() };
    let biased = TransformerConfig { bias: true, tied: false, ..small.clone() };
    let squared =
        TransformerConfig { activation: crate::transformer::FeedForwardActivation::ReluSquared, ..small.clone() };
    [("small", small), ("biased", biased), ("squared", squared)].map(|(name, config)| (name.to_owned(), config))
}

#[test]
fn a_folder_that_is_written_holds_the_same_model() {
    let mut written = 0;
    for ((name, config), tokenizer) in families().into_iter().chain(own()).zip(tokenizers().into_iter().cycle()) {
        let folder = tempfile::tempdir().unwrap();
        let model = saved(config, tokenizer);
        let outcome = export_hugging_face(&model, None, folder.path());
        let outcome = outcome.unwrap_or_else(|error| panic!("{name}: {error}"));
        let read = open(folder.path());
        assert_eq!(logits(&read), logits(&model), "{name} as {}", outcome.family);
        assert_eq!(read.tokenizer.to_json(), model.tokenizer.to_json());
        assert_eq!(read.end_tokens(), model.end_tokens());
        written += 1;
    }
    assert!(written >= 26, "{written}");
}

#[test]
fn a_gguf_file_that_is_written_holds_the_same_model_and_tokenizer() {
    let (mut written, mut refused) = (0, Vec::new());
    for ((name, config), tokenizer) in families().into_iter().chain(own()).zip(tokenizers().into_iter().cycle()) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("model.gguf");
        let model = saved(config, tokenizer);
        let outcome = match export_gguf(&model, None, &path) {
            Ok(outcome) => outcome,
            Err(error) => {
                refused.push((name, error.to_string()));
                continue;
            }
        };
        let read = open(&path);
        // Numbers of the configuration, the base of the rotation for example, are kept in single precision.
        let off = largest_difference(&logits(&read), &logits(&model));
        // And GELU is read as the one with a tanh.
        let tolerance = if !outcome.notes.iter().any(|note| note.contains("GELU")) { 1e-6 } else { 1e-4 };
        assert!(off < tolerance, "{name} as {}: {off}", outcome.family);
        assert_eq!(read.end_tokens(), model.end_tokens(), "{}", outcome.family);
        for text in [TEXT, "it came<|end|>and went", "  so \n\n it"] {
            let tokens = model.tokenizer.encode(text).unwrap();
            assert_eq!(read.tokenizer.encode(text).unwrap(), tokens, "{text}");
            assert_eq!(read.tokenizer.decode(&tokens), text);
        }
        written += 1;
    }
    assert!(written >= 20, "{written}: {refused:#?}");
    let option = |name: &str, option: &str| (name.to_owned(), format!("`{option}` has no counterpart"));
    let expected = [
        option("gemma2", "attention-scale"),
        option("gemma3", "attention-scale"),
        option("gemma3-with-pictures", "attention-scale"),
        ("phi3-long".to_owned(), "`rope_scaling` \"longrope\" has no counterpart".to_owned()),
        option("qwen2-local", "attention-window"),
        option("smollm3", "layer-pattern"),
        ("squared".to_owned(), "\"relu2\" has no counterpart".to_owned()),
    ];
    assert_eq!(refused.len(), expected.len(), "{refused:#?}");
    for ((name, problem), (expected_name, words)) in refused.iter().zip(&expected) {
        assert!(name == expected_name && problem.contains(words), "{name}: {problem}");
    }
}

#[test]
fn lower_precision_is_near() {
    let [_, bytes, _] = tokenizers();
    let config = TransformerConfig { layers: 1, heads: 2, width: 64, ..TransformerConfig::default() };
    let model = saved(config, bytes);
    let expected = logits(&model);
    let largest = expected.iter().fold(0.0_f32, |largest, logit| largest.max(logit.abs()));
    let folder = tempfile::tempdir().unwrap();
    for (precision, tolerance) in [(Format::F16, 1e-3), (Format::Bf16, 2e-2), (Format::Q8_0, 2e-2), (Format::F32, 1e-4)]
    {
        let path = folder.path().join(format!("{precision:?}.gguf"));
        export_gguf(&model, Some(precision), &path).unwrap();
        let off = largest_difference(&logits(&open(&path)), &expected);
        assert!(off < tolerance * largest, "{precision:?}: {off} of {largest}");
        assert!(off > 1e-5 || precision == Format::F32, "{precision:?} must be seen");
    }
    let problem = export_hugging_face(&model, Some(Format::Q8_0), folder.path()).unwrap_err().to_string();
    assert!(problem.contains("q8_0 is a type of GGUF files"), "{problem}");
}

#[test]
fn a_model_without_a_family_is_refused_with_the_option_and_leaves_nothing() {
    let [_, bytes, _] = tokenizers();
    let config = TransformerConfig {
        layers: 1,
        heads: 2,
        width: 16,
        attention_soft_cap: Some(30.0),
        ..TransformerConfig::default()
    };
    let model = saved(config, bytes);
    let folder = tempfile::tempdir().unwrap();
    let problem = export_gguf(&model, None, &folder.path().join("x.gguf")).unwrap_err().to_string();
    assert!(problem.contains("`attention-soft-cap`"), "{problem}");
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[test]
fn packed_matrices_keep_their_bits_in_gguf() {
    let folder = tempfile::tempdir().unwrap();
    let [tokenizer, ..] = tokenizers();
    let config = TransformerConfig {
        layers: 2,
        width: 64,
        heads: 4,
        key_value_heads: Some(2),
        position: PositionKind::Rotary,
        norm: NormKind::Rms,
        activation: FeedForwardActivation::Swiglu,
        feed_forward: Some(128),
        bias: false,
        ..TransformerConfig::default()
    };
    let mut model = saved(config, tokenizer);
    // As if its numbers had been chosen by another method: codes that no rounding of theirs would make.
    let model_folder = folder.path().join("model");
    std::fs::create_dir(&model_folder).unwrap();
    for mut matrix in model.model.matrices() {
        let [outputs, inputs] = matrix.sizes();
        let row: Vec<f32> = (0..inputs).map(|index| (index % 7) as f32).collect();
        let grid = Grid::fit(Format::Q4_0, &row, None).unwrap();
        let mut bytes = Vec::new();
        for output in 0..outputs {
            let codes: Vec<u8> = (0..inputs).map(|input| ((output * 5 + input) % 9) as u8).collect();
            grid.write(&codes, &mut bytes);
        }
        let piece = Piece::new(Format::Q4_0, inputs, &bytes).unwrap();
        matrix.pack(PackedMatrix::join(inputs, vec![piece]).unwrap()).unwrap();
    }
    let path = folder.path().join("x.gguf");
    export_gguf(&model, None, &path).unwrap();
    let again = SavedModel::open_to_read(&path, Which::Best, &Device::flex()).unwrap();
    let bytes = |saved: &SavedModel| {
        let packed = saved.model.packed_tensors().into_iter();
        let bytes = |piece: &Piece| piece.bytes(0..piece.rows()).to_vec();
        packed
            .map(|(name, it)| (name, it.matrix.pieces().iter().flat_map(bytes).collect()))
            .collect::<Vec<(_, Vec<u8>)>>()
    };
    assert_eq!(bytes(&again), bytes(&model));
}
