//! The parameters of a recurrent model of Kiln, made of matrices in another order.

use std::collections::BTreeMap;

use burn::tensor::{DType, TensorData};
use kiln_storage::TensorFileError;
use kiln_storage::formats::TensorSource;

use super::ImportError;
use super::names::{MatrixLayout, RecurrentFamily, RecurrentNames};
use crate::{GruConfig, LstmConfig, ModelConfig, RnnConfig};

/// Numbers in rows.
struct Matrix {
    rows: usize,
    columns: usize,
    numbers: Vec<f32>,
}

/// The model's configuration, its rows of tokens, and its parameters by name.
pub(super) fn parameters(
    source: &mut dyn TensorSource,
    names: &RecurrentNames,
) -> Result<(ModelConfig, usize, BTreeMap<String, TensorData>), ImportError> {
    let order = names.order()?;
    let embedding = matrix(source, "embedding", &names.embedding)?;
    let mut parameters = BTreeMap::new();
    let (mut layers, mut hidden) = (0, 0);
    while layers == 0 || source.info(&of_layer(&names.input_weight, layers)).is_some() {
        let inputs = if layers == 0 { embedding.columns } else { hidden };
        let layer = Layer { source: &mut *source, names, order: &order, number: layers };
        let made;
        (hidden, made) = layer.read(inputs)?;
        parameters.extend(made.into_iter().map(|(name, data)| (format!("layers.{layers}.{name}"), data)));
        layers += 1;
        // One name for all layers is that of a single one.
        if !names.input_weight.contains("{layer}") {
            break;
        }
    }
    let rows = embedding.rows;
    if let Some(name) = &names.output_weight {
        let weight = matrix(source, "output-weight", name)?;
        let weight = weight.oriented(names.matrices, name, [hidden, rows])?;
        parameters.insert("output.weight".to_owned(), weight.data());
    }
    let bias = match &names.output_bias {
        Some(name) => vector(source, "output-bias", name, rows)?,
        None => vec![0.0; rows],
    };
    parameters.insert("output.bias".to_owned(), TensorData::new(bias, [rows]));
    let (width, tied) = (embedding.columns, names.output_weight.is_none());
    parameters.insert("embedding.weight".to_owned(), embedding.data());
    let embedding = Some(width);
    let config = match names.family {
        RecurrentFamily::Rnn => ModelConfig::Rnn(RnnConfig { layers, hidden, embedding, tied, ..RnnConfig::default() }),
        RecurrentFamily::Lstm => {
            ModelConfig::Lstm(LstmConfig { layers, hidden, embedding, tied, ..LstmConfig::default() })
        }
        RecurrentFamily::Gru => ModelConfig::Gru(GruConfig { layers, hidden, embedding, tied, ..GruConfig::default() }),
    };
    Ok((config, rows, parameters))
}

fn of_layer(name: &str, layer: usize) -> String {
    name.replace("{layer}", &layer.to_string())
}

/// Parameters of a layer by name.
type Parameters = Vec<(&'static str, TensorData)>;

/// One layer being read.
struct Layer<'a> {
    source: &'a mut dyn TensorSource,
    names: &'a RecurrentNames,
    order: &'a [usize],
    number: usize,
}

impl Layer<'_> {
    /// Its width, and its parameters.
    fn read(self, inputs: usize) -> Result<(usize, Parameters), ImportError> {
        let Self { source, names, order, number } = self;
        let name = |name: &str| of_layer(name, number);
        let gates = order.len();
        let (input_name, hidden_name) = (name(&names.input_weight), name(&names.hidden_weight));
        let input = matrix(source, "input-weight", &input_name)?;
        let columns = if names.matrices == MatrixLayout::OutIn { input.rows } else { input.columns };
        let width = columns / gates;
        let input = input.oriented(names.matrices, &input_name, [inputs, gates * width])?;
        let hidden = matrix(source, "hidden-weight", &hidden_name)?;
        let hidden = hidden.oriented(names.matrices, &hidden_name, [width, gates * width])?;
        let mut bias = |key: &'static str, given: &Option<String>| -> Result<Vec<f32>, ImportError> {
            match given {
                Some(given) => vector(source, key, &name(given), gates * width),
                None => Ok(vec![0.0; gates * width]),
            }
        };
        let input_bias = blocks(&bias("input-bias", &names.input_bias)?, order, width);
        let hidden_bias = blocks(&bias("hidden-bias", &names.hidden_bias)?, order, width);
        // Of a GRU the candidate's second bias is behind the reset gate.
        let added = if names.family == RecurrentFamily::Gru { 2 * width } else { gates * width };
        let sum = |(place, (left, right)): (usize, (&f32, &f32))| if place < added { left + right } else { *left };
        let bias: Vec<f32> = input_bias.iter().zip(&hidden_bias).enumerate().map(sum).collect();
        let mut made = vec![
            ("input_weight", input.in_order(order, width).data()),
            ("hidden_weight", hidden.in_order(order, width).data()),
            ("bias", TensorData::new(bias, [gates * width])),
        ];
        if names.family == RecurrentFamily::Gru {
            made.push(("hidden_bias", TensorData::new(hidden_bias[added..].to_vec(), [width])));
        }
        Ok((width, made))
    }
}

