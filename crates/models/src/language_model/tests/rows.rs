//! Rows that have read different numbers of tokens.

use burn::tensor::{Device, Int, Tensor, TensorData};

use super::{CONTEXT, VOCABULARY, assert_close, configurations, for_each_model};
use crate::reference::with_fixed_weights;
use crate::{LanguageModel, State};

/// Texts of different length, the longest as long as the context less the tokens that are written after it.
const PROMPTS: [&[i32]; 4] = [&[3, 1, 4, 1, 5], &[9], &[2, 6, 5, 3, 5, 8, 9], &[7, 9, 3, 2]];

/// Tokens that are read one by one after each prompt.
const WRITTEN: usize = CONTEXT - 7;

/// A window of rows of different length, padded with a token that would do harm if it were read.
fn window(rows: &[&[i32]]) -> (Tensor<2, Int>, Vec<usize>) {
    let steps = rows.iter().map(|row| row.len()).max().unwrap_or(0);
    let padding = VOCABULARY as i32 - 1;
    let values = rows.iter().flat_map(|row| row.iter().copied().chain(std::iter::repeat_n(padding, steps - row.len())));
    let data = TensorData::new(values.collect::<Vec<i32>>(), [rows.len(), steps]);
    (Tensor::from_data(data, &Device::flex()), rows.iter().map(|row| row.len()).collect())
}

/// The token that row `row` reads at its step `step` after the prompt.
fn written(row: usize, step: usize) -> i32 {
    ((row * 5 + step * step + 2) % VOCABULARY) as i32
}

/// Each text alone: the logits of its prompt `[1, T, V]`, and those after each written token `[1, V]`.
fn alone(model: &LanguageModel) -> Vec<(Tensor<3>, Vec<Tensor<2>>)> {
    let row = |row: usize| {
        let (tokens, _) = window(&[PROMPTS[row]]);
        let (logits, state) = model.forward(tokens, Some(model.initial_state(1)));
        (logits, steps(model, &[row], 0..WRITTEN, state.expect("a state comes back for a state")).0)
    };
    (0..PROMPTS.len()).map(row).collect()
}

/// The logits after each of the steps, read by the rows together, and the state after them.
fn steps(
    model: &LanguageModel,
    rows: &[usize],
    steps: std::ops::Range<usize>,
    mut state: State,
) -> (Vec<Tensor<2>>, State) {
    let mut logits = Vec::new();
    for step in steps {
        let tokens: Vec<i32> = rows.iter().map(|&row| written(row, step)).collect();
        let (after, next) = model.step(Tensor::from_data(tokens.as_slice(), &Device::flex()), state);
        logits.push(after);
        state = next;
    }
    (logits, state)
}

/// Reads all prompts in one window.
fn read_together(model: &LanguageModel) -> (Tensor<3>, State) {
    let (tokens, lengths) = window(&PROMPTS);
    model.forward_ragged(tokens, &lengths, model.initial_state(PROMPTS.len()))
}

/// The state that reads the same as `state`, whatever is in it: the logits after some more tokens of its rows.
fn assert_same_state(name: &str, model: &LanguageModel, rows: &[usize], state: State, steps_read: usize) {
    let expected = alone(model);
    let (logits, state) = steps(model, rows, steps_read..WRITTEN, state);
    for (step, logits) in logits.iter().enumerate() {
        for (place, &row) in rows.iter().enumerate() {
            assert_close(name, &logits.clone().narrow(0, place, 1), &expected[row].1[steps_read + step]);
        }
    }
    let positions: Vec<usize> = rows.iter().map(|&row| PROMPTS[row].len() + WRITTEN).collect();
    assert_eq!(state.positions(), positions, "{name}");
}

#[test]
fn prompts_of_different_length_in_one_window_give_what_each_gives_alone() {
    for_each_model(|name, model| {
        let (logits, state) = read_together(model);
        for (row, (expected, _)) in alone(model).iter().enumerate() {
            let valid = logits.clone().narrow(0, row, 1).narrow(1, 0, PROMPTS[row].len());
            assert_close(name, &valid, expected);
        }
        assert_same_state(name, model, &[0, 1, 2, 3], state, 0);
    });
}

