//! Tensors made of those of another source: under other names, of another type, transposed, cut, joined.

use std::collections::BTreeMap;
use std::ops::Range;

use burn::tensor::{DType, TensorData};
use kiln_packed::{Format, Piece};

use super::error::TensorFileError;
use super::rearrange;
use super::source::{TensorInfo, TensorSource};

/// One step on the way from a tensor of the source to a part of the one that is made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Exchanges the two axes of a matrix: `[out, in]`, as PyTorch has it, becomes `[in, out]`.
    Transpose,
    /// Takes these indices of an axis: one of several tensors that the source packs into one.
    Slice {
        /// The axis.
        axis: usize,
        /// The indices.
        range: Range<usize>,
    },
    /// Exchanges an axis and the next one.
    Swap(usize),
    /// Other axes with as many elements.
    Reshape(Vec<usize>),
}

/// A tensor of the source, and what is done to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// The name in the source.
    pub name: String,
    /// The steps, in order.
    pub steps: Vec<Step>,
}

/// How a tensor is made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recipe {
    /// What it consists of.
    pub parts: Vec<Part>,
    /// The axis along which the parts are joined.
    pub axis: usize,
    /// The type of its numbers; that of the source if `None`. Floats become other floats, rounded to the nearest.
    pub dtype: Option<DType>,
    /// What is added to each number of that type, for weights that a file keeps less one.
    pub increment: i32,
}

impl Recipe {
    /// The tensor `name` as it is.
    pub fn of(name: impl Into<String>) -> Self {
        Self::joined([Part { name: name.into(), steps: Vec::new() }], 0)
    }

    /// Several parts, one behind the other along `axis`.
    pub fn joined(parts: impl Into<Vec<Part>>, axis: usize) -> Self {
        Self { parts: parts.into(), axis, dtype: None, increment: 0 }
    }

    /// The same with another step for each part.
    #[must_use]
    pub fn then(mut self, step: &Step) -> Self {
        self.parts.iter_mut().for_each(|part| part.steps.push(step.clone()));
        self
    }

    /// The same with numbers of another type.
    #[must_use]
    pub fn with_type(mut self, dtype: DType) -> Self {
        self.dtype = Some(dtype);
        self
    }

    /// The same with `increment` added to each number, which must be a float.
    #[must_use]
    pub fn plus(mut self, increment: i32) -> Self {
        self.increment += increment;
        self
    }

    /// Type and shape of what is made.
    fn info(&self, source: &impl TensorSource) -> Result<TensorInfo, String> {
        let mut made: Option<TensorInfo> = None;
        for part in &self.parts {
            let info = part.info(source)?;
            let Some(whole) = &mut made else {
                if self.parts.len() > 1 && self.axis >= info.shape.len() {
                    return Err(format!("`{}` has no axis {}", part.name, self.axis));
                }
                made = Some(info);
                continue;
            };
            let fits = whole.dtype == info.dtype
                && whole.shape.len() == info.shape.len()
                && (0..whole.shape.len()).all(|axis| axis == self.axis || whole.shape[axis] == info.shape[axis]);
            if !fits {
                return Err(format!("`{}` is {info:?}, which cannot be joined to {whole:?}", part.name));
            }
            whole.shape[self.axis] += info.shape[self.axis];
        }
        let mut made = made.ok_or("it has no parts")?;
        if let Some(dtype) = self.dtype {
            if dtype != made.dtype && !(is_float(dtype) && is_float(made.dtype)) {
                return Err(format!("{:?} does not become {dtype:?}", made.dtype));
            }
            made.dtype = dtype;
        }
        if self.increment != 0 && !is_float(made.dtype) {
            return Err(format!("{:?} has no fractions, and something is added to it", made.dtype));
        }
        Ok(made)
    }
}

impl Part {
    fn info(&self, source: &impl TensorSource) -> Result<TensorInfo, String> {
        let mut info = source.info(&self.name).ok_or_else(|| format!("there is no `{}`", self.name))?;
        for step in &self.steps {
            info.shape = step.shape(&info.shape).map_err(|problem| format!("`{}` {problem}", self.name))?;
        }
        Ok(info)
    }

