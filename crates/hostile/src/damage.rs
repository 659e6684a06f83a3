//! What is done to a valid file.

use std::ops::Range;

use crate::numbers::Numbers;

/// What kind of file is damaged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// Numbers in binary, with or without text between them.
    Bytes,
    /// JSON, TOML: most mutants stay UTF-8, so that more than the first check is reached.
    Text,
}

/// What numbers in a text become.
const NUMBERS: [&str; 22] = [
    "0",
    "1",
    "-1",
    "2",
    "0.5",
    "-0.0",
    "1e308",
    "1e999",
    "-1e999",
    "1e-400",
    "nan",
    "inf",
    "null",
    "255",
    "65536",
    "2147483648",
    "4294967295",
    "9223372036854775807",
    "9223372036854775808",
    "18446744073709551615",
    "18446744073709551616",
    "340282366920938463463374607431768211456",
];

/// What is put between other characters.
const STRANGE: [&[u8]; 14] = [
    b"\0",
    b"\xFF",
    b"\xC3",
    b"\xED\xA0\x80",
    b"\xEF\xBB\xBF",
    b"\r\n",
    b"\n",
    b"\"",
    b"\\ud800",
    b"\\u0000",
    b"\xE2\x80\xA8",
    b"\xF0\x9F\xA6\x8A",
    b"{}",
    b"[[",
];

/// What opens a level.
const LEVELS: [&str; 5] = ["[", "{\"a\":", "{\"type\":\"Sequence\",\"normalizers\":[", "a.", "{ a = "];

/// The mutant of this number: one of the `valid` files with one to three kinds of damage.
pub fn mutant(valid: &[Vec<u8>], form: Form, number: u64) -> Vec<u8> {
    let mut numbers = Numbers::new(number);
    let mut bytes = numbers.one(valid).cloned().unwrap_or_default();
    for _ in 0..=numbers.below(3) {
        damage(&mut bytes, valid, form, &mut numbers);
    }
    bytes
}

fn damage(bytes: &mut Vec<u8>, valid: &[Vec<u8>], form: Form, numbers: &mut Numbers) {
    match numbers.below(14) {
        0 => flip_bits(bytes, form, numbers),
        1 => bytes.truncate(numbers.below(bytes.len() + 1)),
        2 => splice(bytes, valid, numbers),
        3 => repeat_range(bytes, numbers),
        4 => {
            bytes.drain(range(bytes.len(), 64, numbers));
        }
        5 | 6 if form == Form::Bytes => edit_length(bytes, numbers),
        5..=8 => edit_number(bytes, numbers),
        9 => nest(bytes, numbers),
        10 => repeat_line(bytes, numbers),
        11 => rename(bytes, numbers),
        12 => insert_strange(bytes, numbers),
        _ => set_byte(bytes, form, numbers),
    }
}

fn flip_bits(bytes: &mut [u8], form: Form, numbers: &mut Numbers) {
    for _ in 0..=numbers.below(8) {
        let place = numbers.below(bytes.len());
        // The highest bit makes a text none.
        let stays_text = form == Form::Text && numbers.below(8) > 0;
        let bit = numbers.below(if stays_text { 7 } else { 8 });
        if let Some(byte) = bytes.get_mut(place) {
            *byte ^= 1 << bit;
        }
    }
}

fn set_byte(bytes: &mut [u8], form: Form, numbers: &mut Numbers) {
    let value = numbers.next() as u8;
    let place = numbers.below(bytes.len());
    if let Some(byte) = bytes.get_mut(place) {
        *byte = if form == Form::Text { b' ' + value % 95 } else { value };
    }
}

/// The beginning of this file and the end of another.
fn splice(bytes: &mut Vec<u8>, valid: &[Vec<u8>], numbers: &mut Numbers) {
    let Some(other) = numbers.one(valid) else { return };
    bytes.truncate(numbers.below(bytes.len() + 1));
    bytes.extend_from_slice(&other[numbers.below(other.len() + 1)..]);
}

