//! The rules: from a text, minutes and measured speeds to the numbers of a configuration.

use kiln_training::misleading::{LEAST_OCCURRENCES, MOST_PASSES, can_memorize};

use super::Family;
use super::ladder::Size;
use super::measure::Measured;
use super::text::Text;

/// How many evaluations, with a checkpoint each, a run has.
const EVALUATIONS: u64 = 10;

/// How often samples are drawn, the last time after the last update.
const SAMPLES: u64 = 4;

/// About how many lines the log has: what a person reads on a screen or two, and a curve still shows.
const LINES: u64 = 40;

/// The part of the minutes that evaluations may take.
const EVALUATING: f64 = 0.05;

/// What starting takes, in seconds, and the part of the minutes that samples, checkpoints and the log take.
const STARTING: f64 = 1.0;
const SAVING: f64 = 0.03;

/// The fewest updates that make a run.
const LEAST_STEPS: u64 = 20;

/// With fewer updates than these the warm-up has hardly ended.
const FEW_STEPS: f64 = 200.0;

/// The vocabularies of byte pairs.
const VOCABULARIES: [usize; 6] = [512, 1024, 2048, 4096, 8192, 16384];

/// Bytes of text for each entry of a vocabulary. At equal time 512 and 1,024 entries were within 0.02 bits a byte of
/// each other on a text of 1.1 MB, and characters 0.25 behind.
const BYTES_PER_ENTRY: u64 = 1_000;

/// How a text becomes tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tokens {
    Characters,
    Bytes,
    BytePairs(usize),
}

/// What is chosen.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Plan {
    pub(super) family: Family,
    pub(super) minutes: f64,
    pub(super) tokens: Tokens,
    pub(super) size: Size,
    pub(super) batch: usize,
    pub(super) context: usize,
    pub(super) steps: u64,
    pub(super) dropout: f64,
    /// Whether a recurrent state is carried from window to window.
    pub(super) streams: bool,
    pub(super) evaluate_fraction: f64,
}

impl Plan {
    /// What the text and the device decide. The size and what follows from it are chosen by [`Self::choose`].
    pub(super) fn new(text: &Text, minutes: f64, family: Family, is_gpu: bool) -> Self {
        // A small batch gives the most updates in the time of a processor; a GPU is idle with one.
        let (batch, context) = match (family, is_gpu) {
            (Family::Transformer, false) => (12, 128),
            (Family::Transformer, true) => (64, 256),
            (_, false) => (32, 64),
            (_, true) => (128, 64),
        };
        // A tenth of a short text must hold a window, and the rest of it a batch.
        let longest = (text.characters / 40).clamp(16, 1024) as usize;
        let context = context.min(longest.next_power_of_two() / 2).max(16);
        let room = (text.characters / 4 / context as u64).max(1) as usize;
        let tokens = tokens(text);
        let size = super::ladder::sizes(family)[0];
        let batch = batch.min(room);
        Self {
            family,
            minutes,
            tokens,
            size,
            batch,
            context,
            steps: 1000,
            dropout: 0.0,
            streams: false,
            evaluate_fraction: 1.0,
        }
    }

    /// Takes the next smaller vocabulary, if there is one: how long the tokens of the first choice are, only the text
    /// tells.
    pub(super) fn take_smaller_vocabulary(&mut self, text: &Text) -> bool {
        let Tokens::BytePairs(entries) = self.tokens else { return false };
        let smaller = VOCABULARIES.into_iter().rfind(|other| *other < entries);
        self.tokens = smaller.map_or_else(|| single(text), Tokens::BytePairs);
        true
    }

    /// Tokens of an update.
    pub(super) fn tokens_per_step(&self) -> u64 {
        (self.batch * self.context) as u64
    }

    /// The updates that fit into the minutes, up to the last pass that is of use; and the part of the validation split
    /// that is evaluated.
    fn fit(&self, measured: &Measured) -> (u64, f64) {
        let seconds = 60.0 * self.minutes;
        let evaluating = EVALUATIONS as f64 * measured.evaluation_seconds;
        let fraction = (EVALUATING * seconds / evaluating).min(1.0);
        let fraction = if fraction < 1.0 { (100.0 * fraction).floor().max(1.0) / 100.0 } else { 1.0 };
        let left = seconds * (1.0 - SAVING) - STARTING - evaluating * fraction;
        let last = MOST_PASSES * measured.training_tokens as f64 / self.tokens_per_step() as f64;
        let steps = (left / measured.seconds).min(last).max(0.0) as u64;
        (steps.max(LEAST_STEPS), fraction)
    }

    /// Whether so few updates of a size fit into the minutes that none of a larger one is worth timing.
    pub(super) fn is_slow(&self, measured: &Measured) -> bool {
        measured.seconds * FEW_STEPS > 60.0 * self.minutes
    }

