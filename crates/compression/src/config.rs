//! What is to be done, as a file or the command line says it.

use glob::Pattern;
use kiln_packed::Format;
use kiln_settings::{ConfigErrors, Override, Source, Violation, read};
use serde::{Deserialize, Serialize};

use crate::low_rank::LowRankConfig;
use crate::prune::PruneConfig;

/// How a model is made smaller, step by step in this order.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct CompressConfig {
    /// What a report calls it. Default: what is done, in words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    /// A text like those that the model is for, which shows what its numbers are multiplied with.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub calibration: Option<String>,
    /// Tokens of it that are read, >= 1. Default `16384`.
    pub calibration_tokens: usize,
    /// Leaving parts of it out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prune: Option<PruneConfig>,
    /// Two thin matrices in the place of one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub low_rank: Option<LowRankConfig>,
    /// Packing numbers into fewer bits.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub quantize: Option<QuantizeConfig>,
}

impl Default for CompressConfig {
    fn default() -> Self {
        Self { label: None, calibration: None, calibration_tokens: 16_384, prune: None, low_rank: None, quantize: None }
    }
}

/// `[quantize]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct QuantizeConfig {
    /// A format of `llama.cpp`: `q8_0`, `q6_k`, `q5_k`, `q5_1`, `q5_0`, `q4_k`, `q4_1`, `q4_0`, or `f16`, `bf16`.
    pub format: String,
    /// How the whole numbers are chosen. Default `nearest`.
    #[serde(default)]
    pub method: Method,
    /// Parts with another format, each `"PATTERN=FORMAT"` with `*` for anything; of several that match the last counts.
    /// The table of tokens and the head get `q8_0` where the format has 4 or 5 bits, unless one of these names them.
    /// Default: none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub parts: Vec<String>,
}

/// How whole numbers are chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Method {
    /// Each number becomes the nearest that its format has.
    #[default]
    Nearest,
    /// Scales are chosen so that errors are small where inputs are large, on a calibration text.
    Importance,
    /// GPTQ (Frantar et al. 2023, <https://arxiv.org/abs/2210.17323>): the error of each number is made up for by those
    /// that are not rounded yet, on a calibration text.
    Gptq,
}

impl CompressConfig {
    /// Reads it from its text, with keys set on the command line.
    ///
    /// # Errors
    /// Every problem that the text and the overrides have.
    pub fn read(source: &Source, overrides: &[Override]) -> Result<Self, ConfigErrors> {
        read(source, overrides, Self::validate)
    }

    /// Every broken rule.
    pub fn validate(&self) -> Vec<Violation> {
        let mut violations = Vec::new();
        if self.calibration_tokens == 0 {
            violations.push(Violation::new("calibration-tokens", "must be 1 or more, is 0"));
        }
        if let Some(prune) = &self.prune {
            violations.extend(prune.validate().into_iter().map(|violation| violation.under("prune")));
        }
        if let Some(low_rank) = &self.low_rank {
            violations.extend(low_rank.validate().into_iter().map(|violation| violation.under("low-rank")));
        }
        if let Some(quantize) = &self.quantize {
            violations.extend(quantize.validate().into_iter().map(|violation| violation.under("quantize")));
        }
        if self.quantize.is_none() && self.prune.is_none() && self.low_rank.is_none() {
            let help = "write `[quantize]` with `format = \"q8_0\"`, or add `--format q8_0`";
            violations.push(
                Violation::new("quantize", "is missing, as is every other step: nothing is to be done").with_help(help),
            );
        }
        violations
    }

    /// What a report calls it.
    pub fn name(&self) -> String {
        self.label.clone().unwrap_or_else(|| self.words().join("; "))
    }

    /// What is done, a line a step.
    pub fn words(&self) -> Vec<String> {
        let prune = self.prune.iter().map(PruneConfig::words);
        let low_rank = self.low_rank.iter().map(LowRankConfig::words);
        prune.chain(low_rank).chain(self.quantize.iter().map(QuantizeConfig::words)).collect()
    }

    /// Whether a text has to be read.
    pub fn needs_calibration(&self) -> bool {
        self.prune.as_ref().is_some_and(PruneConfig::needs_calibration)
            || self.low_rank.as_ref().is_some_and(|low_rank| low_rank.calibrated)
            || self.quantize.as_ref().is_some_and(|quantize| quantize.method != Method::Nearest)
    }
}

impl QuantizeConfig {
    /// All parts to one format.
    pub fn to(format: Format) -> Self {
        Self { format: format.name().to_lowercase(), method: Method::default(), parts: Vec::new() }
    }

    fn words(&self) -> String {
        let method = match self.method {
            Method::Nearest => "rounding to the nearest",
            Method::Importance => "importance",
            Method::Gptq => "GPTQ",
        };
        let others = if self.parts.is_empty() { String::new() } else { format!("; {}", self.parts.join(", ")) };
        format!("quantized to {} by {method}{others}", self.format.to_lowercase())
    }

    /// The format of all parts that no pattern names.
    pub(crate) fn format(&self) -> Option<Format> {
        Format::from_name(&self.format)
    }

    /// The patterns with their formats.
    pub(crate) fn patterns(&self) -> impl Iterator<Item = (Pattern, Format)> {
        self.parts.iter().filter_map(|part| pattern(part).ok())
    }

    fn validate(&self) -> Vec<Violation> {
        let mut violations = Vec::new();
        if self.format().is_none() {
            let message = format!("must be a format of numbers, is \"{}\"", self.format);
            violations.push(Violation::new("format", message).with_help(format!("take one of {}", names())));
        }
        for (index, part) in self.parts.iter().enumerate() {
            if let Err(problem) = pattern(part) {
                let help = "for example \"blocks.0.*=q8_0\"";
                violations.push(Violation::new(format!("parts[{index}]"), problem).with_help(help));
            }
        }
        violations
    }
}

fn names() -> String {
    Format::ALL.map(|format| format.name().to_lowercase()).join(", ")
}

fn pattern(part: &str) -> Result<(Pattern, Format), String> {
    let (pattern, format) = part.rsplit_once('=').ok_or("must be a pattern, `=` and a format")?;
    let pattern = Pattern::new(pattern.trim()).map_err(|error| format!("is no pattern: {error}"))?;
    let format = Format::from_name(format.trim());
    Ok((pattern, format.ok_or_else(|| format!("must end with one of {}", names()))?))
}