    fn read(&self, source: &mut impl TensorSource) -> Result<(Vec<u8>, Vec<usize>), TensorFileError> {
        let data = source.read(&self.name)?;
        let (mut shape, size) = (data.shape().to_vec(), data.dtype().size());
        let mut values = data.as_bytes().to_vec();
        for step in &self.steps {
            values = match step {
                Step::Transpose => rearrange::transpose(&values, [shape[0], shape[1]], size),
                Step::Slice { axis, range } => rearrange::slice(&values, &shape, *axis, range, size),
                Step::Swap(axis) => rearrange::swap(&values, &shape, *axis, size),
                Step::Reshape(_) => values,
            };
            shape = step.shape(&shape).map_err(TensorFileError::Header)?;
        }
        Ok((values, shape))
    }
}

/// Where the rows of a matrix come from.
struct RowOrder {
    /// The numbers of the source's rows, as bytes of `u32`.
    numbers: Vec<u8>,
    /// The axes that count them.
    axes: Vec<usize>,
    /// Whether they are columns of the matrix.
    is_transposed: bool,
}

impl Part {
    /// Which rows of the source the rows along `axis` are, those of the source being counted by its axis `own`; `None`
    /// where they aren't whole rows of it.
    fn row_order(&self, source: &impl TensorSource, own: usize, axis: usize) -> Option<Vec<u32>> {
        let shape: [usize; 2] = source.info(&self.name)?.shape[..].try_into().ok()?;
        let (rows, inputs) = (shape[own], shape[1 - own]);
        let numbers = (0..u32::try_from(rows).ok()?).flat_map(u32::to_ne_bytes).collect();
        let mut order = RowOrder { numbers, axes: vec![rows], is_transposed: own == 1 };
        for step in &self.steps {
            order = order.after(step, inputs)?;
        }
        let is_matrix = order.axes.len() == 1 && order.is_transposed == (axis == 1);
        is_matrix.then(|| order.numbers.as_chunks().0.iter().map(|number| u32::from_ne_bytes(*number)).collect())
    }

    /// The rows along `axis`, packed as the source has them.
    fn read_packed(&self, source: &mut impl TensorSource, axis: usize) -> Result<Vec<Piece>, TensorFileError> {
        for own in [0, 1] {
            let Some(order) = self.row_order(source, own, axis) else { continue };
            if let Some(pieces) = source.read_packed(&self.name, own)? {
                return Ok(in_order(&pieces, &order));
            }
        }
        Ok(Vec::new())
    }
}

/// Rows of several pieces in an order that goes through them: neighbours of one piece stay together.
fn in_order(pieces: &[Piece], mut order: &[u32]) -> Vec<Piece> {
    let ends = pieces.iter().scan(0, |end, piece| {
        *end += piece.rows();
        Some(*end)
    });
    let ends: Vec<usize> = ends.collect();
    let piece_of = |row: u32| ends.partition_point(|end| *end <= row as usize);
    let mut taken = Vec::new();
    while let Some(first) = order.first() {
        let index = piece_of(*first);
        let length = order.iter().take_while(|row| piece_of(**row) == index).count();
        let (own, rest) = order.split_at(length);
        let start = ends[index] - pieces[index].rows();
        let own: Vec<u32> = own.iter().map(|row| row - start as u32).collect();
        taken.push(pieces[index].rows_in_order(&own));
        order = rest;
    }
    taken
}