    /// The loss that is expected of a size, to be compared with that of others.
    pub(super) fn expected_loss(&self, measured: &Measured) -> f64 {
        let tokens = (self.fit(measured).0 * self.tokens_per_step()) as f64;
        expected_loss(measured.parameters as f64, tokens, measured.training_tokens as f64)
    }

    /// Chooses the size with the lowest expected loss, and everything that follows from it.
    pub(super) fn choose(&mut self, measured: &[Measured]) -> Option<Measured> {
        let better = |a: &&Measured, b: &&Measured| self.expected_loss(a).total_cmp(&self.expected_loss(b));
        let best = *measured.iter().min_by(better)?;
        self.take(&best);
        Some(best)
    }

    /// Takes a size with its measurements.
    pub(super) fn take(&mut self, measured: &Measured) {
        self.size = measured.size;
        (self.steps, self.evaluate_fraction) = self.fit(measured);
        let passes = self.passes(measured);
        let needs_dropout = can_memorize(measured.parameters, measured.training_tokens, passes);
        self.dropout = if needs_dropout { 0.1 } else { 0.0 };
        // Below a pass, streams would never see the later part of the text.
        self.streams = self.family != Family::Transformer && passes >= 1.0;
    }

    /// Passes over the training text.
    pub(super) fn passes(&self, measured: &Measured) -> f64 {
        (self.steps * self.tokens_per_step()) as f64 / measured.training_tokens.max(1) as f64
    }

    /// How long the run will take.
    pub(super) fn expected_seconds(&self, measured: &Measured) -> f64 {
        let evaluating = EVALUATIONS as f64 * measured.evaluation_seconds * self.evaluate_fraction;
        STARTING + (self.steps as f64 * measured.seconds + evaluating) / (1.0 - SAVING)
    }

    /// Updates between two evaluations.
    pub(super) fn evaluate_every(&self) -> u64 {
        self.steps.div_ceil(EVALUATIONS).max(1)
    }

    /// Updates between two samples: rounded up, so that none comes just before the last.
    pub(super) fn sample_every(&self) -> u64 {
        self.steps.div_ceil(SAMPLES).max(1)
    }

    /// Updates between two lines of the log.
    pub(super) fn log_every(&self) -> u64 {
        self.steps.div_ceil(LINES).max(1)
    }

    /// Updates of the warm-up.
    pub(super) fn warmup(&self) -> u64 {
        (self.steps / 20).min(200)
    }

    /// The highest rate, with two digits.
    pub(super) fn rate(&self) -> f64 {
        let rate = match self.family {
            // 8e-3 was no better at widths of 64, 96 and 128.
            Family::Transformer => 4e-3,
            // 1e-2 was 0.12 bits a byte worse with an LSTM of 128, 5e-3 0.29.
            Family::Lstm => 2e-2,
            Family::Gru => 1e-2,
            Family::Rnn => 2e-3,
        };
        // The root is between a rate that all widths share and one that falls as 1 / width.
        let rate: f64 = rate * (128.0 / self.size.width as f64).sqrt().min(1.0);
        format!("{rate:.1e}").parse().unwrap_or(rate)
    }
}

/// Byte pairs see more text in a window and an update than characters, where the text is long enough to learn them
/// from; else characters, or bytes where there are too many different ones.
fn tokens(text: &Text) -> Tokens {
    let long_enough = |entries: &usize| *entries as u64 * BYTES_PER_ENTRY <= text.bytes * 10 / 9;
    let largest = VOCABULARIES.into_iter().take_while(long_enough).last();
    // About two bytes a token, so that this is the same bound as for the warning of a vocabulary that is too large.
    let least = 2 * LEAST_OCCURRENCES * VOCABULARIES[0] as u64;
    match largest {
        Some(entries) => Tokens::BytePairs(entries),
        None if text.bytes * 9 / 10 >= least => Tokens::BytePairs(VOCABULARIES[0]),
        None => single(text),
    }
}

/// A token for each character, or for each byte.
fn single(text: &Text) -> Tokens {
    if text.alphabet <= 512 { Tokens::Characters } else { Tokens::Bytes }
}

