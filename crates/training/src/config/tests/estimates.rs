//! `[estimates]` beside the rest of a configuration.

use super::support::{read, right_text};

#[test]
fn the_noise_of_an_update_of_one_window_cannot_be_asked_for() {
    let one_window = right_text("run").replace("batch = 4", "batch = 1");
    let with_noise = format!("{one_window}\n[estimates]\nnoise-every = 10\n");
    let errors = read(&with_noise).expect_err("there is nothing to compare");
    assert_eq!(errors.problems.len(), 1, "{errors}");
    let (line, _) = errors.position_of(&errors.problems[0]);
    assert_eq!(with_noise.lines().nth(line - 1), Some("noise-every = 10"));
    assert!(errors.to_string().contains("at least two windows") && errors.to_string().contains("`run.batch`"));
    let two_batches = with_noise.replace("batch = 1", "batch = 1\naccumulate = 2");
    assert!(read(&two_batches).is_ok());
    assert!(read(&format!("{one_window}\n[estimates]\nsharpness-every = 10\n")).is_ok());
}

#[test]
fn a_run_without_the_section_measures_nothing_and_its_resolved_file_has_none() {
    let config = read(&right_text("run")).expect("the text is right");
    assert_eq!(config.estimates, None);
    assert!(!config.to_toml().contains("estimates"));
}