impl RowOrder {
    fn after(self, step: &Step, inputs: usize) -> Option<Self> {
        let Self { numbers, axes, is_transposed } = self;
        let size = size_of::<u32>();
        Some(match step {
            Step::Transpose => Self { numbers, is_transposed: !is_transposed && axes.len() == 1, axes },
            Step::Slice { axis, range } if !is_transposed && *axis < axes.len() => {
                let numbers = rearrange::slice(&numbers, &axes, *axis, range, size);
                let mut axes = axes;
                axes[*axis] = range.len();
                Self { numbers, axes, is_transposed }
            }
            // The rows are the columns of a matrix.
            Step::Slice { axis: 1, range } if is_transposed && axes.len() == 1 => {
                let numbers = rearrange::slice(&numbers, &axes, 0, range, size);
                Self { numbers, axes: vec![range.len()], is_transposed }
            }
            Step::Swap(axis) if !is_transposed && axis + 1 < axes.len() => {
                let numbers = rearrange::swap(&numbers, &axes, *axis, size);
                let mut axes = axes;
                axes.swap(*axis, axis + 1);
                Self { numbers, axes, is_transposed }
            }
            Step::Reshape(wanted) if !is_transposed && wanted.last() == Some(&inputs) => {
                Self { numbers, axes: wanted[..wanted.len() - 1].to_vec(), is_transposed }
            }
            _ => return None,
        })
    }
}

impl Step {
    /// What undoes all of `steps`, which must not cut anything off. A first step that reshapes says the shape that is
    /// made again.
    pub fn undone(steps: &[Self]) -> Vec<Self> {
        let (mut shape, mut undone) = (None, Vec::new());
        for step in steps {
            undone.extend(match step {
                Self::Reshape(_) => shape.clone().map(Self::Reshape),
                other => Some(other.clone()),
            });
            shape = match (step, shape) {
                (Self::Reshape(wanted), _) => Some(wanted.clone()),
                (_, shape) => shape.and_then(|shape| step.shape(&shape).ok()),
            };
        }
        undone.reverse();
        undone
    }

    /// The shape that it makes of `shape`.
    fn shape(&self, shape: &[usize]) -> Result<Vec<usize>, String> {
        match self {
            Self::Transpose => match shape {
                [rows, columns] => Ok(vec![*columns, *rows]),
                _ => Err(format!("of shape {shape:?} is not a matrix")),
            },
            Self::Slice { axis, range } => match shape.get(*axis) {
                Some(length) if range.start <= range.end && range.end <= *length => {
                    let mut shape = shape.to_vec();
                    shape[*axis] = range.len();
                    Ok(shape)
                }
                _ => Err(format!("of shape {shape:?} has no indices {range:?} of axis {axis}")),
            },
            Self::Swap(axis) => {
                if axis + 1 >= shape.len() {
                    return Err(format!("of shape {shape:?} has no axis behind {axis}"));
                }
                let mut shape = shape.to_vec();
                shape.swap(*axis, axis + 1);
                Ok(shape)
            }
            Self::Reshape(wanted) => {
                let count = |shape: &[usize]| shape.iter().try_fold(1_usize, |all, axis| all.checked_mul(*axis));
                if count(shape) == count(wanted) {
                    Ok(wanted.clone())
                } else {
                    Err(format!("of shape {shape:?} does not become {wanted:?}"))
                }
            }
        }
    }
}

fn is_float(dtype: DType) -> bool {
    matches!(dtype, DType::F64 | DType::F32 | DType::F16 | DType::BF16)
}

/// A source whose tensors are made of those of another one, each when it is read.
pub struct Mapped<S> {
    source: S,
    names: Vec<String>,
    recipes: BTreeMap<String, (Recipe, TensorInfo)>,
}

impl<S: TensorSource> Mapped<S> {
    /// Makes the tensors of `recipes`, by their names, out of `source`. Only its header is looked at.
    ///
    /// # Errors
    /// A part is missing, or parts do not fit their recipe.
    pub fn new(source: S, recipes: BTreeMap<String, Recipe>) -> Result<Self, TensorFileError> {
        let order: BTreeMap<String, usize> = source.names().into_iter().zip(0..).collect();
        let first = |recipe: &Recipe| recipe.parts.first().and_then(|part| order.get(&part.name)).copied();
        let mut names: Vec<String> = recipes.keys().cloned().collect();
        names.sort_by_key(|name| recipes.get(name).and_then(first));
        let mut described = BTreeMap::new();
        for (tensor, recipe) in recipes {
            match recipe.info(&source) {
                Ok(info) => _ = described.insert(tensor, (recipe, info)),
                Err(problem) => return Err(TensorFileError::Recipe { tensor, problem }),
            }
        }
        Ok(Self { source, names, recipes: described })
    }

