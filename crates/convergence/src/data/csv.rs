//! Samples in a CSV file.

use std::path::{Path, PathBuf};

use csv::{ReaderBuilder, StringRecord};
use kiln_settings::Violation;
use kiln_settings::files::{Content, Links, read_regular};
use nalgebra::{DMatrix, DVector};
use serde::{Deserialize, Serialize};

use super::{Samples, Targets};
use crate::LabError;
use crate::range::DATA;

/// `csv`: a file of numbers with a line of names first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct CsvConfig {
    /// The file, looked for beside the experiment first, then in the folder where `kiln` is started.
    pub path: String,
    /// The column of the target; all others are features. Default: the last column.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
    /// Whether features, and targets that are numbers, are brought to mean 0 and variance 1. Default `true`.
    #[serde(default = "yes")]
    pub standardise: bool,
}

fn yes() -> bool {
    true
}

/// A file with more samples was named by mistake.
const MOST_SAMPLES: usize = 1_000_000;

/// A kilobyte a sample.
const LONGEST_FILE: u64 = 1 << 30;

impl CsvConfig {
    pub(super) fn validate(&self) -> Vec<Violation> {
        let empty = self.path.is_empty().then(|| Violation::new("path", "is empty").with_help("name a CSV file"));
        empty.into_iter().collect()
    }

    pub(super) fn samples(&self, targets: Targets) -> Result<Samples, LabError> {
        let table = Table::read(Path::new(&self.path))?;
        let target = table.column(self.target.as_deref())?;
        let d = table.names.len() - 1;
        let columns: Vec<usize> = (0..=d).filter(|column| *column != target).collect();
        let mut features = DMatrix::from_fn(table.rows.len(), d, |row, feature| table.rows[row].1[columns[feature]]);
        let mut values = DVector::from_iterator(table.rows.len(), table.rows.iter().map(|(_, row)| row[target]));
        if targets == Targets::Classes {
            table.to_classes(&mut values, target)?;
        }
        if !self.standardise {
            table.carried("features", &columns)?;
            if targets == Targets::Numbers {
                table.carried("targets", &[target])?;
            }
        }
        if self.standardise {
            for (feature, column) in columns.iter().enumerate() {
                table.standardise(features.column_mut(feature).as_mut_slice(), *column)?;
            }
            if targets == Targets::Numbers {
                table.standardise(values.as_mut_slice(), target)?;
            }
        }
        Ok(Samples { features, targets: values })
    }
}

/// The numbers of a file, each row with the byte that it begins at.
struct Table {
    path: PathBuf,
    bytes: Vec<u8>,
    names: StringRecord,
    rows: Vec<(u64, Vec<f64>)>,
}

impl Table {
    fn read(path: &Path) -> Result<Self, LabError> {
        let failed = |source| LabError::Io { path: path.to_path_buf(), source };
        let bytes = match read_regular(path, Links::Followed, LONGEST_FILE).map_err(failed)? {
            Content::Bytes(bytes) => bytes,
            Content::NotRegular => return Err(failed(std::io::Error::other("it is not a regular file"))),
            Content::TooLong => {
                return Err(failed(std::io::Error::other(format!("it has more than {LONGEST_FILE} bytes"))));
            }
        };
        let mut table = Self { path: path.to_path_buf(), bytes, names: StringRecord::new(), rows: Vec::new() };
        let mut reader = ReaderBuilder::new().trim(csv::Trim::All).from_reader(&table.bytes[..]);
        let names = reader.headers().map_err(|error| table.unreadable(&error))?.clone();
        if let Some(message) = wrong_names(&names) {
            return Err(table.wrong(0, message));
        }
        let mut rows = Vec::new();
        for record in reader.records() {
            let record = record.map_err(|error| table.unreadable(&error))?;
            let start = record.position().map_or(0, csv::Position::byte);
            let number = |(column, field)| {
                let number = parsed(field);
                number.ok_or_else(|| table.wrong(start, wrong_field(field, &names, column)))
            };
            rows.push((start, record.iter().enumerate().map(number).collect::<Result<_, _>>()?));
            if rows.len() > MOST_SAMPLES {
                return Err(table.wrong(start, format!("has more than {MOST_SAMPLES} samples")));
            }
        }
        if rows.len() < 2 {
            return Err(table.wrong(0, format!("needs 2 samples at least, has {}", rows.len())));
        }
        (table.names, table.rows) = (names, rows);
        Ok(table)
    }

    fn column(&self, name: Option<&str>) -> Result<usize, LabError> {
        let Some(name) = name else { return Ok(self.names.len() - 1) };
        self.names.iter().position(|column| column == name).ok_or_else(|| {
            let names = self.names.iter().collect::<Vec<_>>().join("`, `");
            self.wrong(0, format!("has no column `{name}`, only `{names}`"))
        })
    }

    /// Two different values become -1, the smaller one, and 1.
    fn to_classes(&self, values: &mut DVector<f64>, column: usize) -> Result<(), LabError> {
        let (low, high) = (values.min(), values.max());
        let name = self.names.get(column).unwrap_or_default();
        if low == high {
            return Err(self.wrong(0, format!("the target `{name}` is always {low}; two classes are needed")));
        }
        if let Some(row) = values.iter().position(|value| *value != low && *value != high) {
            let message = format!("the target `{name}` has a third value, {}, beside {low} and {high}", values[row]);
            return Err(self.wrong(self.rows[row].0, message));
        }
        values.apply(|value| *value = if *value == high { 1.0 } else { -1.0 });
        Ok(())
    }

