//! CSV files, right and wrong.

use std::fs;

use super::support::{problem, try_run};
use crate::data::{CsvConfig, DataConfig, Targets};
use crate::{Convexity, LabError};

/// The samples of a file of this text, or the message with the file's name cut off.
fn samples(text: impl AsRef<[u8]>, target: Option<&str>, targets: Targets) -> Result<(Vec<f64>, Vec<f64>), String> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("data.csv");
    fs::write(&path, text).unwrap();
    let path = path.to_str().unwrap().to_string();
    let config = CsvConfig { path: path.clone(), target: target.map(str::to_string), standardise: false };
    let samples =
        DataConfig::Csv(config).samples(targets, 0).map_err(|error| error.to_string().replace(&path, "data.csv"))?;
    Ok((samples.features.as_slice().to_vec(), samples.targets.as_slice().to_vec()))
}

#[test]
fn columns_become_features_and_a_target() {
    let text = "a, b, c\n1, 2, 3\n4, 5, 6\n";
    assert_eq!(samples(text, None, Targets::Numbers), Ok((vec![1.0, 4.0, 2.0, 5.0], vec![3.0, 6.0])));
    assert_eq!(samples(text, Some("b"), Targets::Classes), Ok((vec![1.0, 4.0, 3.0, 6.0], vec![-1.0, 1.0])));
}

#[test]
fn standardised_columns_have_mean_0_and_variance_1() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("data.csv");
    fs::write(&path, "a,y\n1,10\n2,30\n6,20\n").unwrap();
    let config = CsvConfig { path: path.to_str().unwrap().into(), target: None, standardise: true };
    let samples = DataConfig::Csv(config).samples(Targets::Numbers, 0).unwrap();
    // Mean 3, variance (4 + 1 + 9) / 3; mean 20, variance 200 / 3.
    let deviation = (14.0_f64 / 3.0).sqrt();
    let expected = [-2.0 / deviation, -1.0 / deviation, 3.0 / deviation];
    assert!(samples.features.iter().zip(expected).all(|(found, expected)| (found - expected).abs() < 1e-15));
    assert!((samples.targets[1] - 10.0 / (200.0_f64 / 3.0).sqrt()).abs() < 1e-15);
}

#[test]
fn every_mistake_in_a_file_is_told_with_its_line() {
    let cases: [(&[u8], Option<&str>, Targets, &str); 13] = [
        (b"", None, Targets::Numbers, "data.csv:1: is empty"),
        (b"1,2\n3,4\n5,6\n", None, Targets::Numbers, "data.csv:1: holds numbers; the first line must name the columns"),
        (b"a,a\n1,2\n3,4\n", None, Targets::Numbers, "data.csv:1: names two columns `a`"),
        (
            b"a\n1\n2\n",
            None,
            Targets::Numbers,
            "data.csv:1: needs a column for the target and one for a feature at least, separated by commas; the line \
             reads `a`",
        ),
        (b"a,b\n1,2\n", None, Targets::Numbers, "data.csv:1: needs 2 samples at least, has 1"),
        (
            b"a,b\n1,2\n3,x\n",
            None,
            Targets::Numbers,
            "data.csv:3: `x` in column `b` is no number, or one too large to compute with",
        ),
        (
            b"a,b\n1,2\n3,\n",
            None,
            Targets::Numbers,
            "data.csv:3: column `b` is empty; write a number, or leave out the line or the column",
        ),
        (
            b"a,b,\n1,2,\n3,4,\n",
            None,
            Targets::Numbers,
            "data.csv:2: column 3 has neither a name nor a number; if lines end with a comma, leave it out of all of \
             them",
        ),
        (
            b"a,b\n1,2\n\n3,inf\n",
            None,
            Targets::Numbers,
            "data.csv:4: `inf` in column `b` is no number, or one too large to compute with",
        ),
        (b"a,b\n1,2\n3,4,5\n", None, Targets::Numbers, "data.csv:3: has 3 columns, the lines before have 2"),
        (b"a,b\n1,2\n\xff,4\n", None, Targets::Numbers, "data.csv:3: is not UTF-8 text"),
        (b"a,b\n1,2\n3,4\n", Some("y"), Targets::Numbers, "data.csv:1: has no column `y`, only `a`, `b`"),
        (
            b"a,b\n1,0\n3,1\n4,2\n",
            None,
            Targets::Classes,
            "data.csv:3: the target `b` has a third value, 1, beside 0 and 2",
        ),
    ];
    for (text, target, targets, expected) in cases {
        assert_eq!(samples(text, target, targets), Err(expected.to_string()), "{}", String::from_utf8_lossy(text));
    }
    let one_class = samples("a,b\n1,2\n3,2\n", None, Targets::Classes).unwrap_err();
    assert_eq!(one_class, "data.csv:1: the target `b` is always 2; two classes are needed");
}

#[test]
fn a_column_that_hardly_varies_is_not_called_constant() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("data.csv");
    let message = |text: &str| {
        fs::write(&path, text).unwrap();
        let config = CsvConfig { path: path.to_str().unwrap().into(), target: None, standardise: true };
        DataConfig::Csv(config).samples(Targets::Numbers, 0).unwrap_err().to_string()
    };
    let nanoseconds = message("a,y\n1700000000000000000,1\n1700000000000059000,2\n");
    assert!(nanoseconds.contains("column `a` varies by 3e4 about 2e18"), "{nanoseconds}");
    let constant = message("a,y\n5,1\n5,2\n");
    assert!(constant.contains("column `a` is always 5; leave it out"), "{constant}");
}

#[test]
fn a_file_that_is_not_there_is_told() {
    let error = problem("[linear-regression]\ndata.csv = { path = \"no/such.csv\" }").err().unwrap();
    assert!(matches!(error, LabError::Io { .. }) && error.to_string().contains("`no/such.csv`"), "{error}");
}

#[test]
fn singular_data_have_the_smallest_eigenvalue_that_is_not_zero() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("data.csv");
    // The second feature is twice the first.
    fs::write(&path, "a,b,y\n1,2,1\n2,4,0\n3,6,5\n4,8,2\n").unwrap();
    let csv = format!("data.csv = {{ path = {path:?}, standardise = false }}");
    // Its Hessian has the eigenvalues 0 and (1 + 4) (1 + 4 + 9 + 16) / 4, and only one of them counts.
    let made = problem(&format!("[linear-regression]\n{csv}")).unwrap_or_else(|error| panic!("{error}"));
    let known = made.constants().unwrap();
    assert!((known.strong_convexity - 37.5).abs() < 1e-12 && (known.smoothness - 37.5).abs() < 1e-12, "{known:?}");
    assert_eq!(known.convexity, Convexity::Singular);
    assert!(problem(&format!("[linear-regression]\nl2 = 0.1\n{csv}")).is_ok());
}

#[test]
fn a_batch_larger_than_the_file_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("data.csv");
    fs::write(&path, "a,y\n1,1\n2,0\n3,5\n").unwrap();
    let problem = format!("[problem.linear-regression]\ndata.csv = {{ path = {path:?} }}");
    let curve = "[[curves]]\nlabel = \"large\"\nbatch = 4\n[curves.schedule.constant]\nrate = 0.1";
    let error = try_run(&format!("title = \"test\"\nsteps = 10\n{problem}\n{curve}")).err().unwrap();
    assert_eq!(error.to_string(), "curve `large`: a mini-batch of 4 is larger than the data, which has 3 samples");
}
