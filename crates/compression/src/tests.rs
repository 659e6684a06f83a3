//! Whole models made smaller.

use burn::tensor::{Device, Int, Tensor, TensorData};
use kiln_models::{GruConfig, LanguageModel, LstmConfig, ModelConfig, RnnConfig, TransformerConfig};
use kiln_packed::Format;
use kiln_settings::{Override, Source};

use crate::{Calibration, CompressConfig, CompressionError, Method, Outcome, QuantizeConfig, compress};

pub(crate) const VOCABULARY: usize = 96;
pub(crate) const CONTEXT: usize = 32;

pub(crate) fn families() -> [ModelConfig; 4] {
    let transformer =
        TransformerConfig { layers: 2, width: 64, heads: 4, key_value_heads: Some(2), ..TransformerConfig::default() };
    [
        ModelConfig::Transformer(transformer),
        ModelConfig::Lstm(LstmConfig { layers: 2, hidden: 64, ..LstmConfig::default() }),
        ModelConfig::Gru(GruConfig { layers: 1, hidden: 64, ..GruConfig::default() }),
        ModelConfig::Rnn(RnnConfig { layers: 2, hidden: 64, ..RnnConfig::default() }),
    ]
}

pub(crate) fn model(config: &ModelConfig) -> LanguageModel {
    config.init(VOCABULARY, CONTEXT, 5, &Device::flex())
}

/// Tokens in which each goes by what the one before it is.
fn text(seed: u32, count: usize) -> Vec<u32> {
    let next = |token: &mut u32| {
        *token = (*token * 7 + seed) % VOCABULARY as u32;
        Some(*token)
    };
    std::iter::from_fn({
        let mut token = seed;
        move || next(&mut token)
    })
    .take(count)
    .collect()
}

pub(crate) fn calibration() -> Calibration {
    Calibration::new((0..24).map(|seed| text(seed, CONTEXT)).collect())
}

pub(crate) fn logits(model: &LanguageModel) -> Vec<f32> {
    let ids: Vec<i64> = text(77, 2 * CONTEXT).into_iter().map(i64::from).collect();
    let tokens = Tensor::<2, Int>::from_data(TensorData::new(ids, [2, CONTEXT]), &Device::flex());
    model.forward(tokens, None).0.into_data().iter::<f32>().collect()
}

pub(crate) fn distance(found: &[f32], expected: &[f32]) -> f64 {
    let squared = |(found, expected): (&f32, &f32)| f64::from(found - expected).powi(2);
    let all: f64 = expected.iter().map(|number| f64::from(*number).powi(2)).sum();
    (found.iter().zip(expected).map(squared).sum::<f64>() / all).sqrt()
}

fn quantized(
    model: &mut LanguageModel,
    quantize: QuantizeConfig,
    calibration: &Calibration,
) -> Result<Outcome, CompressionError> {
    let config = CompressConfig { quantize: Some(quantize), ..CompressConfig::default() };
    let [mut description, ..] = families();
    compress(model, &mut description, CONTEXT, &config, calibration, &mut |_| true)
}

#[test]
fn finer_formats_stay_closer_to_every_family() {
    for config in families() {
        let expected = logits(&model(&config));
        let mut last = 1.0;
        for format in [Format::Q4_0, Format::Q5_0, Format::Q8_0, Format::F16] {
            let mut model = model(&config);
            let outcome = quantized(&mut model, QuantizeConfig::to(format), &Calibration::none()).unwrap();
            let off = distance(&logits(&model), &expected);
            assert!(off < 0.8 * last, "{} in {}: {off} after {last}", config.name(), format.name());
            assert_eq!(outcome.parts.len(), model.matrices().len());
            last = off;
        }
        assert!(last < 1e-3, "{}: {last} in half precision", config.name());
    }
}

#[test]
fn methods_that_see_a_text_change_outputs_on_it_less() {
    for config in families() {
        let error = |method: Method| {
            let quantize = QuantizeConfig { method, ..QuantizeConfig::to(Format::Q4_0) };
            let outcome = quantized(&mut model(&config), quantize, &calibration()).unwrap();
            let hidden = outcome.parts.iter().filter(|part| part.format == Format::Q4_0);
            hidden.map(|part| part.relative_error).sum::<f64>()
        };
        let (importance, gptq) = (error(Method::Importance), error(Method::Gptq));
        assert!(gptq < 0.8 * importance, "{}: GPTQ {gptq}, importance {importance}", config.name());
    }
}

#[test]
fn parts_get_the_format_of_the_last_pattern_that_names_them() {
    let [config, ..] = families();
    let parts = ["blocks.*=q5_0", "blocks.1.*=q8_0"].map(ToOwned::to_owned).to_vec();
    let quantize = QuantizeConfig { parts, ..QuantizeConfig::to(Format::Q4_0) };
    let outcome = quantized(&mut model(&config), quantize, &Calibration::none()).unwrap();
    for part in &outcome.parts {
        let expected = match part.name.as_str() {
            name if name.starts_with("blocks.0.") => Format::Q5_0,
            _ => Format::Q8_0,
        };
        assert_eq!(part.format, expected, "{}", part.name);
    }
}

#[test]
fn what_does_not_fit_is_refused_with_what_does() {
    let [config, ..] = families();
    let error = |quantize: QuantizeConfig, calibration: &Calibration| {
        quantized(&mut model(&config), quantize, calibration).unwrap_err().to_string()
    };
    let words = error(QuantizeConfig::to(Format::Q4K), &Calibration::none());
    assert_eq!(
        words,
        "`blocks.0.attention.query_key_value.weight` has rows of 64 numbers, and Q4_K packs 256 at a time; those that \
         fit are q4_0, q4_1, q5_0, q5_1, q8_0"
    );
    let gptq = QuantizeConfig { method: Method::Gptq, ..QuantizeConfig::to(Format::Q4_0) };
    assert!(error(gptq, &Calibration::none()).contains("needs a text"));
    let parts = vec!["nothing.*=q8_0".to_owned()];
    let words = error(QuantizeConfig { parts, ..QuantizeConfig::to(Format::Q4_0) }, &Calibration::none());
    assert!(words.starts_with("the pattern `nothing.*` matches no part; the parts are `token_embedding.weight`"));
    assert!(Calibration::starts(31, 32, 1000).is_err());
    assert_eq!(Calibration::starts(100, 10, 35).unwrap(), [0, 30, 60]);
}

#[test]
fn settings_are_checked() {
    let read = |text: &str, set: &[(&str, &str)]| {
        let set: Vec<Override> =
            set.iter().map(|(key, value)| Override::parse("--set", &format!("{key}={value}")).unwrap()).collect();
        CompressConfig::read(&Source::new("small.toml", text), &set).map_err(|errors| errors.to_string())
    };
    let config = read("[quantize]\nformat = \"q4_0\"", &[("quantize.method", "gptq")]).unwrap();
    assert_eq!(config.quantize.unwrap().method, Method::Gptq);
    let words = read("[quantize]\nformat = \"q3_0\"\nparts = [\"a\", \"b=q9\"]", &[]).unwrap_err();
    assert!(words.contains("`quantize.format` must be a format of numbers, is \"q3_0\""), "{words}");
    assert!(words.contains("`quantize.parts[0]` must be a pattern, `=` and a format"), "{words}");
    assert!(words.contains("`quantize.parts[1]` must end with one of f32, f16"), "{words}");
    assert!(read("", &[]).unwrap_err().contains("nothing is to be done"));
}
