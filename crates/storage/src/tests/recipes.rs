//! Tensors of another type, transposed, cut and joined on the way.

use std::collections::BTreeMap;

use burn::tensor::{DType, TensorData};

use crate::TensorSource;
use crate::formats::{Mapped, Part, Recipe, Step, TensorFile};

fn source() -> TensorFile {
    // 1.0, -2.5 and 0.15625 as bf16 and as f16.
    let halves = |bits: [u16; 3]| bits.into_iter().flat_map(u16::to_le_bytes).collect::<Vec<_>>();
    let tensors = [
        ("packed", TensorData::new((0..12).map(|n| n as f32).collect(), [6, 2])),
        ("wide", TensorData::new((0..6).map(|n| n as f32 * 10.0).collect(), [2, 3])),
        ("double", TensorData::new(vec![0.1_f64, 1.0 + f64::EPSILON], [2])),
        ("brain", TensorData::from_bytes_vec(halves([0x3F80, 0xC020, 0x3E20]), [3], DType::BF16)),
        ("half", TensorData::from_bytes_vec(halves([0x3C00, 0xC100, 0x3100]), [3], DType::F16)),
        ("count", TensorData::new(vec![7_i64], [1])),
    ];
    let tensors = tensors.map(|(name, data)| (name.to_owned(), data)).into();
    let metadata = [("format".to_owned(), "pt".to_owned())].into();
    TensorFile { tensors, metadata, ..TensorFile::default() }
}

fn made(recipe: Recipe) -> TensorData {
    let mut mapped = Mapped::new(source(), [("x".to_owned(), recipe)].into()).unwrap();
    let info = mapped.info("x").unwrap();
    let data = mapped.read("x").unwrap();
    assert_eq!((info.dtype, &info.shape[..]), (data.dtype(), &data.shape()[..]), "the header foretells the tensor");
    data
}

fn refused(recipe: Recipe) -> String {
    Mapped::new(source(), [("x".to_owned(), recipe)].into()).err().expect("it cannot be made").to_string()
}

#[test]
fn every_float_becomes_every_other_rounded_to_the_nearest() {
    let f32s = |name: &str| made(Recipe::of(name).with_type(DType::F32)).try_to_vec::<f32>().unwrap();
    assert_eq!(f32s("brain"), [1.0, -2.5, 0.15625]);
    assert_eq!(f32s("half"), [1.0, -2.5, 0.15625]);
    assert_eq!(f32s("double"), [0.1, 1.0]);
    assert_eq!(made(Recipe::of("brain").with_type(DType::F64)).try_to_vec::<f64>().unwrap(), [1.0, -2.5, 0.15625]);
    let same = made(Recipe::of("half").with_type(DType::BF16));
    assert_eq!(same.as_bytes(), source().tensors["brain"].as_bytes());
    assert!(refused(Recipe::of("count").with_type(DType::F32)).contains("I64 does not become F32"));
    let mut all = Mapped::converted(source(), DType::F32).unwrap();
    assert_eq!(all.metadata()["format"], "pt");
    let types: Vec<DType> = all.names().iter().map(|name| all.read(name).unwrap().dtype()).collect();
    assert_eq!(types, [DType::F32, DType::I64, DType::F32, DType::F32, DType::F32, DType::F32]);
}

#[test]
fn what_is_added_is_added_after_the_conversion() {
    // 0.15625 + 1 needs more digits than bf16 has; 0.1 in single precision plus 1 is rounded once.
    let sums = made(Recipe::of("brain").with_type(DType::F32).plus(1)).try_to_vec::<f32>().unwrap();
    assert_eq!(sums, [2.0, -1.5, 1.15625]);
    let sums = made(Recipe::of("double").with_type(DType::F32).plus(1)).try_to_vec::<f32>().unwrap();
    assert_eq!(sums, [0.1_f32 + 1.0, 2.0]);
    assert_eq!(made(Recipe::of("half").plus(3).plus(-3)), source().tensors["half"]);
    assert!(refused(Recipe::of("count").plus(1)).contains("I64 has no fractions"));
}

#[test]
fn a_packed_tensor_is_cut_and_transposed_and_joined_again() {
    let third = |index: usize| Step::Slice { axis: 0, range: 2 * index..2 * index + 2 };
    let middle = made(Recipe::of("packed").then(&third(1)).then(&Step::Transpose));
    assert_eq!(middle, TensorData::new(vec![4.0_f32, 6.0, 5.0, 7.0], [2, 2]));
    let part = |name: &str, steps: &[Step]| Part { name: name.to_owned(), steps: steps.to_vec() };
    let columns = [part("packed", &[third(0)]), part("wide", &[]), part("packed", &[third(2), Step::Transpose])];
    let joined = made(Recipe::joined(columns, 1));
    let expected = vec![0.0_f32, 1.0, 0.0, 10.0, 20.0, 8.0, 10.0, 2.0, 3.0, 30.0, 40.0, 50.0, 9.0, 11.0];
    assert_eq!(joined, TensorData::new(expected, [2, 7]));
    let rows = [part("packed", &[third(2)]), part("packed", &[Step::Slice { axis: 0, range: 0..4 }])];
    let rows = made(Recipe::joined(rows, 0).with_type(DType::F64));
    assert_eq!(rows.try_to_vec::<f64>().unwrap(), [8.0, 9.0, 10.0, 11.0, 0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0]);
    let column = made(Recipe::of("wide").then(&Step::Slice { axis: 1, range: 1..3 }));
    assert_eq!(column, TensorData::new(vec![10.0_f32, 20.0, 40.0, 50.0], [2, 2]));
    assert_eq!(made(Recipe::of("wide").then(&Step::Reshape(vec![6]))).shape()[..], [6]);
}

#[test]
fn what_cannot_be_made_is_refused_before_a_tensor_is_read() {
    let part = |name: &str| Part { name: name.to_owned(), steps: Vec::new() };
    let cases = [
        (Recipe::of("none"), "there is no `none`"),
        (Recipe::of("double").then(&Step::Transpose), "is not a matrix"),
        (Recipe::of("wide").then(&Step::Slice { axis: 1, range: 2..4 }), "has no indices 2..4 of axis 1"),
        (Recipe::of("wide").then(&Step::Slice { axis: 2, range: 0..1 }), "of axis 2"),
        (Recipe::of("wide").then(&Step::Reshape(vec![4])), "does not become [4]"),
        (Recipe::joined([part("packed"), part("wide")], 0), "cannot be joined"),
        (Recipe::joined([part("brain"), part("half")], 0), "cannot be joined"),
        (Recipe::joined([part("wide"), part("wide")], 2), "has no axis 2"),
        (Recipe::joined([], 0), "no parts"),
    ];
    for (recipe, words) in cases {
        let message = refused(recipe);
        assert!(message.contains("`x`") && message.contains(words), "{message:?} lacks {words:?}");
    }
    let mut empty = Mapped::new(source(), BTreeMap::new()).unwrap();
    assert!(empty.names().is_empty() && empty.read("wide").is_err());
}