    /// Mean 0, variance 1.
    fn standardise(&self, values: &mut [f64], column: usize) -> Result<(), LabError> {
        let n = values.len() as f64;
        // Squares of very small numbers would be 0.
        let largest = values.iter().map(|value| value.abs()).fold(0.0, f64::max);
        if largest > 0.0 && !DATA.contains(&largest) {
            values.iter_mut().for_each(|value| *value /= largest);
        }
        let mean = values.iter().sum::<f64>() / n;
        let deviation = (values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / n).sqrt();
        let name = self.names.get(column).unwrap_or_default();
        if values.iter().all(|value| *value == values[0]) {
            let value = values[0];
            let message = format!("column `{name}` is always {value}; leave it out, or set `standardise = false`");
            return Err(self.wrong(0, message));
        }
        if deviation <= 1e-12 * mean.abs() {
            let message = format!(
                "column `{name}` varies by {deviation:.0e} about {mean:.0e}, which double precision hardly tells \
                 apart; subtract a constant from it, leave it out, or set `standardise = false`"
            );
            return Err(self.wrong(0, message));
        }
        values.iter_mut().for_each(|value| *value = (*value - mean) / deviation);
        Ok(())
    }

    /// Whether numbers that are taken as they are can be computed with: each up to the largest that is allowed, and not
    /// all below the smallest.
    fn carried(&self, what: &str, columns: &[usize]) -> Result<(), LabError> {
        let (least, most) = DATA.into_inner();
        let mut largest = 0.0_f64;
        for (start, row) in &self.rows {
            for (column, size) in columns.iter().map(|column| (column, row[*column].abs())) {
                if size > most {
                    let name = self.names.get(*column).unwrap_or_default();
                    let value = row[*column];
                    let message = format!(
                        "{value:e} in column `{name}` is too large to compute with: {most:e} is the most without \
                         `standardise = true`"
                    );
                    return Err(self.wrong(*start, message));
                }
                largest = largest.max(size);
            }
        }
        if largest > 0.0 && largest < least {
            let message = format!(
                "the {what} are {largest:e} at most, too small to compute with: the largest has to be {least:e} or \
                 more without `standardise = true`"
            );
            return Err(self.wrong(0, message));
        }
        Ok(())
    }

    /// A mistake in the record that begins at the byte `start`.
    fn wrong(&self, start: u64, message: String) -> LabError {
        LabError::Data { path: self.path.clone(), line: self.line(start), message }
    }

    /// The line, from 1, of the first record at or after a byte: the reader passes over empty lines before it.
    fn line(&self, start: u64) -> u64 {
        let start = usize::try_from(start).unwrap_or(usize::MAX).min(self.bytes.len());
        let blank = self.bytes[start..].iter().take_while(|byte| matches!(byte, b'\n' | b'\r')).count();
        let before = if start + blank < self.bytes.len() { start + blank } else { start };
        1 + self.bytes[..before].iter().filter(|byte| **byte == b'\n').count() as u64
    }

    /// What the reader says of a record.
    fn unreadable(&self, error: &csv::Error) -> LabError {
        let start = error.position().map_or(0, csv::Position::byte);
        self.wrong(
            start,
            match error.kind() {
                csv::ErrorKind::UnequalLengths { expected_len, len, .. } => {
                    format!("has {len} columns, the lines before have {expected_len}")
                }
                csv::ErrorKind::Utf8 { .. } => "is not UTF-8 text".into(),
                other => format!("cannot be read: {other:?}"),
            },
        )
    }
}

/// A number whose square, summed over all samples, is still one.
fn parsed(field: &str) -> Option<f64> {
    field.parse::<f64>().ok().filter(|number| number.abs() <= 1e100)
}

/// What is wrong with a field.
fn wrong_field(field: &str, names: &StringRecord, column: usize) -> String {
    let (name, number) = (names.get(column).unwrap_or_default(), column + 1);
    let place = if name.is_empty() { format!("column {number}") } else { format!("column `{name}`") };
    match field.lines().next() {
        Some(field) => format!("`{field}` in {place} is no number, or one too large to compute with"),
        None if name.is_empty() => format!(
            "column {number} has neither a name nor a number; if lines end with a comma, leave it out of all of them"
        ),
        None => format!("{place} is empty; write a number, or leave out the line or the column"),
    }
}

/// What is wrong with the line of names.
fn wrong_names(names: &StringRecord) -> Option<String> {
    if names.is_empty() {
        return Some("is empty".into());
    }
    if names.len() < 2 {
        let line = names.get(0).unwrap_or_default();
        return Some(format!(
            "needs a column for the target and one for a feature at least, separated by commas; the line reads `{line}`"
        ));
    }
    if names.iter().all(|name| parsed(name).is_some()) {
        return Some("holds numbers; the first line must name the columns".into());
    }
    let twice = names.iter().enumerate().find(|(index, name)| names.iter().take(*index).any(|other| other == *name));
    twice.map(|(_, name)| format!("names two columns `{name}`"))
}
