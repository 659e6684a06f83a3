//! Products of every format, by every set of instructions.

use proptest::prelude::*;

use crate::inputs::{BLOCK, SUPER_BLOCK};
use crate::isa;
use crate::product::Product;
use crate::{Format, Inputs, PackedMatrix, Piece, unpack};

/// Numbers between -1 and 1 that look random.
fn numbers(count: usize, seed: u64) -> Vec<f32> {
    let mut state = seed.wrapping_mul(2).wrapping_add(1);
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 40) as f32 / (1_u64 << 23) as f32 - 1.0
    };
    (0..count).map(|_| next()).collect()
}

/// Rows of a format: bytes that look random, with scales that are finite and small.
fn rows(format: Format, width: usize, rows: usize, seed: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    if format.is_float() {
        crate::pack(format, &numbers(width * rows, seed), &mut bytes).unwrap();
        return bytes;
    }
    for (index, scale) in numbers(width * rows / format.block(), seed).into_iter().enumerate() {
        let start = bytes.len();
        bytes
            .extend(numbers(format.block_bytes(), seed + 7 + index as u64).iter().map(|number| number.to_bits() as u8));
        let half = half::f16::from_f32(scale * 0.1).to_le_bytes();
        let places: &[usize] = match format {
            Format::Q4_0 | Format::Q5_0 | Format::Q8_0 => &[0],
            Format::Q6K => &[208],
            _ => &[0, 2],
        };
        places.iter().for_each(|place| bytes[start + place..start + place + 2].copy_from_slice(&half));
    }
    bytes
}

/// The inputs as a product sees them: packed, and unpacked again.
fn seen(given: &[f32], format: Format) -> Vec<f64> {
    let block = format.block();
    let matrix =
        PackedMatrix::join(block, vec![Piece::new(format, block, &rows(format, block, 1, 1)).unwrap()]).unwrap();
    let of_block = |given: &[f32]| {
        let inputs = Inputs::new(&matrix, given);
        let scaled = |numbers: &[[u8; BLOCK]], scale: f32| -> Vec<f64> {
            numbers.iter().flatten().map(|number| f64::from(number.cast_signed()) * f64::from(scale)).collect()
        };
        match block {
            1 => vec![f64::from(given[0])],
            BLOCK => scaled(&inputs.blocks().one[0].numbers, inputs.blocks().one[0].scales[0]),
            _ => {
                scaled(&inputs.super_blocks().one[0].numbers.map(|[part]| part), inputs.super_blocks().one[0].scales[0])
            }
        }
    };
    given.chunks(block).flat_map(of_block).collect()
}

/// The largest difference between products and those in double precision, over the sum of magnitudes.
fn error(format: Format, width: usize, outputs: usize, count: usize, set: isa::Set) -> f64 {
    let bytes = rows(format, width, outputs, 3);
    let matrix = PackedMatrix::join(width, vec![Piece::new(format, width, &bytes).unwrap()]).unwrap();
    let given = numbers(width * count, 5);
    let inputs = Inputs::new(&matrix, &given);
    let mut products = vec![f32::NAN; outputs * count];
    set.run(Product { format, bytes: &bytes, inputs: &inputs, products: &mut products });
    assert!(products.iter().all(|product| product.is_finite()));
    let mut weights = Vec::new();
    unpack(format, &bytes, &mut weights);
    let seen = seen(&given, format);
    let mut worst = 0.0_f64;
    for (output, row) in weights.chunks(width).enumerate() {
        for (index, input) in seen.chunks(width).enumerate() {
            let terms = row.iter().zip(input).map(|(weight, input)| f64::from(*weight) * input);
            let (sum, size) = terms.fold((0.0, 0.0), |(sum, size), term| (sum + term, size + term.abs()));
            worst = worst.max((f64::from(products[output * count + index]) - sum).abs() / size);
        }
    }
    worst
}

#[test]
fn products_are_those_of_the_unpacked_numbers_for_each_format_and_set_of_instructions() {
    for format in Format::ALL {
        for set in isa::all() {
            for count in [1, 2, 3, 7, 8, 13] {
                let width = if format.is_float() { 83 } else { 2 * SUPER_BLOCK };
                let error = error(format, width, 5, count, set);
                // The scaled sum of a block with a minimum is rounded to half precision, as the reference does.
                let has_rounded_sums = matches!(format, Format::Q4_1 | Format::Q5_1);
                let allowed = if has_rounded_sums { 1e-4 } else { 5e-7 };
                assert!(error < allowed, "{} with {count} inputs: {error:e}", format.name());
            }
        }
    }
}

#[test]
fn rows_that_do_not_fit_a_cache_are_multiplied_with_many_inputs() {
    for set in isa::all() {
        assert!(error(Format::Q8_0, 4096, 70, 11, set) < 5e-7);
        assert!(error(Format::F32, 4099, 40, 9, set) < 5e-7);
    }
}

#[test]
fn packing_rounds_to_the_nearest_and_is_unpacked_again() {
    let given = numbers(256, 11);
    for (format, allowed) in [(Format::F32, 0.0), (Format::F16, 5e-4), (Format::Bf16, 4e-3), (Format::Q8_0, 4.2e-3)] {
        let matrix = PackedMatrix::pack(format, 64, &given).unwrap();
        let mut back = Vec::new();
        matrix.unpack(0..4, &mut back);
        let worst = given.iter().zip(&back).fold(0.0_f32, |worst, (given, back)| worst.max((given - back).abs()));
        assert!(worst <= allowed, "{}: {worst}", format.name());
    }
    // By hand: the largest magnitude is -8 times the scale 0.25, so that the values are multiples of it up to 7.
    let mut given = [0.0_f32; 32];
    given[..4].copy_from_slice(&[-2.0, 0.3, 1.9, 0.12]);
    let matrix = PackedMatrix::pack(Format::Q4_0, 32, &given).unwrap();
    let mut back = Vec::new();
    matrix.unpack(0..1, &mut back);
    assert_eq!(back[..4], [-2.0, 0.25, 1.75, 0.0]);
}