/// The loss of a model of `parameters` numbers after `tokens` tokens of a text that has `unique` of them, in the
/// parametric form of Hoffmann et al. 2022 (<https://arxiv.org/abs/2203.15556>, equation 10) with repeated tokens and
/// parameters beyond what the text feeds worth ever less, as in Muennighoff et al. 2023
/// (<https://arxiv.org/abs/2305.16264>, equations 5 and 6). Its unit is that of large models; it serves to compare
/// sizes.
fn expected_loss(parameters: f64, tokens: f64, unique: f64) -> f64 {
    const ALPHA: f64 = 0.34;
    const BETA: f64 = 0.28;
    const A: f64 = 406.4;
    const B: f64 = 410.7;
    const WORTH_OF_REPEATED_TOKENS: f64 = 15.39;
    const WORTH_OF_EXCESS_PARAMETERS: f64 = 5.31;
    let worth = |amount: f64, of_full_worth: f64, decay: f64| {
        let excess = (amount / of_full_worth - 1.0).max(0.0);
        amount.min(of_full_worth) + of_full_worth * decay * (1.0 - (-excess / decay).exp())
    };
    let unique = unique.max(1.0).min(tokens);
    // The parameters for which this text, read once, is the compute-optimal amount.
    let balance = (ALPHA * A / (BETA * B)).powf(1.0 / (ALPHA + BETA));
    let fed = balance * (balance * unique).powf(BETA / ALPHA);
    let parameters = worth(parameters, fed, WORTH_OF_EXCESS_PARAMETERS);
    let tokens = worth(tokens, unique, WORTH_OF_REPEATED_TOKENS);
    1.69 + A / parameters.powf(ALPHA) + B / tokens.powf(BETA)
}

#[cfg(test)]
mod tests {
    use kiln_settings::Source;
    use kiln_training::config::Config;
    use kiln_training::misleading::{TextNumbers, misleading};

    use super::super::{ladder, written};
    use super::*;

    fn measured(index: usize, parameters: u64, seconds: f64) -> Measured {
        let size = ladder::sizes(Family::Transformer)[index];
        Measured { size, parameters, training_tokens: 450_000, seconds, evaluation_seconds: 0.5 }
    }

    fn text(bytes: u64) -> Text {
        Text { bytes, characters: bytes, ..Text::to_be_named() }
    }

    fn plan(minutes: f64) -> Plan {
        Plan::new(&text(1_100_000), minutes, Family::Transformer, false)
    }

    /// 20 seconds on two cores, byte pairs of a text of 1.1 MB: bits a byte on its last tenth, of the sizes 2 x 64,
    /// 3 x 96, 4 x 128 and 4 x 192 with as many updates as fit.
    #[test]
    fn the_expected_losses_are_in_the_order_of_measured_ones_but_for_near_ties() {
        let runs = [(131_000.0, 2400.0, 2.252), (411_000.0, 1130.0, 2.234), (853_000.0, 595.0, 2.294)];
        let runs = runs.into_iter().chain([(1_900_000.0, 290.0, 2.422)]);
        let losses: Vec<(f64, f64)> = runs
            .map(|(parameters, steps, bits)| (expected_loss(parameters, 1536.0 * steps, 450_000.0), bits))
            .collect();
        let best = losses.iter().min_by(|a, b| a.0.total_cmp(&b.0)).expect("there are four");
        assert!(best.1 < 2.234 + 0.03, "{losses:?}");
        assert!(losses[3].0 > losses[2].0 && losses[2].0 > losses[1].0, "{losses:?}");
    }

    #[test]
    fn the_expected_loss_is_that_of_hoffmann_where_nothing_is_repeated_and_all_parameters_are_fed() {
        // 1.69 + 406.4 / 1e6^0.34 + 410.7 / 1e9^0.28, worked in Python.
        assert!((expected_loss(1e6, 1e9, 1e9) - 6.6367).abs() < 1e-3, "{}", expected_loss(1e6, 1e9, 1e9));
        // Each pass is worth less than the one before, and a text can be read away.
        let at = |passes: f64| expected_loss(1e5, 1e6 * passes, 1e6);
        assert!(at(1.0) - at(2.0) > at(9.0) - at(10.0) && at(9.0) > at(10.0));
        assert!(at(200.0) - at(400.0) < 1e-3);
    }

    #[test]
    fn steps_fill_the_minutes_after_what_else_takes_time() {
        // 60 * 0.97 - 1 - 10 * 0.3 = 54.2 seconds, for the evaluations may take a twentieth of 60.
        let size = measured(0, 100_000, 0.06);
        assert_eq!(plan(1.0).fit(&size), (903, 0.6));
        let mut chosen = plan(1.0);
        chosen.take(&size);
        assert!((chosen.expected_seconds(&size) - 60.0).abs() < 0.6, "{}", chosen.expected_seconds(&size));
        // 40 passes of 450,000 tokens are 11,718.75 updates of 1,536.
        assert_eq!(plan(1000.0).fit(&size).0, 11_718);
    }

    #[test]
    fn more_minutes_take_a_larger_model() {
        let sizes = [measured(0, 164_000, 0.005), measured(1, 431_000, 0.015), measured(2, 919_000, 0.03)];
        let chosen = |minutes: f64| plan(minutes).choose(&sizes).map(|best| best.size);
        let sizes_of_family = ladder::sizes(Family::Transformer);
        assert_eq!(chosen(0.1), Some(sizes_of_family[0]));
        assert_eq!(chosen(5.0), Some(sizes_of_family[2]));
    }

