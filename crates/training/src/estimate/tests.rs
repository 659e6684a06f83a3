//! Sums that are counted by hand.

use super::*;
use kiln_settings::Source;

const TRANSFORMER: &str = "[model.transformer]\nlayers = 3\nheads = 2\nwidth = 4";

/// Of a batch of 3 x 5 tokens, of a vocabulary of 10.
fn memory(model: &str, more: &str, run: &str) -> MemoryEstimate {
    let text = format!(
        "[data.builtin]\ncharacters = 20_000\n[tokenizer.byte]\n{model}\n[optimizer.adamw]\n{more}\n\
         [schedule.constant]\nrate = 1e-3\n[run]\nsteps = 10\nbatch = 3\ncontext = 5\n{run}"
    );
    let config = Config::read(&Source::new("test", text), &[]).unwrap_or_else(|errors| panic!("{errors}"));
    Estimate::new(&config, 10).memory
}

fn numbers_per_token(bytes: u64) -> u64 {
    assert_eq!(bytes % (4 * 15), 0);
    bytes / (4 * 15)
}

/// A block leaves 5 C, 3 C of queries, keys and values, and 4 C on both sides of its function: 64 numbers. Ten logits
/// take 30 numbers, the backward pass of a block 28.
#[test]
fn a_transformer_leaves_what_its_equations_say() {
    let usual = memory(TRANSFORMER, "", "");
    assert_eq!(numbers_per_token(usual.activations), 3 * 64 + 30);
    let again = memory(TRANSFORMER, "", "recompute = true");
    // The inputs of three blocks and of the last norm; then one block with its backward pass.
    assert_eq!(numbers_per_token(again.activations), 4 * 4 + 64 + 28);
    assert_eq!((usual.activations_recomputed, again.activations_recomputed), (Some(again.activations), None));
    let highest = memory(TRANSFORMER, "[train-only]\nlast-layers = 1", "");
    assert_eq!(numbers_per_token(highest.activations), 64 + 30);
    let normalised = format!("{TRANSFORMER}\nquery-key-norm = true\nkey-value-heads = 1");
    // Queries and keys once more, and a key and a value head fewer: 64 + 4 + 2 - 2 * 2.
    assert_eq!(numbers_per_token(memory(&normalised, "", "").activations), 3 * 66 + 30);
}

/// An LSTM's unit leaves four gates, two states and four projected inputs, a GRU's three, a state, three and the input
/// of the layer above, an Elman network's one of each.
#[test]
fn recurrent_layers_leave_gates_states_and_projected_inputs() {
    for (model, of_unit) in [("lstm", 10), ("gru", 8), ("rnn", 3)] {
        let found = memory(&format!("[model.{model}]\nlayers = 2\nhidden = 8"), "", "");
        assert_eq!(numbers_per_token(found.activations), 2 * 8 * of_unit + 30, "{model}");
        assert_eq!(found.activations_recomputed, None);
    }
}

#[test]
fn the_step_takes_each_gradient_once_more() {
    let usual = memory(TRANSFORMER, "", "");
    assert_eq!((usual.gradients, usual.optimizer), (usual.weights, 2 * usual.weights));
    assert_eq!(usual.overhead, PROGRAM + usual.weights);
    assert_eq!(memory(TRANSFORMER, "", "accumulate = 2").gradients, 2 * usual.weights);
    let parts = [usual.weights, usual.gradients, usual.optimizer, usual.activations, usual.overhead];
    assert_eq!(usual.total(), parts.iter().sum::<u64>());
}