#[test]
fn floats_are_widened_to_the_bit() {
    for format in [Format::F32, Format::F16, Format::Bf16] {
        let bytes = rows(format, 83, 1, 4);
        let (mut expected, mut found) = (Vec::new(), vec![0.0; 83]);
        unpack(format, &bytes, &mut expected);
        crate::widen(format, &bytes, &mut found);
        assert_eq!(found, expected);
    }
}

#[test]
fn pieces_are_one_matrix() {
    let (first, second) = (rows(Format::Q4K, 256, 3, 1), rows(Format::Q6K, 256, 2, 2));
    let piece = |format, bytes: &[u8]| Piece::new(format, 256, bytes).unwrap();
    let pieces = vec![piece(Format::Q4K, &first), piece(Format::Q6K, &second)];
    let matrix = PackedMatrix::join(256, pieces).unwrap();
    assert_eq!((matrix.outputs(), matrix.bytes()), (5, 3 * 144 + 2 * 210));
    let given = numbers(256 * 2, 9);
    let inputs = Inputs::new(&matrix, &given);
    let mut whole = vec![0.0; 10];
    matrix.multiply(&inputs, 0..5, &mut whole);
    let mut middle = vec![0.0; 6];
    matrix.multiply(&inputs, 1..4, &mut middle);
    assert_eq!(whole[2..8], middle);
    let mut unpacked = Vec::new();
    matrix.unpack(2..4, &mut unpacked);
    let mut expected = Vec::new();
    unpack(Format::Q4K, &first[288..], &mut expected);
    unpack(Format::Q6K, &second[..210], &mut expected);
    assert_eq!(unpacked, expected);
}

#[test]
fn rows_are_taken_in_another_order() {
    let bytes = rows(Format::Q8_0, 64, 4, 1);
    let piece = Piece::new(Format::Q8_0, 64, &bytes).unwrap();
    let taken = piece.rows_in_order(&[3, 0, 3]);
    let expected = [&bytes[3 * 68..], &bytes[..68], &bytes[3 * 68..]].concat();
    assert_eq!((taken.rows(), taken.bytes(0..3)), (3, &expected[..]));
    assert_eq!(piece.rows_in_order(&[0, 1, 2, 3]).bytes(0..4), bytes);
}

#[test]
fn what_is_not_finite_is_found_in_each_format() {
    for format in Format::ALL {
        let mut bytes = rows(format, 512, 2, 3);
        assert_eq!(Piece::new(format, 512, &bytes).unwrap().first_not_finite(), None, "{}", format.name());
        // An infinity of each type, in the second row.
        let places: &[(usize, &[u8])] = match format {
            Format::F32 => &[(0, &[0, 0, 0x80, 0x7F])],
            Format::Bf16 => &[(0, &[0x80, 0x7F])],
            Format::F16 | Format::Q4_0 | Format::Q5_0 | Format::Q8_0 => &[(0, &[0, 0x7C])],
            Format::Q6K => &[(208, &[0, 0x7C])],
            _ => &[(0, &[0, 0x7C]), (2, &[0, 0x7C])],
        };
        for (place, infinity) in places {
            let row = bytes.len() / 2;
            let before = bytes.clone();
            bytes[row + place..row + place + infinity.len()].copy_from_slice(infinity);
            let found = Piece::new(format, 512, &bytes).unwrap().first_not_finite();
            assert_eq!(found, Some(512), "{} {place}", format.name());
            bytes = before;
        }
    }
}

#[test]
fn what_is_no_matrix_is_refused() {
    let error = |format, inputs, bytes: usize| Piece::new(format, inputs, &vec![0; bytes]).unwrap_err().to_string();
    assert_eq!(error(Format::Q4K, 32, 18), "Q4_K packs 256 numbers at a time, and a row has 32");
    assert_eq!(error(Format::Q8_0, 32, 35), "the matrix takes 68 bytes, and there are 35");
    let narrow = PackedMatrix::pack(Format::Q6K, 32, &[0.0; 32]).unwrap_err();
    assert_eq!(narrow.to_string(), "Q6_K packs 256 numbers at a time, and a row has 32");
    let pieces = vec![Piece::new(Format::F32, 3, &[0; 12]).unwrap()];
    assert_eq!(
        PackedMatrix::join(4, pieces).unwrap_err().to_string(),
        "the pieces of a matrix must have rows of the same length"
    );
}

proptest! {
    #[test]
    fn inputs_are_rounded_to_half_a_whole_number(given in prop::collection::vec(-100.0_f32..100.0, 256)) {
        for format in [Format::Q8_0, Format::Q4K] {
            let seen = seen(&given, format);
            for (given, seen) in given.chunks(format.block()).zip(seen.chunks(format.block())) {
                let largest = given.iter().fold(0.0_f64, |largest, number| largest.max(f64::from(number.abs())));
                for (given, seen) in given.iter().zip(seen) {
                    // The scale of a block is rounded to half precision.
                    prop_assert!((f64::from(*given) - seen).abs() <= (0.5 + 0.07) * largest / 127.0);
                }
            }
        }
    }
}