#[test]
fn a_ragged_window_is_read_after_rows_of_different_length() {
    for_each_model(|name, model| {
        let (_, state) = read_together(model);
        // Row 1 reads nothing, and stays as it was.
        let more = [3, 0, 1, 2].map(|count| (0..count).collect::<Vec<usize>>());
        let more: Vec<Vec<i32>> = more
            .iter()
            .enumerate()
            .map(|(row, steps)| steps.iter().map(|&step| written(row, step)).collect())
            .collect();
        let more: Vec<&[i32]> = more.iter().map(Vec::as_slice).collect();
        let (tokens, lengths) = window(&more);
        let (logits, state) = model.forward_ragged(tokens, &lengths, state);
        let expected = alone(model);
        for (row, length) in lengths.iter().enumerate() {
            for step in 0..*length {
                let found = logits.clone().narrow(0, row, 1).narrow(1, step, 1).squeeze_dim(1);
                assert_close(name, &found, &expected[row].1[step]);
            }
        }
        for (row, read) in [3, 0, 1, 2].into_iter().enumerate() {
            assert_same_state(name, model, &[row], state.take_rows(&[row]), read);
        }
    });
}

#[test]
fn reading_gives_the_logits_after_the_last_token_of_each_row() {
    for_each_model(|name, model| {
        let (tokens, lengths) = window(&PROMPTS);
        let (last, state) = model.read(tokens, &lengths, model.initial_state(PROMPTS.len()));
        let (all, _) = read_together(model);
        for (row, length) in lengths.iter().enumerate() {
            let expected = all.clone().narrow(0, row, 1).narrow(1, length - 1, 1).squeeze_dim(1);
            assert_close(name, &last.clone().narrow(0, row, 1), &expected);
        }
        assert_same_state(name, model, &[0, 1, 2, 3], state, 0);
    });
}

/// A row near the end of the context beside one that reads a whole window: padding would stand beyond the context.
#[test]
fn padding_may_stand_beyond_the_context() {
    for_each_model(|name, model| {
        let long: Vec<i32> = (0..CONTEXT as i32).map(|index| index * 3 % VOCABULARY as i32).collect();
        let (tokens, lengths) = window(&[&long[..CONTEXT - 1]]);
        let (_, state) = model.forward_ragged(tokens, &lengths, model.initial_state(1));
        let (tokens, lengths) = window(&[&long[CONTEXT - 1..], &long]);
        let (logits, after) = model.forward_ragged(tokens, &lengths, state.joined(model.initial_state(1)));
        let (expected, _) = model.forward(window(&[&long]).0, None);
        assert_close(name, &logits.clone().narrow(0, 1, 1), &expected);
        let last = |row: usize, step: usize| logits.clone().narrow(0, row, 1).narrow(1, step, 1);
        assert_close(name, &last(0, 0), &expected.narrow(1, CONTEXT - 1, 1));
        assert_eq!(after.positions(), [CONTEXT, CONTEXT], "{name}");
    });
}

#[test]
fn rows_are_taken_out_put_back_joined_and_left_out() {
    for_each_model(|name, model| {
        let (_, state) = read_together(model);
        // Rows 2 and 0 continue alone, and then take their places again.
        let (_, ahead) = steps(model, &[2, 0], 0..2, state.take_rows(&[2, 0]));
        assert_same_state(name, model, &[2, 0], ahead.clone(), 2);
        let together = state.clone().put_rows(&[2, 0], ahead.clone());
        assert_same_state(name, model, &[2, 0], together.take_rows(&[2, 0]), 2);
        assert_same_state(name, model, &[1, 3], together.take_rows(&[1, 3]), 0);
        assert_same_state(name, model, &[3, 2, 1], together.take_rows(&[3]).joined(state.take_rows(&[2, 1])), 0);
        assert_eq!(ahead.joined(state.clone()).rows(), 6, "{name}");
        // What was taken out is a copy.
        assert_same_state(name, model, &[0, 1, 2, 3], state, 0);
    });
}

