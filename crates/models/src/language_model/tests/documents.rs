//! A recurrent state that begins anew with each document.

use super::*;
use crate::DocumentStarts;

const STEPS: usize = 9;
const END: i32 = 10;

/// Row 0 has an end before column 4; row 1 at once, before column 4 too, and before the last.
fn documents() -> [Vec<i32>; ROWS] {
    [vec![1, 2, 3, 4, END, 5, 6, 7, 8], vec![END, 9, 8, 7, END, 5, 4, 3, END]]
}

fn targets(row: usize) -> Vec<i32> {
    (0..STEPS).map(|column| ((column * 3 + row) % VOCABULARY) as i32).collect()
}

fn tensor(model: &LanguageModel, ids: &[i32], rows: usize) -> Tensor<2, Int> {
    Tensor::from_data(TensorData::new(ids.to_vec(), [rows, ids.len() / rows]), &model.device())
}

/// The losses of a row, document after document, each from nothing; and the state after the last.
fn one_by_one(model: &LanguageModel, row: usize) -> (Tensor<1>, State) {
    let (tokens, targets) = (&documents()[row], targets(row));
    let mut cuts: Vec<usize> = (1..STEPS).filter(|column| tokens[*column] == END).collect();
    cuts.push(STEPS);
    let (mut from, mut losses, mut last) = (0, Vec::new(), None);
    for to in cuts {
        let (part, state) = model.losses(
            tensor(model, &tokens[from..to], 1),
            tensor(model, &targets[from..to], 1),
            None,
            &mut Draws::none(),
        );
        losses.push(part.reshape([to - from]));
        (from, last) = (to, state);
    }
    (Tensor::cat(losses, 0), last.expect("a recurrent model gives one"))
}

fn together(model: &LanguageModel) -> (Tensor<2>, Option<State>) {
    let ids = documents().concat();
    let starts = DocumentStarts::find(&ids, STEPS, END as u32);
    // The second row has a state from before, which it must forget at once.
    let read = model.read(tensor(model, &[1, 2, 3], 1), &[3], model.initial_state(1)).1;
    let before = model.initial_state(1).joined(read);
    let targets: Vec<i32> = (0..ROWS).flat_map(targets).collect();
    let (tokens, targets) = (tensor(model, &ids, ROWS), tensor(model, &targets, ROWS));
    model.losses_of_documents(tokens, targets, Some(before), &starts, &mut Draws::none())
}

fn recurrent(check: impl Fn(&str, &LanguageModel)) {
    let mut count = 0;
    for_each_model(|name, model| {
        if model.carries_state_between_windows() {
            count += 1;
            check(name, model);
        }
    });
    assert!(count >= 3);
}

#[test]
fn documents_side_by_side_have_the_losses_and_the_state_of_each_alone() {
    recurrent(|name, model| {
        let (losses, state) = together(model);
        let state = state.expect("a recurrent model gives one");
        for row in 0..ROWS {
            let (expected, last) = one_by_one(model, row);
            assert_close(name, &losses.clone().narrow(0, row, 1).squeeze_dim::<1>(0), &expected);
            let own = state.take_rows(&[row]);
            assert_eq!(own.positions(), last.positions(), "{name}");
            let hidden = |state: State| state.into_recurrent().layers.pop().expect("there is a layer").hidden;
            assert_close(name, &hidden(own), &hidden(last));
        }
        let goals: Vec<i32> = (0..ROWS).flat_map(targets).collect();
        let (tokens, goals) = (tensor(model, &documents().concat(), ROWS), tensor(model, &goals, ROWS));
        let (carried, _) = model.losses(tokens, goals, None, &mut Draws::none());
        assert!(largest_difference(&carried.into_data(), &losses.into_data()) > 1e-4, "{name}: it makes no difference");
    });
}

#[test]
fn their_gradient_is_the_sum_of_those_of_each_alone() {
    for_each_training_model(|name, model| {
        if !model.carries_state_between_windows() {
            return;
        }
        let table = |model: &LanguageModel| match model {
            LanguageModel::Recurrent(model) => [model.embedding.weight.val(), model.layers[0].hidden_weight.val()],
            LanguageModel::Transformer(_) => unreachable!("it has no state"),
            LanguageModel::EncoderDecoder(model) => panic!("{model:?} is not in the list"),
        };
        let whole = together(model).0.sum().backward();
        let alone = (one_by_one(model, 0).0.sum() + one_by_one(model, 1).0.sum()).backward();
        for parameter in table(model) {
            let gradient = |gradients| parameter.grad(gradients).expect("it has one");
            assert_close(name, &gradient(&whole), &gradient(&alone));
        }
    });
}
