//! How tokens are chosen, as arguments.

use std::collections::{BTreeMap, BTreeSet};
use std::str::FromStr;

use clap::Args;
use kiln_inference::{Dry, Mirostat, SamplerConfig, Xtc};
use kiln_models::Tokenizer;
use kiln_settings::Violation;

use crate::exit::UsageError;

const SAMPLER_HEADING: &str = "Choice of tokens";

/// How tokens are chosen.
#[derive(Debug, Args)]
pub(crate) struct SamplerArguments {
    /// Below 1 likely tokens become likelier, above 1 rare ones; 0 always takes the likeliest
    #[arg(
        short, long, value_name = "T", help_heading = SAMPLER_HEADING,
        default_value_t = SamplerConfig::default().temperature, allow_negative_numbers = true
    )]
    temperature: f32,

    /// Choose among the K likeliest tokens only
    #[arg(long, value_name = "K", help_heading = SAMPLER_HEADING, value_parser = top_k, allow_negative_numbers = true)]
    top_k: Option<usize>,

    /// Choose among the fewest likeliest tokens that together have the probability P
    #[arg(long, value_name = "P", help_heading = SAMPLER_HEADING, allow_negative_numbers = true)]
    top_p: Option<f32>,

    /// Choose among tokens that are at least P times as likely as the likeliest
    #[arg(long, value_name = "P", help_heading = SAMPLER_HEADING, allow_negative_numbers = true)]
    min_p: Option<f32>,

    /// Choose among the tokens of probability P in all whose surprise is nearest to the expected one
    #[arg(long, value_name = "P", help_heading = SAMPLER_HEADING, allow_negative_numbers = true)]
    typical_p: Option<f32>,

    /// Choose among tokens whose logit is at most N standard deviations below the highest
    #[arg(long, value_name = "N", help_heading = SAMPLER_HEADING, allow_negative_numbers = true)]
    top_n_sigma: Option<f32>,

    /// Leave the likeliest tokens out in this share of the draws (XTC)
    #[arg(long, value_name = "P", help_heading = SAMPLER_HEADING, allow_negative_numbers = true)]
    xtc_probability: Option<f32>,

    /// XTC leaves out what is at least this likely, but for the least likely of it
    #[arg(
        long, value_name = "P", help_heading = SAMPLER_HEADING, requires = "xtc_probability",
        default_value_t = Xtc::default().threshold, allow_negative_numbers = true
    )]
    xtc_threshold: f32,

    /// Hold the surprise of the tokens near this many bits (Mirostat 2), instead of the other limits
    #[arg(long, value_name = "BITS", help_heading = SAMPLER_HEADING, allow_negative_numbers = true)]
    mirostat_surprise: Option<f32>,

    /// How much of its error each token corrects
    #[arg(
        long, value_name = "R", help_heading = SAMPLER_HEADING, requires = "mirostat_surprise",
        default_value_t = Mirostat::default().rate, allow_negative_numbers = true
    )]
    mirostat_rate: f32,

    /// Above 1, tokens that came before become less likely
    #[arg(long, value_name = "R", help_heading = SAMPLER_HEADING, allow_negative_numbers = true)]
    repetition_penalty: Option<f32>,

    /// Lower the logit of a token by this for each time that it was written
    #[arg(long, value_name = "X", help_heading = SAMPLER_HEADING, allow_negative_numbers = true)]
    frequency_penalty: Option<f32>,

    /// Lower the logit of every token that was written by this
    #[arg(long, value_name = "X", help_heading = SAMPLER_HEADING, allow_negative_numbers = true)]
    presence_penalty: Option<f32>,

    /// Lower the logit of a token that would continue a repeated sequence by this (DRY)
    #[arg(long, value_name = "X", help_heading = SAMPLER_HEADING, allow_negative_numbers = true)]
    dry_multiplier: Option<f32>,

    /// What the penalty grows by with each further token that is repeated
    #[arg(
        long, value_name = "B", help_heading = SAMPLER_HEADING, requires = "dry_multiplier",
        default_value_t = Dry::default().base, allow_negative_numbers = true
    )]
    dry_base: f32,

    /// How many repeated tokens make a sequence
    #[arg(
        long, value_name = "N", help_heading = SAMPLER_HEADING, requires = "dry_multiplier",
        default_value_t = Dry::default().allowed_length
    )]
    dry_allowed_length: usize,

    /// A text that no repeated sequence reaches across; may be repeated [default: a line break, `:`, `"`, `*`]
    #[arg(long, value_name = "TEXT", help_heading = SAMPLER_HEADING, requires = "dry_multiplier")]
    dry_breaker: Vec<String>,

    /// Add X to the logit of a token, given by its number or as the text of a single token: `13=-100`, `" the"=+1.5`;
    /// may be repeated
    #[arg(long, value_name = "TOKEN=X", help_heading = SAMPLER_HEADING)]
    logit_bias: Vec<Bias>,

    /// The same seed writes the same text, another seed writes another text
    #[arg(
        short, long, value_name = "N", help_heading = SAMPLER_HEADING,
        default_value_t = SamplerConfig::default().seed, value_parser = seed, allow_negative_numbers = true
    )]
    seed: u64,
}

const WITHOUT_TOP_K: &str = "leave `--top-k` out to choose among all tokens";

/// A number of tokens; other programs write -1 for no limit.
pub(crate) fn token_count(argument: &str) -> Result<usize, String> {
    argument.parse().map_err(|_| "must be a whole number, 0 or more; a text without a limit does not end".to_owned())
}