    #[test]
    fn what_could_be_learned_by_heart_gets_dropout() {
        let mut plan = plan(1.0);
        for (parameters, seconds, dropout) in [(100_000, 0.01, 0.0), (460_000, 0.03, 0.0), (460_000, 0.01, 0.1)] {
            plan.take(&measured(1, parameters, seconds));
            assert_eq!(plan.dropout, dropout, "{parameters} {seconds}");
        }
    }

    #[test]
    fn tokens_follow_from_the_length_of_the_text() {
        let of = |bytes: u64| tokens(&text(bytes));
        assert_eq!(of(20_000), Tokens::Characters);
        assert_eq!(of(200_000), Tokens::BytePairs(512));
        assert_eq!(of(1_115_394), Tokens::BytePairs(1024));
        assert_eq!(of(1 << 30), Tokens::BytePairs(16384));
        assert_eq!(tokens(&Text { alphabet: 3_000, ..text(20_000) }), Tokens::Bytes);
    }

    #[test]
    fn a_run_has_four_samples_of_which_none_is_near_the_last_and_about_forty_lines() {
        for steps in [20, 21, 397, 1001, 18_165, 1_000_003] {
            let plan = Plan { steps, ..plan(1.0) };
            let samples = steps.div_ceil(plan.sample_every());
            let before_last = (samples - 1) * plan.sample_every();
            assert!(samples == 4 && steps - before_last > steps / 8, "{steps}: {samples}, {before_last}");
            let lines = steps.div_ceil(plan.log_every());
            assert!(steps < 40 || (20..=40).contains(&lines), "{steps}: {lines}");
            assert!(plan.warmup() * 20 <= steps, "{steps}: {}", plan.warmup());
        }
    }

    #[test]
    fn training_has_nothing_to_warn_of_in_any_plan() {
        for family in [Family::Transformer, Family::Lstm, Family::Gru, Family::Rnn] {
            for size in ladder::sizes(family) {
                for (bytes, minutes) in [(5_000, 1000.0), (150_000, 5.0), (150_000, 500.0), (10_000_000, 5.0)] {
                    let text = text(bytes);
                    let mut plan = Plan { size: *size, ..Plan::new(&text, minutes, family, false) };
                    let (vocabulary, bytes_per_token) = match plan.tokens {
                        Tokens::BytePairs(entries) if entries <= 512 => (entries, 2),
                        Tokens::BytePairs(entries) => (entries, 3),
                        Tokens::Characters | Tokens::Bytes => (100, 1),
                    };
                    let config = |plan: &Plan| {
                        let written = written::settings(plan, &text);
                        Config::read(&Source::new("written", written), &[]).unwrap_or_else(|errors| panic!("{errors}"))
                    };
                    let parameters = config(&plan).model.parameter_count(vocabulary, plan.context);
                    let training_tokens = bytes * 9 / 10 / bytes_per_token;
                    let measured = Measured { parameters, training_tokens, size: *size, ..measured(0, 0, 0.004) };
                    plan.take(&measured);
                    let (training_tokens, vocabulary) = (Some(training_tokens), Some(vocabulary));
                    let numbers = TextNumbers { training_tokens, vocabulary, documents: Some(1), separators: Some(0) };
                    let warnings = misleading(&config(&plan), &numbers);
                    assert!(warnings.is_empty(), "{plan:?} {warnings:?}");
                }
            }
        }
    }

    #[test]
    fn a_smaller_vocabulary_is_half_as_large_and_after_the_smallest_come_characters() {
        let text = text(1_100_000);
        let mut plan = plan(1.0);
        let mut next = || plan.take_smaller_vocabulary(&text).then_some(plan.tokens);
        assert_eq!([next(), next(), next()], [Some(Tokens::BytePairs(512)), Some(Tokens::Characters), None]);
    }

    #[test]
    fn every_plan_is_a_right_configuration() {
        for family in [Family::Transformer, Family::Lstm, Family::Gru, Family::Rnn] {
            for size in ladder::sizes(family) {
                for bytes in [5_000, 150_000, 10_000_000] {
                    for separator in [None, Some(String::new())] {
                        let mut text = text(bytes);
                        text.data.separator = separator;
                        text.prompts = vec!["\"Où\\\"".to_owned(), "\n".to_owned()];
                        let plan =
                            Plan { size: *size, streams: bytes == 5_000, ..Plan::new(&text, 2.0, family, false) };
                        let written = written::settings(&plan, &text);
                        let config = Config::read(&Source::new("written", written.as_str()), &[]);
                        let config = config.unwrap_or_else(|errors| panic!("{errors}"));
                        assert_eq!((config.run.prompts, config.run.steps), (text.prompts, plan.steps));
                        assert!(written.lines().all(|line| line.chars().count() <= 120), "{written}");
                    }
                }
            }
        }
    }
}
