#![no_main]
//! The configuration of a run, of a sweep and of an experiment: one reader, three types.
use kiln_convergence::Experiment;
use kiln_settings::Source;
use kiln_training::config::{Config, Sweep};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let source = Source::new("fuzz.toml", text);
    let again = |text: String| Source::new("again.toml", text);
    match Config::read(&source, &[]) {
        Ok(config) => assert_eq!(Config::read(&again(config.to_toml()), &[]).expect("we wrote it"), config),
        Err(errors) => assert!(errors.to_string().starts_with("fuzz.toml:")),
    }
    match Sweep::read(&source, &[]) {
        Ok(sweep) => assert_eq!(Sweep::read(&again(sweep.to_toml()), &[]).expect("we wrote it"), sweep),
        Err(errors) => assert!(errors.to_string().starts_with("fuzz.toml:")),
    }
    match Experiment::read(&source, &[]) {
        Ok(found) => assert_eq!(Experiment::read(&again(found.to_toml()), &[]).expect("we wrote it"), found),
        Err(errors) => assert!(errors.to_string().starts_with("fuzz.toml:")),
    }
});
