//! What is written is what was chosen, and what is chosen is no worse than other choices.

use proptest::prelude::*;

use super::Grid;
use crate::{Format, pack, unpack};

const WHOLE: [Format; 8] =
    [Format::Q4_0, Format::Q4_1, Format::Q5_0, Format::Q5_1, Format::Q8_0, Format::Q4K, Format::Q5K, Format::Q6K];

fn unpacked(format: Format, bytes: &[u8]) -> Vec<f32> {
    let mut numbers = Vec::new();
    unpack(format, bytes, &mut numbers);
    numbers
}

/// A bell curve's numbers, as weights are: sums of four uniform ones.
fn normal(count: usize, seed: u64) -> Vec<f32> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut uniform = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 40) as f32 / (1 << 24) as f32 - 0.5
    };
    (0..count).map(|_| uniform() + uniform() + uniform() + uniform()).collect()
}

fn weighted_error(numbers: &[f32], back: &[f32], weights: &[f32]) -> f64 {
    let squared = |((number, back), weight): ((&f32, &f32), &f32)| f64::from(weight * (number - back).powi(2));
    numbers.iter().zip(back).zip(weights).map(squared).sum()
}

proptest! {
    #[test]
    fn the_bytes_hold_what_the_codes_stand_for(
        format in proptest::sample::select(&WHOLE[..]),
        numbers in proptest::collection::vec(-3.0_f32..3.0, 512),
        codes in proptest::collection::vec(any::<u8>(), 512),
    ) {
        let importance: Vec<f32> = numbers.iter().map(|number| number.abs()).collect();
        let grid = Grid::fit(format, &numbers, Some(&importance)).unwrap();
        let least = grid.codes.least;
        let codes: Vec<u8> = codes.iter().map(|code| code % (grid.codes.greatest - least + 1) + least).collect();
        let mut bytes = Vec::new();
        grid.write(&codes, &mut bytes);
        let expected: Vec<f32> = codes.iter().enumerate().map(|(index, code)| grid.value(index, *code)).collect();
        prop_assert_eq!(unpacked(format, &bytes), expected);
    }

    #[test]
    fn a_number_becomes_the_nearest_one(
        format in proptest::sample::select(&WHOLE[..]),
        numbers in proptest::collection::vec(-3.0_f32..3.0, 256),
    ) {
        let grid = Grid::fit(format, &numbers, Some(&[1.0; 256])).unwrap();
        for (index, number) in numbers.iter().enumerate() {
            let distance = |code: u8| (grid.value(index, code) - number).abs();
            let chosen = distance(grid.nearest(index, *number));
            let nearest = (grid.codes.least..=grid.codes.greatest).map(distance).fold(f32::INFINITY, f32::min);
            prop_assert!(chosen <= nearest * 1.0001 + 1e-6, "{chosen} and not {nearest}");
        }
    }
}

#[test]
fn importance_lowers_the_error_that_it_weighs() {
    let numbers = normal(4096, 3);
    let weights: Vec<f32> = normal(4096, 4).iter().map(|number| number.powi(4) + 0.01).collect();
    for format in WHOLE {
        let error = |importance: Option<&[f32]>| {
            let grid = Grid::fit(format, &numbers, importance).unwrap();
            let mut bytes = Vec::new();
            grid.write(&grid.round(&numbers), &mut bytes);
            weighted_error(&numbers, &unpacked(format, &bytes), &weights)
        };
        let (without, with) = (error(None), error(Some(&weights)));
        assert!(with < without * 0.9, "{}: {without} without, {with} with", format.name());
    }
}

#[test]
fn numbers_on_a_grid_stay_as_they_are() {
    // Multiples of 1/8 from -1 to 0.875, both ends in each group.
    let numbers: Vec<f32> = (0..256).map(|index| (index * 5 % 16) as f32 / 8.0 - 1.0).collect();
    for format in [Format::Q4_0, Format::Q4_1, Format::Q5_1] {
        let mut bytes = Vec::new();
        pack(format, &numbers, &mut bytes).unwrap();
        assert_eq!(unpacked(format, &bytes), numbers, "{}", format.name());
    }
}

#[test]
fn rows_of_nothing_and_of_one_number_are_kept() {
    for format in WHOLE {
        for number in [0.0_f32, 1.0, -1.0] {
            let mut bytes = Vec::new();
            pack(format, &[number; 256], &mut bytes).unwrap();
            for back in unpacked(format, &bytes) {
                assert!((back - number).abs() < 0.01, "{}: {number} became {back}", format.name());
            }
        }
    }
}
