//! The configurations in `configs/`.

use std::path::{Path, PathBuf};

use crate::config::{Config, RaceConfig};
use kiln_settings::Source;

fn shipped() -> Vec<PathBuf> {
    fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
        for entry in std::fs::read_dir(folder).expect("the folder is there") {
            let path = entry.expect("the folder can be read").path();
            // The experiments of the convergence lab are read by its own crate.
            if path.is_dir() && !path.ends_with("convergence") {
                collect(&path, files);
            } else if path.extension().is_some_and(|extension| extension == "toml") {
                files.push(path);
            }
        }
    }
    let mut files = Vec::new();
    collect(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../../configs"), &mut files);
    files
}

/// Races are named so.
fn is_race(file: &Path) -> bool {
    file.file_name().is_some_and(|name| name.to_string_lossy().starts_with("race"))
}

#[test]
fn every_shipped_configuration_is_right_and_reads_back_equal() {
    let files = shipped();
    assert!(files.len() >= 20, "{files:?}");
    for file in files {
        if is_race(&file) {
            let race = RaceConfig::open(&file, &[]).unwrap_or_else(|errors| panic!("{errors}"));
            let source = Source::new("resolved", race.to_toml());
            assert_eq!(RaceConfig::read(&source, &[]), Ok(race), "{}", file.display());
        } else {
            let config = Config::open(&file, &[]).unwrap_or_else(|errors| panic!("{errors}"));
            let source = Source::new("resolved", config.to_toml());
            assert_eq!(Config::read(&source, &[]), Ok(config), "{}", file.display());
        }
    }
}

/// The sizes that nanoGPT publishes for its two recipes: 0.80 and 10.65 million parameters without positions.
#[test]
fn the_recipes_have_the_sizes_that_they_are_known_for() {
    let size = |name: &str| {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../configs/shakespeare").join(name);
        let config = Config::open(&file, &[]).unwrap_or_else(|errors| panic!("{errors}"));
        let parts = config.model.parameters(65, config.run.context);
        let positions = config.run.context as u64 * if name.contains("gpu") { 384 } else { 128 };
        parts.iter().map(|part| part.count).sum::<u64>() - positions
    };
    // 65 * 128 + 4 * (12 * 128^2 + 2 * 128) + 128, and the same with 6 layers of width 384.
    assert_eq!(size("nanogpt-cpu.toml"), 795_904);
    assert_eq!(size("nanogpt-gpu.toml"), 10_646_784);
}
