//! The state that a rule keeps of one parameter.

use std::collections::BTreeMap;

use burn::tensor::{Device, Tensor, TensorData};
use kiln_kernels::{EIGHT_BIT_BLOCK, EightBits, GradientScale, Levels};
use kiln_parameters::HostCopy;

use super::Rate;
use super::error::OptimizerStateError;

/// The state of one parameter: named vectors of the parameter's length, and named numbers.
///
/// A number lies on the host in double precision. With one rate for each element it is a vector like the others.
#[derive(Debug, Clone, Default)]
pub struct Slots {
    vectors: BTreeMap<&'static str, Tensor<1>>,
    /// Vectors that are on the host, in 8 bits a number.
    packed: BTreeMap<&'static str, EightBits>,
    numbers: BTreeMap<&'static str, f64>,
}

/// Which slots a rule gives a parameter with its first update.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SlotNames {
    /// The vectors.
    pub vectors: &'static [&'static str],
    /// The numbers.
    pub numbers: &'static [&'static str],
    /// Those of the vectors that have no number below zero.
    pub never_negative: &'static [&'static str],
}

impl SlotNames {
    /// No state.
    pub const NONE: Self = Self::vectors(&[]);

    /// Vectors alone.
    pub const fn vectors(vectors: &'static [&'static str]) -> Self {
        Self { vectors, numbers: &[], never_negative: &[] }
    }

    /// The same, with those of the vectors that have no number below zero.
    pub const fn with_never_negative(self, never_negative: &'static [&'static str]) -> Self {
        Self { never_negative, ..self }
    }

    fn levels(&self, name: &str) -> Levels {
        if self.never_negative.contains(&name) { Levels::NonNegative } else { Levels::Signed }
    }

    /// All of them.
    pub(super) fn all(&self) -> impl Iterator<Item = &'static str> {
        self.vectors.iter().chain(self.numbers).copied()
    }
}

impl Slots {
    /// The vector of this name.
    pub fn vector(&self, name: &str) -> Option<&Tensor<1>> {
        self.vectors.get(name)
    }

    /// Takes the vector of this name out.
    pub fn take(&mut self, name: &str) -> Option<Tensor<1>> {
        self.vectors.remove(name)
    }

    /// Puts a vector in.
    pub fn put(&mut self, name: &'static str, vector: Tensor<1>) {
        self.vectors.insert(name, vector);
    }

    /// Takes out what [`Slots::put_rate`] put in.
    pub fn take_rate(&mut self, name: &str) -> Option<Rate> {
        self.numbers.remove(name).map(Rate::Same).or_else(|| self.vectors.remove(name).map(Rate::Each))
    }

    /// Puts a rate in, or what was made of rates: a number, or a vector where there is one for each element.
    pub fn put_rate(&mut self, name: &'static str, rate: Rate) {
        match rate {
            Rate::Same(number) => {
                self.numbers.insert(name, number);
            }
            Rate::Each(vector) => {
                self.vectors.insert(name, vector);
            }
        }
    }

    /// Rounds the vectors to 8 bits a number, on the host.
    pub(super) fn pack(&mut self, names: SlotNames) {
        for (name, vector) in std::mem::take(&mut self.vectors) {
            let data = vector.into_data().convert::<f32>();
            let values = data.as_slice::<f32>().unwrap_or_default();
            self.packed.insert(name, EightBits::pack(values, names.levels(name)));
        }
    }

    /// Vectors again of what [`Slots::pack`] made.
    pub(super) fn unpack(&mut self, names: SlotNames, device: &Device) {
        for (name, packed) in std::mem::take(&mut self.packed) {
            let values = packed.unpack(names.levels(name));
            let shape = [values.len()];
            self.vectors.insert(name, Tensor::from_data(TensorData::new(values, shape), device));
        }
    }

    /// Leaves each vector that was there before as it was, if `scale` says so on the device.
    pub(super) fn choose(&mut self, scale: &GradientScale, before: &Self) {
        for (name, old) in &before.vectors {
            if let Some(new) = self.vectors.remove(name) {
                self.vectors.insert(name, scale.chosen(new, old.clone()));
            }
        }
    }

    /// The numbers.
    pub(super) fn numbers(&self) -> &BTreeMap<&'static str, f64> {
        &self.numbers
    }

    /// Puts back what [`Slots::numbers`] gave.
    pub(super) fn set_numbers(&mut self, numbers: BTreeMap<&'static str, f64>) {
        self.numbers = numbers;
    }

    /// Adds every slot of the parameter `path` to a copy: vectors as they are, in 8 bits with their scales beside them,
    /// numbers as one 64-bit float each.
    pub(super) fn copy<G: Copy + Ord>(&self, path: &str, group: G, copy: &mut HostCopy<G>) {
        for (name, vector) in &self.vectors {
            copy.add(group, format!("{path}/{name}"), vector.clone());
        }
        for (name, packed) in &self.packed {
            let [codes, scales] = [packed.codes().len(), packed.scales().len()].map(|length| [length]);
            copy.add_data(group, format!("{path}/{name}"), TensorData::new(packed.codes().to_vec(), codes));
            copy.add_data(group, scales_of(path, name), TensorData::new(packed.scales().to_vec(), scales));
        }
        for (name, number) in &self.numbers {
            copy.add_data(group, format!("{path}/{name}"), TensorData::new(vec![*number], [1]));
        }
    }

    /// The slots `names` of the parameter `path`, which has `length` elements, taken out of a saved state, `is_packed`
    /// where vectors are in 8 bits a number.
    pub(super) fn from_data(
        names: SlotNames,
        is_packed: bool,
        path: &str,
        length: usize,
        state: &mut BTreeMap<String, TensorData>,
        device: &Device,
    ) -> Result<Self, OptimizerStateError> {
        let mut slots = Self::default();
        for name in names.vectors {
            if is_packed {
                let codes = taken::<u8>(state, format!("{path}/{name}"), length, 8)?;
                let scales = taken::<f32>(state, scales_of(path, name), length.div_ceil(EIGHT_BIT_BLOCK), 32)?;
                let packed = EightBits::from_parts(codes, scales);
                slots.packed.insert(name, packed.ok_or_else(|| OptimizerStateError::Scales(scales_of(path, name)))?);
                continue;
            }
            let values = taken::<f32>(state, format!("{path}/{name}"), length, 32)?;
            slots.put(name, Tensor::from_data(TensorData::new(values, [length]), device));
        }
        for name in names.numbers {
            let values = taken::<f64>(state, format!("{path}/{name}"), 1, 64)?;
            slots.numbers.insert(name, values[0]);
        }
        Ok(slots)
    }
}

fn scales_of(path: &str, name: &str) -> String {
    format!("{path}/{name}.scales")
}

/// The numbers of one saved slot, which must be as many as `expected`.
fn taken<E: burn::tensor::Element>(
    state: &mut BTreeMap<String, TensorData>,
    name: String,
    expected: usize,
    bits: u32,
) -> Result<Vec<E>, OptimizerStateError> {
    let data = state.remove(&name).ok_or_else(|| OptimizerStateError::Missing(name.clone()))?;
    let values =
        data.try_to_vec::<E>().map_err(|_| OptimizerStateError::NumberType { name: name.clone(), expected: bits })?;
    if values.len() != expected {
        return Err(OptimizerStateError::Length { name, found: values.len(), expected });
    }
    Ok(values)
}
