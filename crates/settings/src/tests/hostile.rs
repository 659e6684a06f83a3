//! Mutants of a file, and paths that are no files.

use kiln_hostile::{Fate, Form, each_mutant};

use super::{GOOD, Kitchen, check};
use crate::{Source, read, read_source};

#[test]
fn every_mutant_is_refused_with_its_place_or_reads_back_equal() {
    let electric = GOOD.replace("[oven.gas]\nflame = 2", "[oven.electric]\nwatts = 900");
    let tally = each_mutant(&[GOOD.into(), electric.into()], Form::Text, |bytes| {
        let Ok(text) = String::from_utf8(bytes.to_vec()) else { return Fate::Refused };
        match read::<Kitchen>(&Source::new("kitchen.toml", text), &[], check) {
            Ok(kitchen) => {
                let again = toml::to_string(&kitchen).expect("settings can be written");
                assert_eq!(read(&Source::new("again", again), &[], check), Ok(kitchen));
                Fate::Read
            }
            Err(errors) => {
                assert!(!errors.problems.is_empty());
                for problem in &errors.problems {
                    let (line, column) = errors.position_of(problem);
                    assert!(line >= 1 && column >= 1 && problem.span.start <= errors.source.text.len());
                }
                assert!(errors.to_string().starts_with("kitchen.toml:"), "{errors}");
                Fate::Refused
            }
        }
    });
    assert!(tally.read > 500 && tally.refused > 5000, "{tally:?}");
}

#[cfg(unix)]
#[test]
fn what_is_no_file_is_not_read() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    for path in kiln_hostile::no_files(folder.path()) {
        let name = path.display().to_string();
        let error = kiln_hostile::in_time(&name, move || read_source(&path).expect_err("it is not a file"));
        assert_eq!(error.to_string(), format!("`{name}` is not a file"));
    }
}