/// The blocks of `width` numbers in this order.
fn blocks(numbers: &[f32], order: &[usize], width: usize) -> Vec<f32> {
    order.iter().flat_map(|block| &numbers[block * width..(block + 1) * width]).copied().collect()
}

impl Matrix {
    /// The matrix as `[in, out]`, if these are its sizes.
    fn oriented(self, layout: MatrixLayout, name: &str, expected: [usize; 2]) -> Result<Self, ImportError> {
        let Self { rows, columns, numbers } = self;
        let (found, turned) = match layout {
            MatrixLayout::InOut => ([rows, columns], Self { rows, columns, numbers }),
            MatrixLayout::OutIn => {
                let turned = (0..columns).flat_map(|column| (0..rows).map(move |row| (row, column)));
                let numbers = turned.map(|(row, column)| numbers[row * columns + column]).collect();
                ([columns, rows], Self { rows: columns, columns: rows, numbers })
            }
        };
        if found == expected && expected.iter().all(|size| *size > 0) {
            return Ok(turned);
        }
        let [inner, outer] = expected;
        let words = format!("one of {inner} inputs and {outer} outputs (`matrices` says which axis is which)");
        Err(ImportError::Shape { tensor: name.to_owned(), found: vec![rows, columns], expected: words })
    }

    /// The blocks of columns in this order.
    fn in_order(self, order: &[usize], width: usize) -> Self {
        let rows = self.numbers.chunks_exact(self.columns);
        let numbers = rows.flat_map(|row| blocks(row, order, width)).collect();
        Self { numbers, ..self }
    }

    fn data(self) -> TensorData {
        TensorData::new(self.numbers, [self.rows, self.columns])
    }
}

fn matrix(source: &mut dyn TensorSource, key: &'static str, name: &str) -> Result<Matrix, ImportError> {
    let (shape, numbers) = tensor(source, key, name)?;
    match shape[..] {
        [rows, columns] => Ok(Matrix { rows, columns, numbers }),
        _ => Err(ImportError::Shape { tensor: name.to_owned(), found: shape, expected: "a matrix".to_owned() }),
    }
}

fn vector(
    source: &mut dyn TensorSource,
    key: &'static str,
    name: &str,
    length: usize,
) -> Result<Vec<f32>, ImportError> {
    let (shape, numbers) = tensor(source, key, name)?;
    if shape == [length] {
        Ok(numbers)
    } else {
        Err(ImportError::Shape { tensor: name.to_owned(), found: shape, expected: format!("[{length}]") })
    }
}

fn tensor(source: &mut dyn TensorSource, key: &'static str, name: &str) -> Result<(Vec<usize>, Vec<f32>), ImportError> {
    if source.info(name).is_none() {
        const SHOWN: usize = 12;
        let mut there: Vec<String> = source.names().into_iter().take(SHOWN).map(|name| format!("`{name}`")).collect();
        if source.names().len() > SHOWN {
            there.push("others".to_owned());
        }
        return Err(ImportError::Missing { key, tensor: name.to_owned(), there: there.join(", ") });
    }
    let data = source.read(name)?;
    let shape = data.shape().to_vec();
    let single = data.try_cast(DType::F32).map_err(|error| TensorFileError::Header(error.to_string()))?;
    let numbers = single.try_into_vec_as::<f32>().map_err(|error| TensorFileError::Header(format!("{error:?}")))?;
    Ok((shape, numbers))
}
