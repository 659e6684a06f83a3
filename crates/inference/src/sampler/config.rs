//! How the next token is chosen.

use std::collections::{BTreeMap, BTreeSet};

use kiln_settings::Violation;
use serde::{Deserialize, Serialize};

/// How the next token is chosen from the logits. Everything that is not set is not done.
///
/// The steps happen in the order of the fields; see [`Sampler`](super::Sampler) for why.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct SamplerConfig {
    /// Is added to the logits of these tokens (`logit_bias` of OpenAI's interface, `SequenceBiasLogitsProcessor` of
    /// Hugging Face for sequences of one token). Finite; 100 all but demands a token, -100 all but bans it.
    pub logit_bias: BTreeMap<u32, f32>,
    /// Makes tokens that occurred already less likely: their logits are divided by this where positive and multiplied
    /// by it where negative (Keskar et al. 2019, "CTRL", <https://arxiv.org/abs/1909.05858>, section 4.1, with the sign
    /// rule of Hugging Face's `RepetitionPenaltyLogitsProcessor`). Greater than 0; below 1 it favours repetition.
    pub repetition_penalty: Option<f32>,
    /// Is taken from the logit of a token for each time that it was written, as OpenAI's interface and `llama.cpp`
    /// define it; the prompt doesn't count. Finite; below 0 it favours repetition.
    pub frequency_penalty: Option<f32>,
    /// Is taken once from the logit of every token that was written, as OpenAI's interface and `llama.cpp` define it;
    /// the prompt doesn't count. Finite; below 0 it favours repetition.
    pub presence_penalty: Option<f32>,
    /// Makes tokens that would continue a repeated sequence less likely.
    pub dry: Option<Dry>,
    /// Divides the logits: below 1 the likely becomes likelier, above 1 rarer tokens come up more often. 0 always takes
    /// the likeliest token, the one with the lowest number among equals. Default 0.8.
    pub temperature: f32,
    /// Keeps the tokens whose logit is at most this many standard deviations of all logits below the highest (Tang et
    /// al. 2024, <https://arxiv.org/abs/2411.07641>). The temperature doesn't change what is kept. Greater than 0.
    pub top_n_sigma: Option<f32>,
    /// Keeps this many of the likeliest tokens; among equals those with the lowest numbers. At least 1.
    pub top_k: Option<usize>,
    /// Keeps the smallest set of likeliest tokens whose probabilities, relative to what `top-k` left, reach this
    /// (Holtzman et al. 2020, <https://arxiv.org/abs/1904.09751>). Above 0, at most 1.
    pub top_p: Option<f32>,
    /// Keeps the tokens that are at least so likely as this share of the likeliest (Nguyen et al. 2024,
    /// <https://arxiv.org/abs/2407.01082>). Above 0, at most 1.
    pub min_p: Option<f32>,
    /// Keeps the smallest set of tokens of probability this in all whose surprise is nearest to the one to be expected,
    /// the entropy (Meister et al. 2022, <https://arxiv.org/abs/2202.00666>): that may leave the likeliest out. All
    /// that are as near as the last one stay, as in Hugging Face's `TypicalLogitsWarper`. Above 0, at most 1.
    pub typical_p: Option<f32>,
    /// Leaves the likeliest tokens out, some of the time.
    pub xtc: Option<Xtc>,
    /// Keeps as many tokens as hold the surprise of the text at one level, in the place of all filters.
    pub mirostat: Option<Mirostat>,
    /// Where the random numbers of a request begin: the same request gives the same text. Default 0.
    pub seed: u64,
}

/// "Don't repeat yourself", a penalty on sequences, as `llama.cpp` computes it: where the last n tokens of the text,
/// n being at least `allowed-length`, stand elsewhere in it, the logit of the token that follows there is lowered by
/// `multiplier` times `base` to the power of n - `allowed-length`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Dry {
    /// The penalty at the allowed length. Greater than 0; default 0.8.
    pub multiplier: f32,
    /// What the penalty grows by with each further token. At least 1; default 1.75.
    pub base: f32,
    /// The length of a repeated sequence from which on its continuation is penalised. At least 1; default 2.
    pub allowed_length: usize,
    /// Tokens that no repeated sequence reaches across, such as line breaks.
    pub breakers: BTreeSet<u32>,
}

impl Default for Dry {
    fn default() -> Self {
        Self { multiplier: 0.8, base: 1.75, allowed_length: 2, breakers: BTreeSet::new() }
    }
}

/// "Exclude top choices", as `llama.cpp` computes it: of the tokens whose probability reaches the threshold, where
/// there are several, only the least likely stays.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Xtc {
    /// How often that happens. Above 0, at most 1; default 0.5.
    pub probability: f32,
    /// Above 0, at most 0.5, beyond which no two tokens reach it; default 0.1.
    pub threshold: f32,
}

impl Default for Xtc {
    fn default() -> Self {
        Self { probability: 0.5, threshold: 0.1 }
    }
}

