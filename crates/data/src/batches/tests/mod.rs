//! Which tokens are read, when, and how often.

mod examples;

use std::collections::BTreeSet;
use std::path::PathBuf;

use tempfile::TempDir;

use super::permutation::Permutation;
use super::*;
use crate::shards::{TextIdentity, TokenFile, TokenFileWriter};

/// A file of the tokens 0, 1, 2, …, so that a token says where it stood.
fn counting(tokens: u32) -> (TempDir, TokenFile) {
    let folder = tempfile::tempdir().unwrap();
    let path: PathBuf = folder.path().join("tokens");
    let mut writer = TokenFileWriter::create(&path, [7; 32], tokens as usize).unwrap();
    writer.push(&(0..tokens).collect::<Vec<_>>()).unwrap();
    let count = u64::from(tokens);
    let file = writer.finish(TextIdentity { bytes: count, characters: count, hash: [0; 32] }).unwrap();
    (folder, file)
}

fn order(file: &TokenFile, windows: Windows, rows: usize, columns: usize, seed: u64) -> BatchOrder {
    BatchOrder::new(file.clone(), windows, rows, columns, seed).unwrap()
}

#[test]
fn targets_are_the_inputs_one_place_further() {
    let (_folder, file) = counting(100);
    for windows in [Windows::Random, Windows::Shuffled, Windows::Streams] {
        let order = order(&file, windows, 3, 7, 5);
        for batch in 0..20 {
            let batch = order.read(batch).unwrap();
            assert_eq!((batch.rows, batch.columns, batch.inputs.len()), (3, 7, 21));
            for (row, (inputs, targets)) in batch.inputs.chunks(7).zip(batch.targets.chunks(7)).enumerate() {
                let start = inputs[0];
                assert_eq!(inputs, (start..start + 7).collect::<Vec<_>>(), "{windows:?}, row {row}");
                assert_eq!(targets, (start + 1..start + 8).collect::<Vec<_>>(), "{windows:?}, row {row}");
            }
        }
    }
}

#[test]
fn a_batch_is_a_function_of_seed_and_position_alone() {
    let (_folder, file) = counting(1000);
    for windows in [Windows::Random, Windows::Shuffled, Windows::Streams] {
        let forwards: Vec<_> = (0..300).map(|batch| order(&file, windows, 4, 8, 1).read(batch).unwrap()).collect();
        let one_order = order(&file, windows, 4, 8, 1);
        for batch in (0..300).rev() {
            assert_eq!(one_order.read(batch).unwrap(), forwards[batch as usize], "{windows:?}, batch {batch}");
        }
        let other_seed = order(&file, windows, 4, 8, 2);
        let differs = (0..300).any(|batch| other_seed.read(batch).unwrap() != forwards[batch as usize]);
        assert_eq!(differs, windows != Windows::Streams, "{windows:?}");
    }
}

#[test]
fn shuffled_windows_are_each_read_once_an_epoch_and_in_another_order_the_next() {
    let (_folder, file) = counting(8 * 30 + 1);
    let order = order(&file, Windows::Shuffled, 3, 8, 1);
    assert_eq!(order.batches_per_epoch(), 10);
    let starts = |epoch: u64| -> Vec<i32> {
        let batches = (epoch * 10..epoch * 10 + 10).map(|batch| order.read(batch).unwrap());
        batches.flat_map(|batch| batch.inputs.chunks(8).map(|window| window[0]).collect::<Vec<_>>()).collect()
    };
    let all: BTreeSet<i32> = (0..30).map(|window| window * 8).collect();
    assert_eq!(starts(0).into_iter().collect::<BTreeSet<_>>(), all);
    assert_eq!(starts(1).into_iter().collect::<BTreeSet<_>>(), all);
    assert_ne!(starts(0), starts(1));
    assert_eq!(order.position(23), Position { epoch: 2, index: 3 });
}

#[test]
fn streams_follow_one_another_and_start_cold_at_each_epoch() {
    let (_folder, file) = counting(2 * 25 + 1);
    let order = order(&file, Windows::Streams, 2, 8, 1);
    // Two streams of 25 tokens: three windows of 8 each, one token is left over.
    assert_eq!(order.batches_per_epoch(), 3);
    let starts = |batch| {
        let batch = order.read(batch).unwrap();
        (batch.inputs[0], batch.inputs[8], batch.carries_state)
    };
    assert_eq!([starts(0), starts(1), starts(2)], [(0, 25, false), (8, 33, true), (16, 41, true)]);
    assert_eq!(starts(3), (0, 25, false));
}

#[test]
fn random_windows_start_everywhere_equally_often() {
    let (_folder, file) = counting(30);
    let order = order(&file, Windows::Random, 10, 10, 1);
    let mut counts = [0_u32; 20];
    for batch in 0..2000 {
        for window in order.read(batch).unwrap().inputs.chunks(10) {
            counts[window[0] as usize] += 1;
        }
    }
    // Chi-square with 19 degrees of freedom: 43.8 is exceeded once in a thousand.
    let expected = 1000.0;
    let chi_square: f64 = counts.iter().map(|count| (f64::from(*count) - expected).powi(2) / expected).sum();
    assert!(chi_square < 43.8, "{chi_square}: {counts:?}");
}

#[test]
fn a_permutation_hits_every_number_once() {
    for length in [1, 2, 3, 7, 64, 65, 1000] {
        let permutation = Permutation::new(length, 99);
        let image: BTreeSet<u64> = (0..length).map(|index| permutation.apply(index)).collect();
        assert_eq!(image, (0..length).collect(), "{length}");
    }
}

