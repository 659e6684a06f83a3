//! How tokens are chosen, as arguments.

use clap::Args;
use kiln_inference::SamplerConfig;
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

    /// Above 1, tokens that came before become less likely
    #[arg(long, value_name = "R", help_heading = SAMPLER_HEADING, allow_negative_numbers = true)]
    repetition_penalty: Option<f32>,

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

impl SamplerArguments {
    /// The settings that the arguments ask for.
    ///
    /// # Errors
    /// When they make no sense.
    pub(crate) fn config(&self) -> Result<SamplerConfig, UsageError> {
        let sampler = SamplerConfig {
            repetition_penalty: self.repetition_penalty,
            temperature: self.temperature,
            top_k: self.top_k,
            top_p: self.top_p,
            min_p: self.min_p,
            seed: self.seed,
        };
        let violations = sampler.validate();
        if !violations.is_empty() {
            let line = |broken: &Violation| match broken.key.as_str() {
                // Other programs write 0 for all of them.
                "top-k" => format!("--top-k {}; {WITHOUT_TOP_K}", broken.message),
                key => format!("--{key} {}", broken.message),
            };
            let lines: Vec<_> = violations.iter().map(line).collect();
            return Err(UsageError(lines.join("\n")));
        }
        Ok(sampler)
    }
}
