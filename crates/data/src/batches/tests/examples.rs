//! Batches of examples: each alone in its row, what counts, and in which order.

use kiln_models::{Tokenizer, TokenizerConfig};

use super::*;
use crate::shards::{ExampleReading, Fitting, TooLong};

fn reading(too_long: TooLong) -> ExampleReading {
    ExampleReading { too_long, pairs: false }
}

/// Examples that begin with 10, 20, 30, ...: of these lengths, of which the last two tokens are predicted.
fn file(lengths: &[u32], too_long: TooLong) -> TokenFile {
    let tokenizer = Tokenizer::train(&TokenizerConfig::Byte(Default::default()), &mut std::iter::empty()).unwrap();
    let example = |(number, &length): (u32, &u32)| {
        let tokens = (0..length).map(|place| 10 * (number + 1) + place).collect();
        (tokens, (0..length).map(|place| place + 2 >= length && place > 0).collect())
    };
    let examples: Vec<(Vec<u32>, Vec<bool>)> = (0..).zip(lengths).map(example).collect();
    TokenFile::examples_in_memory(&examples, &tokenizer, reading(too_long)).unwrap()
}

#[test]
fn each_example_is_a_row_and_what_is_behind_its_end_is_padding_without_a_loss() {
    let file = file(&[3, 5], TooLong::LeaveOut);
    assert_eq!((file.examples().unwrap().count(), file.predicted()), (2, 4));
    let batch = order(&file, Windows::Shuffled, 2, 8, 1).read(0).unwrap();
    // The shorter one is first: a pool is sorted by length.
    assert_eq!((batch.rows, batch.columns, batch.carries_state), (2, 4, false));
    assert_eq!(batch.inputs, [10, 11, 0, 0, 20, 21, 22, 23]);
    assert_eq!(batch.targets, [11, 12, 0, 0, 21, 22, 23, 24]);
    assert_eq!(batch.weights, Some(vec![1.0, 1.0, 0.0, 0.0, 0.0, 0.0, 1.0, 1.0]));
    assert_eq!(batch.counted(), 4);
    let (upper, lower) = batch.split(1);
    assert_eq!((upper.weights, upper.rows), (Some(vec![1.0, 1.0, 0.0, 0.0]), 1));
    assert_eq!((lower.weights, lower.targets), (Some(vec![0.0, 0.0, 1.0, 1.0]), vec![21, 22, 23, 24]));
}

#[test]
fn what_is_longer_than_a_window_is_left_out_or_loses_its_end() {
    let lengths = [3, 9, 5, 4];
    let fitting = |too_long, columns| file(&lengths, too_long).examples().unwrap().fitting(columns);
    let numbers = |numbers: &[u64]| numbers.to_vec().into();
    let all = Fitting { examples: numbers(&[0, 1, 2, 3]), cut: 0, left_out: 0 };
    assert_eq!(fitting(TooLong::LeaveOut, 8), all);
    assert_eq!(fitting(TooLong::LeaveOut, 4), Fitting { examples: numbers(&[0, 2, 3]), cut: 0, left_out: 1 });
    // Of nine tokens numbers 7 and 8 are predicted: number 7 is the target of the seventh input.
    assert_eq!(fitting(TooLong::Cut, 7), Fitting { examples: numbers(&[0, 1, 2, 3]), cut: 1, left_out: 0 });
    assert_eq!(fitting(TooLong::Cut, 6), Fitting { examples: numbers(&[0, 2, 3]), cut: 0, left_out: 1 });
    let batch = order(&file(&[9], TooLong::Cut), Windows::Random, 1, 7, 1).read(5).unwrap();
    assert_eq!((batch.columns, batch.counted()), (7, 1));
    assert_eq!(batch.targets, [11, 12, 13, 14, 15, 16, 17]);
}