/// A number of candidates; other programs write -1 for all of them.
fn top_k(argument: &str) -> Result<usize, String> {
    argument.parse().map_err(|_| format!("must be a whole number, 1 or more; {WITHOUT_TOP_K}"))
}

/// A seed; other programs write -1 for one by chance.
fn seed(argument: &str) -> Result<u64, String> {
    argument.parse().map_err(|_| {
        "must be a whole number, 0 or more; the same one writes the same text, `--seed $RANDOM` another each time"
            .into()
    })
}

/// What is added to the logit of a token.
#[derive(Debug, Clone)]
struct Bias {
    token: String,
    bias: f32,
}

impl FromStr for Bias {
    type Err = String;

    fn from_str(argument: &str) -> Result<Self, String> {
        // The text of a token may hold the sign, too.
        let parts = argument.rsplit_once('=').filter(|(token, _)| !token.is_empty());
        let bias = parts.and_then(|(token, bias)| Some((token, bias.parse().ok()?)));
        match bias {
            Some((token, bias)) if f32::is_finite(bias) => Ok(Self { token: token.to_owned(), bias }),
            _ => Err("must be TOKEN=X with a finite number X, such as 13=-100, which all but bans token 13".to_owned()),
        }
    }
}

impl Bias {
    /// The token's number.
    fn number(&self, tokenizer: &Tokenizer) -> Result<u32, UsageError> {
        let argument = format!("--logit-bias {}={}", self.token, self.bias);
        if let Ok(number) = self.token.parse::<u32>() {
            let vocabulary = tokenizer.vocabulary_size();
            let words = || format!("{argument}: the model's tokens are 0 to {}", vocabulary.saturating_sub(1));
            return if (number as usize) < vocabulary { Ok(number) } else { Err(UsageError(words())) };
        }
        let tokens = tokenizer.encode(&self.token).map_err(|error| UsageError(format!("{argument}: {error}")))?;
        match tokens[..] {
            [token] => Ok(token),
            _ => {
                let words = format!("{argument}: {:?} is not one token but {}: {tokens:?}", self.token, tokens.len());
                Err(UsageError(words))
            }
        }
    }
}

/// Where `llama.cpp` ends repeated sequences, too.
const BREAKERS: [&str; 4] = ["\n", ":", "\"", "*"];

impl SamplerArguments {
    /// The settings that the arguments ask for, but for what [`with_tokens`](Self::with_tokens) adds.
    ///
    /// # Errors
    /// When they make no sense.
    pub(crate) fn config(&self) -> Result<SamplerConfig, UsageError> {
        let dry = self.dry_multiplier.map(|multiplier| Dry {
            multiplier,
            base: self.dry_base,
            allowed_length: self.dry_allowed_length,
            breakers: BTreeSet::new(),
        });
        let threshold = self.xtc_threshold;
        let rate = self.mirostat_rate;
        let sampler = SamplerConfig {
            logit_bias: BTreeMap::new(),
            repetition_penalty: self.repetition_penalty,
            frequency_penalty: self.frequency_penalty,
            presence_penalty: self.presence_penalty,
            dry,
            temperature: self.temperature,
            top_n_sigma: self.top_n_sigma,
            top_k: self.top_k,
            top_p: self.top_p,
            min_p: self.min_p,
            typical_p: self.typical_p,
            xtc: self.xtc_probability.map(|probability| Xtc { probability, threshold }),
            mirostat: self.mirostat_surprise.map(|surprise| Mirostat { surprise, rate }),
            seed: self.seed,
        };
        let violations = sampler.validate();
        if !violations.is_empty() {
            let line = |broken: &Violation| match broken.key.as_str() {
                // Other programs write 0 for all of them.
                "top-k" => format!("--top-k {}; {WITHOUT_TOP_K}", broken.message),
                key => format!("--{} {}", key.replace('.', "-"), broken.message),
            };
            let lines: Vec<_> = violations.iter().map(line).collect();
            return Err(UsageError(lines.join("\n")));
        }
        Ok(sampler)
    }

    /// The settings with what they say of single tokens, which only the model's tokenizer can spell.
    ///
    /// # Errors
    /// When a text is no token, or a number none of the model's.
    pub(crate) fn with_tokens(
        &self,
        mut sampler: SamplerConfig,
        tokenizer: &Tokenizer,
    ) -> Result<SamplerConfig, UsageError> {
        for bias in &self.logit_bias {
            sampler.logit_bias.insert(bias.number(tokenizer)?, bias.bias);
        }
        if let Some(dry) = &mut sampler.dry {
            dry.breakers = self.breakers(tokenizer)?;
        }
        Ok(sampler)
    }

    /// Every token with a text that ends a repeated sequence.
    fn breakers(&self, tokenizer: &Tokenizer) -> Result<BTreeSet<u32>, UsageError> {
        let tokens = 0..u32::try_from(tokenizer.vocabulary_size()).unwrap_or(u32::MAX);
        let texts: Vec<(u32, String)> = tokens.map(|token| (token, tokenizer.decode(&[token]))).collect();
        let mut breakers = BTreeSet::new();
        let chosen: Vec<&str> = self.dry_breaker.iter().map(String::as_str).collect();
        for &text in if chosen.is_empty() { &BREAKERS[..] } else { &chosen } {
            let holding = texts.iter().filter(|(_, token)| !text.is_empty() && token.contains(text));
            let holding: Vec<u32> = holding.map(|(token, _)| *token).collect();
            if holding.is_empty() && !chosen.is_empty() {
                let words = format!("--dry-breaker {text:?}: no token of the model has that text in it");
                return Err(UsageError(words));
            }
            breakers.extend(holding);
        }
        Ok(breakers)
    }
}