#[test]
fn a_text_too_short_for_a_batch_says_what_it_needs() {
    let (_folder, file) = counting(16);
    let Err(error) = BatchOrder::new(file.clone(), Windows::Streams, 2, 8, 1) else { panic!("it was accepted") };
    let message = error.to_string();
    assert!(message.contains("the training split has 16 tokens, but 17 are needed"), "{message}");
    assert!(BatchOrder::new(file.clone(), Windows::Random, 2, 15, 1).is_ok());
    let Err(TooShort { split, found, needed, .. }) = BatchOrder::new(file.clone(), Windows::Random, 2, 16, 1) else {
        panic!("it was accepted")
    };
    assert_eq!((split, found, needed), ("training", 16, 17));
    let Err(TooShort { split, found, needed, .. }) = EvaluationPlan::new(&file, 1.0, 4, 16, false) else {
        panic!("it was accepted")
    };
    assert_eq!((split, found, needed), ("validation", 16, 17));
}

/// How often each target of the file counts, by its token, and which tokens each counted target's row had read before
/// it.
fn counted(file: &TokenFile, plan: &EvaluationPlan) -> Vec<u32> {
    let mut counts = vec![0; file.len() as usize];
    let mut scored = 0;
    for index in 0..plan.batches() {
        let batch = plan.read(file, index).unwrap();
        assert_eq!(batch.inputs.len(), batch.rows * batch.columns);
        for (place, weight) in batch.weights.iter().enumerate() {
            if *weight > 0.0 {
                assert_eq!(batch.targets[place], batch.inputs[place] + 1);
                counts[batch.targets[place] as usize] += 1;
            }
        }
        scored += batch.scored;
    }
    assert_eq!(scored, plan.targets());
    counts
}

#[test]
fn an_evaluation_counts_every_token_but_the_first_exactly_once() {
    for tokens in [9, 10, 50, 97, 2000] {
        let (_folder, file) = counting(tokens);
        for (rows, columns) in [(1, 8), (3, 8), (4, 5), (7, 3)] {
            for carries_state in [false, true] {
                let plan = EvaluationPlan::new(&file, 1.0, rows, columns, carries_state).unwrap();
                let counts = counted(&file, &plan);
                assert_eq!(counts[0], 0);
                assert!(
                    counts[1..].iter().all(|count| *count == 1),
                    "{tokens} tokens, {rows} x {columns}, state {carries_state}: {counts:?}"
                );
            }
        }
    }
}

#[test]
fn a_start_is_read_before_the_text_and_only_the_text_counts() {
    let (_folder, file) = counting(30);
    for start in [&[7_u32][..], &[8, 9], &[8, 9, 7, 8, 9]] {
        let file = file.clone().behind(start);
        let mut tokens = vec![99; 4 + start.len()];
        file.read(0, &mut tokens).unwrap();
        assert_eq!(tokens, [start, &[0, 1, 2, 3]].concat());
        file.read(1, &mut tokens[..2]).unwrap();
        assert_eq!(tokens[..2], [start, &[0, 1]].concat()[1..3]);
        file.verify().unwrap();
        for (rows, columns, carries_state) in [(1, 4, true), (3, 4, true), (1, 3, false), (2, 4, false), (1, 99, false)]
        {
            let plan = EvaluationPlan::of_text(&file, rows, columns, carries_state).unwrap();
            assert_eq!(plan.targets(), 30);
            let mut found: Vec<i32> = Vec::new();
            for index in 0..plan.batches() {
                let batch = plan.read(&file, index).unwrap();
                let targets = batch.targets.iter().zip(&batch.weights);
                found.extend(targets.filter(|(_, weight)| **weight > 0.0).map(|(target, _)| target));
            }
            found.sort_unstable();
            assert_eq!(found, (0..30).collect::<Vec<_>>(), "{start:?}, {rows} x {columns}, {carries_state}");
        }
    }
    let (_folder, one) = counting(1);
    assert!(EvaluationPlan::of_text(&one, 1, 8, false).is_err());
    assert_eq!(EvaluationPlan::of_text(&one.behind(&[0]), 1, 8, false).unwrap().targets(), 1);
}

#[test]
fn a_part_of_an_evaluation_is_its_beginning() {
    let (_folder, file) = counting(101);
    let plan = EvaluationPlan::new(&file, 0.3, 2, 8, false).unwrap();
    assert_eq!(plan.targets(), 30);
    let counts = counted(&file, &plan);
    assert!(counts[1..=30].iter().all(|count| *count == 1) && counts[31..].iter().all(|count| *count == 0));
}

#[test]
fn streams_of_an_evaluation_go_on_where_they_were_and_are_warmed_up() {
    let (_folder, file) = counting(4001);
    let plan = EvaluationPlan::new(&file, 1.0, 4, 50, true).unwrap();
    let mut next = [0, 1000 - 512, 2000 - 512, 3000 - 512];
    for index in 0..plan.batches() {
        let batch = plan.read(&file, index).unwrap();
        assert_eq!(batch.carries_state, index > 0);
        for (row, window) in batch.inputs.chunks(50).enumerate() {
            let inside = window.iter().zip(next[row]..).all(|(token, expected)| expected >= 4000 || *token == expected);
            assert!(inside, "batch {index}, row {row}");
            next[row] += 50;
        }
    }
}