    /// The same tensors under the same names, all floats of type `dtype`.
    ///
    /// # Errors
    /// As [`Mapped::new`].
    pub fn converted(source: S, dtype: DType) -> Result<Self, TensorFileError> {
        let recipe = |name: String| {
            let as_it_is = Recipe::of(&name);
            let float = source.info(&name).is_some_and(|info| is_float(info.dtype));
            (name, if float { as_it_is.with_type(dtype) } else { as_it_is })
        };
        let recipes = source.names().into_iter().map(recipe).collect();
        Self::new(source, recipes)
    }
}

impl<S: TensorSource> TensorSource for Mapped<S> {
    fn names(&self) -> Vec<String> {
        self.names.clone()
    }

    fn info(&self, name: &str) -> Option<TensorInfo> {
        self.recipes.get(name).map(|(_, info)| info.clone())
    }

    fn metadata(&self) -> &BTreeMap<String, String> {
        self.source.metadata()
    }

    fn read(&mut self, name: &str) -> Result<TensorData, TensorFileError> {
        let (recipe, info) = self.recipes.get(name).ok_or_else(|| TensorFileError::Missing(name.to_owned()))?;
        let wrong = |problem: String| TensorFileError::Recipe { tensor: name.to_owned(), problem };
        let first = recipe.parts.first().and_then(|part| self.source.info(&part.name));
        let dtype = first.map_or(info.dtype, |first| first.dtype);
        let (mut parts, mut lengths) = (Vec::new(), Vec::new());
        for part in &recipe.parts {
            let (values, shape) = part.read(&mut self.source)?;
            lengths.push(shape.get(recipe.axis).copied().unwrap_or(1));
            parts.push(values);
        }
        let values = if parts.len() == 1 {
            parts.swap_remove(0)
        } else {
            rearrange::join(&parts, &lengths, &info.shape, recipe.axis, dtype.size())
        };
        let data = TensorData::try_from_bytes_vec(values, info.shape.clone(), dtype)
            .map_err(|error| wrong(error.to_string()))?;
        let data = data.try_cast(info.dtype).map_err(|error| wrong(error.to_string()))?;
        if recipe.increment == 0 {
            return Ok(data);
        }
        // In double precision, whose sum rounds to the same number as one in a narrower type.
        let sums: Vec<f64> = data.iter::<f64>().map(|number| number + f64::from(recipe.increment)).collect();
        TensorData::new(sums, info.shape.clone()).try_cast(info.dtype).map_err(|error| wrong(error.to_string()))
    }

    fn read_packed(&mut self, name: &str, axis: usize) -> Result<Option<Vec<Piece>>, TensorFileError> {
        let (recipe, _) = self.recipes.get(name).ok_or_else(|| TensorFileError::Missing(name.to_owned()))?;
        if recipe.increment != 0 || (recipe.parts.len() > 1 && recipe.axis != axis) {
            return Ok(None);
        }
        let mut pieces = Vec::new();
        for part in &recipe.parts {
            let own = part.read_packed(&mut self.source, axis)?;
            if own.is_empty() {
                return Ok(None);
            }
            pieces.extend(own);
        }
        Ok((!pieces.is_empty()).then_some(pieces))
    }

    fn format(&self, name: &str) -> Option<Format> {
        let (recipe, _) = self.recipes.get(name)?;
        let mut formats = recipe.parts.iter().map(|part| self.source.format(&part.name));
        let first = formats.next()??;
        formats.all(|format| format == Some(first)).then_some(first)
    }
}