/// Mirostat 2 (Basu et al. 2020, <https://arxiv.org/abs/2007.14966>, algorithm 2): keeps the tokens whose surprise, in
/// bits, is at most a bound, and lowers the bound where a drawn token was more surprising than aimed at. The bound
/// begins at twice the aim.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Mirostat {
    /// The surprise to aim at, in bits. Greater than 0; default 5.
    pub surprise: f32,
    /// How much of its error each token corrects. Greater than 0, at most 1; default 0.1.
    pub rate: f32,
}

impl Default for Mirostat {
    fn default() -> Self {
        Self { surprise: 5.0, rate: 0.1 }
    }
}

impl Default for SamplerConfig {
    fn default() -> Self {
        Self {
            logit_bias: BTreeMap::new(),
            repetition_penalty: None,
            frequency_penalty: None,
            presence_penalty: None,
            dry: None,
            temperature: 0.8,
            top_n_sigma: None,
            top_k: None,
            top_p: None,
            min_p: None,
            typical_p: None,
            xtc: None,
            mirostat: None,
            seed: 0,
        }
    }
}

const SHARE: &str = "greater than 0 and at most 1";
const ABOVE_ZERO: &str = "a finite number greater than 0";

impl SamplerConfig {
    /// Always the likeliest token.
    pub fn greedy() -> Self {
        Self { temperature: 0.0, ..Self::default() }
    }

    /// Every setting that makes no sense, all at once.
    pub fn validate(&self) -> Vec<Violation> {
        let mut checks = Checks(Vec::new());
        for (token, bias) in &self.logit_bias {
            checks.number("logit-bias", Some(*bias), f32::is_finite, &format!("a finite number for token {token}"));
        }
        checks.number("repetition-penalty", self.repetition_penalty, is_above_zero, ABOVE_ZERO);
        checks.number("frequency-penalty", self.frequency_penalty, f32::is_finite, "a finite number");
        checks.number("presence-penalty", self.presence_penalty, f32::is_finite, "a finite number");
        if let Some(dry) = &self.dry {
            checks.number("dry.multiplier", Some(dry.multiplier), is_above_zero, ABOVE_ZERO);
            let is_base = |base: f32| base.is_finite() && base >= 1.0;
            checks.number("dry.base", Some(dry.base), is_base, "a finite number of 1 or more");
            checks.hold("dry.allowed-length", dry.allowed_length > 0, "at least 1", &dry.allowed_length);
        }
        let is_temperature = |temperature: f32| temperature.is_finite() && temperature >= 0.0;
        let rule = "a finite number of 0 (always the likeliest) or more";
        checks.number("temperature", Some(self.temperature), is_temperature, rule);
        checks.number("top-n-sigma", self.top_n_sigma, is_above_zero, ABOVE_ZERO);
        if let Some(count) = self.top_k {
            checks.hold("top-k", count > 0, "at least 1", &count);
        }
        checks.number("top-p", self.top_p, is_share, SHARE);
        checks.number("min-p", self.min_p, is_share, SHARE);
        checks.number("typical-p", self.typical_p, is_share, SHARE);
        if let Some(xtc) = self.xtc {
            checks.number("xtc.probability", Some(xtc.probability), is_share, SHARE);
            let is_threshold = |threshold: f32| threshold > 0.0 && threshold <= 0.5;
            checks.number("xtc.threshold", Some(xtc.threshold), is_threshold, "greater than 0 and at most 0.5");
        }
        if let Some(mirostat) = self.mirostat {
            self.check_mirostat(mirostat, &mut checks);
        }
        checks.0
    }

    fn check_mirostat(&self, mirostat: Mirostat, checks: &mut Checks) {
        checks.number("mirostat.surprise", Some(mirostat.surprise), is_above_zero, ABOVE_ZERO);
        checks.number("mirostat.rate", Some(mirostat.rate), is_share, SHARE);
        if self.temperature == 0.0 {
            checks.hold("temperature", false, "greater than 0 where mirostat draws", &self.temperature);
        }
        let filters = [
            ("top-n-sigma", self.top_n_sigma.is_some()),
            ("top-k", self.top_k.is_some()),
            ("top-p", self.top_p.is_some()),
            ("min-p", self.min_p.is_some()),
            ("typical-p", self.typical_p.is_some()),
            ("xtc", self.xtc.is_some()),
        ];
        for (key, _) in filters.into_iter().filter(|(_, is_set)| *is_set) {
            let words = "must not stand beside mirostat, which decides alone how many tokens are kept";
            checks.0.push(Violation::new(key, words.to_owned()));
        }
    }
}

fn is_above_zero(value: f32) -> bool {
    value.is_finite() && value > 0.0
}

fn is_share(value: f32) -> bool {
    value > 0.0 && value <= 1.0
}

/// The rules that were broken.
struct Checks(Vec<Violation>);

impl Checks {
    fn hold(&mut self, key: &str, holds: bool, rule: &str, value: &dyn std::fmt::Display) {
        if !holds {
            self.0.push(Violation::new(key, format!("must be {rule}, is {value}")));
        }
    }

    fn number(&mut self, key: &str, value: Option<f32>, rule: impl Fn(f32) -> bool, words: &str) {
        if let Some(value) = value {
            self.hold(key, rule(value), words, &value);
        }
    }
}
