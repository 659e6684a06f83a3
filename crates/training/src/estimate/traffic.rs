//! How many bytes an update must move.

use super::BYTES_PER_NUMBER;
use crate::config::Config;

/// Bytes that one update has to move between memory and the arithmetic at least, read and written ones together.
///
/// With W weights, S bytes of optimizer state, A weights in an average (W or none), k batches in an update and N
/// numbers that a batch's forward pass leaves for its backward pass, each number of 4 bytes, it is
///
/// ```text
/// 4 ((k + 1) W + 2 k W + 2 A + 2 k N) + 2 S
/// ```
///
/// The weights are read once a batch and written once; the sum of the gradients is written by the first batch, read and
/// written by the others, and read by the update; state and average are read and written; what is left for the backward
/// pass is written and read. N counts, for each token of a batch,
///
/// - transformer: in each block the inputs and the outputs of the two norms, queries, keys and values, normalised
///   queries and keys, the mixed values, and the feed-forward part before and after its function; then the logits. The
///   weights of the attention are not in it, since they can be computed again block by block (Dao et al. 2022,
///   <https://arxiv.org/abs/2205.14135>);
/// - recurrent: in each layer its gates and its states; then the logits.
///
/// A program that did every operation alone would move several times as much.
pub fn least_bytes_per_update(config: &Config, vocabulary: usize) -> u64 {
    let run = &config.run;
    let parts = config.model.parameters(vocabulary, run.context);
    let weights = parts.iter().map(|part| part.count).sum::<u64>();
    let state = config.optimizer.state_bytes(&parts, run.optimizer_state);
    let average = if config.averaging.is_some() { weights } else { 0 };
    let batches = run.accumulate as u64;
    let of_layers = config.model.training_costs(run.batch, run.context).kept_per_token;
    let for_backward = of_layers.saturating_add(vocabulary as u64).saturating_mul(run.tokens_per_step());
    let terms = [weights.saturating_mul(3 * batches + 1), average.saturating_mul(2), for_backward.saturating_mul(2)];
    let numbers = terms.into_iter().fold(0, u64::saturating_add);
    numbers.saturating_mul(BYTES_PER_NUMBER).saturating_add(state.saturating_mul(2))
}

#[cfg(test)]
mod tests {
    use super::*;
    use kiln_settings::Source;

    fn bytes(model: &str, more: &str) -> u64 {
        let text = format!(
            "[data.builtin]\ncharacters = 20_000\n[tokenizer.byte]\n{model}\n[optimizer.adamw]\n{more}\n\
             [schedule.constant]\nrate = 1e-3\n[run]\nsteps = 10\nbatch = 3\ncontext = 5\n"
        );
        let config = Config::read(&Source::new("test", text), &[]).unwrap_or_else(|errors| panic!("{errors}"));
        least_bytes_per_update(&config, 10)
    }

    /// Two layers of width 8 that read 4 numbers: 10 * 4 + 8 (4 + 8 + 1) + 8 (8 + 8 + 1) + 10 * 9 weights, of which
    /// AdamW keeps two numbers each; 15 tokens with two states and ten logits each.
    #[test]
    fn an_elman_network_moves_what_is_counted_by_hand() {
        let weights = 40 + 104 + 136 + 90;
        let tokens = 15 * (2 * 8 + 10);
        let model = "[model.rnn]\nlayers = 2\nhidden = 8\nembedding = 4";
        assert_eq!(bytes(model, ""), 4 * (4 * weights + 2 * 2 * weights + 2 * tokens));
        let averaged = bytes(model, "[averaging.exponential]");
        assert_eq!(averaged - bytes(model, ""), 4 * 2 * weights);
    }

    /// One block of width 4 with four times as wide a feed-forward part: 5 * 4 + 3 * 4 + 2 * 16 numbers a token, and
    /// ten logits.
    #[test]
    fn a_transformer_keeps_what_is_counted_by_hand() {
        let weights = 10 * 4 + 5 * 4 + 12 * 16 + 3 * 4;
        let tokens = 15 * (20 + 12 + 32 + 10);
        let model = "[model.transformer]\nlayers = 1\nheads = 2\nwidth = 4";
        assert_eq!(bytes(model, ""), 4 * (8 * weights + 2 * tokens));
    }
}