fn repeat_range(bytes: &mut Vec<u8>, numbers: &mut Numbers) {
    let repeated = bytes[range(bytes.len(), 256, numbers)].to_vec();
    let place = numbers.below(bytes.len() + 1);
    bytes.splice(place..place, repeated);
}

/// A little-endian integer, mostly near the start, where formats keep their lengths, becomes another one.
fn edit_length(bytes: &mut [u8], numbers: &mut Numbers) {
    let width = 1 << numbers.below(4);
    let within = if numbers.below(2) == 0 { bytes.len().min(64) } else { bytes.len() };
    let place = numbers.below(within) / width * width;
    let Some(field) = bytes.get_mut(place..place + width) else { return };
    let mut old = [0; 8];
    old[..width].copy_from_slice(field);
    let old = u64::from_le_bytes(old);
    let choices = [0, 1, u64::MAX, u64::MAX >> 1, old.wrapping_add(1), old.wrapping_sub(1), old << 1, 1 << 32];
    let new = numbers.one(&choices).copied().unwrap_or_default();
    field.copy_from_slice(&new.to_le_bytes()[..width]);
}

/// A number in the text becomes another one.
fn edit_number(bytes: &mut Vec<u8>, numbers: &mut Numbers) {
    let is_part = |byte: &u8| byte.is_ascii_digit() || b".-+".contains(byte);
    let start = numbers.below(bytes.len());
    let Some(start) = (start..bytes.len()).find(|place| bytes[*place].is_ascii_digit()) else { return };
    let end = start + bytes[start..].iter().take_while(|byte| is_part(byte)).count();
    let new = numbers.one(&NUMBERS).copied().unwrap_or_default();
    bytes.splice(start..end, new.bytes());
}

/// Many levels, never closed.
fn nest(bytes: &mut Vec<u8>, numbers: &mut Numbers) {
    let level = numbers.one(&LEVELS).copied().unwrap_or_default();
    let depth = *numbers.one(&[2, 60, 127, 129, 2000]).unwrap_or(&2);
    let place = numbers.below(bytes.len() + 1);
    bytes.splice(place..place, level.repeat(depth).into_bytes());
}

/// A line, and with it its keys, twice.
fn repeat_line(bytes: &mut Vec<u8>, numbers: &mut Numbers) {
    let place = numbers.below(bytes.len());
    let start = bytes[..place].iter().rposition(|byte| *byte == b'\n').map_or(0, |newline| newline + 1);
    let end = bytes[place..].iter().position(|byte| *byte == b'\n').map_or(bytes.len(), |length| place + length + 1);
    let line = bytes[start..end].to_vec();
    bytes.splice(start..start, line);
}

/// A text in quotes becomes another one of the same file: two keys are the same, or a key is an unknown one.
fn rename(bytes: &mut Vec<u8>, numbers: &mut Numbers) {
    let Some(to) = quoted(bytes, numbers).map(|range| bytes[range].to_vec()) else { return };
    let Some(from) = quoted(bytes, numbers) else { return };
    bytes.splice(from, to);
}

fn quoted(bytes: &[u8], numbers: &mut Numbers) -> Option<Range<usize>> {
    let quote = |from: usize| bytes.get(from..)?.iter().position(|byte| *byte == b'"').map(|length| from + length);
    let start = quote(numbers.below(bytes.len()))?;
    Some(start..quote(start + 1)? + 1)
}

fn insert_strange(bytes: &mut Vec<u8>, numbers: &mut Numbers) {
    let place = numbers.below(bytes.len() + 1);
    let strange = numbers.one(&STRANGE).copied().unwrap_or_default();
    bytes.splice(place..place, strange.iter().copied());
}

/// A range of up to `longest` within `length`.
fn range(length: usize, longest: usize, numbers: &mut Numbers) -> Range<usize> {
    let start = numbers.below(length + 1);
    start..(start + numbers.below(longest + 1)).min(length)
}