#[test]
fn shuffled_examples_are_each_read_once_an_epoch_in_an_order_of_seed_and_position() {
    let lengths: Vec<u32> = (0..330).map(|number| 2 + number * 7 % 5).collect();
    let tokenizer = Tokenizer::train(&TokenizerConfig::Byte(Default::default()), &mut std::iter::empty()).unwrap();
    let example = |(number, length): (usize, &u32)| {
        let tokens = [vec![number as u32 % 256, number as u32 / 256], vec![0; *length as usize]].concat();
        (tokens, [vec![false; 2], vec![true; *length as usize]].concat())
    };
    let examples: Vec<_> = lengths.iter().enumerate().map(example).collect();
    let file = TokenFile::examples_in_memory(&examples, &tokenizer, Default::default()).unwrap();
    let order = order(&file, Windows::Shuffled, 4, 16, 7);
    assert_eq!(order.batches_per_epoch(), 82);
    let numbers = |batch: u64| -> Vec<i32> {
        let batch = order.read(batch).unwrap();
        batch.inputs.chunks(batch.columns).map(|row| row[0] + 256 * row[1]).collect()
    };
    let epoch = |first: u64| -> BTreeSet<i32> { (first..first + 82).flat_map(&numbers).collect() };
    // 330 examples are 82 batches of four; two are left for other epochs.
    assert_eq!((epoch(0).len(), epoch(82).len()), (328, 328));
    assert_ne!(numbers(0), numbers(82));
    assert_eq!(numbers(100), numbers(100));
    // 32 batches are sorted by length together: hardly any of it is padding.
    let places: (u64, u64) = (0..82).map(|batch| order.read(batch).unwrap()).fold((0, 0), |(all, counted), batch| {
        (all + (batch.rows * batch.columns) as u64, counted + batch.counted() + batch.rows as u64)
    });
    assert!(places.0 as f64 / (places.1 as f64) < 1.05, "{places:?}");
}

#[test]
fn an_evaluation_of_examples_counts_what_they_say_once() {
    let file = file(&[3, 9, 5, 4, 4], TooLong::LeaveOut);
    for rows in [1, 2, 5, 7] {
        let plan = EvaluationPlan::new(&file, 1.0, rows, 8, true).unwrap();
        let mut found = Vec::new();
        for index in 0..plan.batches() {
            let batch = plan.read(&file, index).unwrap();
            assert!(!batch.carries_state);
            let counted = batch.targets.iter().zip(&batch.weights).filter(|(_, weight)| **weight > 0.0);
            let before = found.len();
            found.extend(counted.map(|(target, _)| *target));
            assert_eq!(batch.scored, (found.len() - before) as u64);
        }
        found.sort_unstable();
        assert_eq!(found, [11, 12, 27, 28, 33, 34, 42, 43, 52, 53], "{rows}");
    }
    let plan = EvaluationPlan::new(&file, 0.4, 4, 8, false).unwrap();
    assert_eq!((plan.batches(), plan.read(&file, 0).unwrap().rows), (1, 2));
}

#[test]
fn examples_that_fit_no_window_or_no_batch_are_told() {
    let file = file(&[9, 9, 3], TooLong::LeaveOut);
    let Err(error) = BatchOrder::new(file.clone(), Windows::Shuffled, 2, 4, 1) else { panic!("it was accepted") };
    let words = error.to_string();
    assert!(words.contains("the training split has 1 examples, but 2 are needed for one batch"), "{words}");
    assert!(words.contains("2 more don't fit `run.context`, which is 4"), "{words}");
    assert!(EvaluationPlan::new(&file, 1.0, 2, 1, false).is_err());
    // The first token of an example is predicted from nothing.
    let tokenizer = Tokenizer::train(&TokenizerConfig::Byte(Default::default()), &mut std::iter::empty()).unwrap();
    let first = [(vec![1, 2], vec![true, true])];
    assert!(TokenFile::examples_in_memory(&first, &tokenizer, Default::default()).is_err());
}