#[test]
fn a_repeated_row_continues_in_each_of_its_copies() {
    for_each_model(|name, model| {
        let (_, state) = read_together(model);
        let (_, state) = steps(model, &[2, 2, 1, 2], 0..1, state.take_rows(&[2, 2, 1, 2]));
        assert_same_state(name, model, &[2, 2, 1, 2], state, 1);
    });
}

#[test]
fn a_state_put_in_the_place_of_a_row_starts_it_anew() {
    for_each_model(|name, model| {
        let (_, state) = read_together(model);
        let state = state.put_rows(&[1], model.initial_state(1));
        assert_eq!(state.positions(), [5, 0, 7, 4], "{name}");
        let (tokens, lengths) = window(&[&[], PROMPTS[1], &[], &[]]);
        let (_, state) = model.forward_ragged(tokens, &lengths, state);
        assert_same_state(name, model, &[0, 1, 2, 3], state, 0);
    });
}

/// 150 tokens, beyond two steps of growth, one by one and in windows, and room for all of them from the beginning.
#[test]
fn a_state_that_grows_gives_what_one_with_room_for_all_gives() {
    const LONG: usize = 150;
    for (name, config) in configurations() {
        let model = with_fixed_weights(config.init(VOCABULARY, LONG, 1, &Device::flex()));
        let text: Vec<i32> = (0..LONG).map(|index| (index * index + 3 * index) as i32 % VOCABULARY as i32).collect();
        let read = |state: State, cuts: &[usize]| {
            let (mut state, mut start, mut logits) = (Some(state), 0, Vec::new());
            for &end in cuts {
                let (part, after) = model.forward(window(&[&text[start..end]]).0, state);
                (state, start) = (after, end);
                logits.push(part);
            }
            (Tensor::cat(logits, 1), state.expect("a state comes back for a state"))
        };
        let cuts: Vec<usize> = [10, 40].into_iter().chain(60..70).chain([100, 120, LONG]).collect();
        let (grown, small) = read(model.initial_state(1), &cuts);
        let (reserved, large) = read(model.initial_state(1).reserved(LONG), &cuts);
        // The same numbers in the same order, whatever the room beside them.
        assert_eq!(grown.into_data(), reserved.into_data(), "{name}");
        if let (State::Transformer(small), State::Transformer(large)) = (&small, &large) {
            assert_eq!((small.capacity(), large.capacity()), (LONG, LONG), "{name}");
            let State::Transformer(fresh) = model.initial_state(1) else { unreachable!() };
            assert_eq!(fresh.capacity(), 64, "{name}");
            let State::Transformer(further) = read(model.initial_state(1), &[65]).1 else { unreachable!() };
            assert_eq!(further.capacity(), 128, "{name}");
        }
    }
}

#[test]
#[should_panic(expected = "a transformer was given the state of a recurrent model")]
fn states_of_different_families_are_not_joined() {
    let models: Vec<_> =
        configurations().into_iter().map(|(_, config)| config.init(5, 8, 1, &Device::flex())).collect();
    let recurrent = models.iter().find(|model| model.carries_state_between_windows()).expect("there is one");
    let transformer = models.iter().find(|model| !model.carries_state_between_windows()).expect("there is one");
    let _ = transformer.initial_state(1).joined(recurrent.initial_state(1));
}

#[test]
#[should_panic(expected = "row 1 of the window has no token to give logits after")]
fn a_row_without_a_token_cannot_be_read() {
    let model = configurations()[0].1.init(VOCABULARY, CONTEXT, 1, &Device::flex());
    let (tokens, lengths) = window(&[&[1], &[]]);
    let _ = model.read(tokens, &lengths, model.initial_state(2));
}
