//! The configurations in `configs/`.

use std::path::{Path, PathBuf};

use crate::config::{Config, Sweep};
use kiln_settings::Source;

fn shipped() -> Vec<PathBuf> {
    fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
        for entry in std::fs::read_dir(folder).expect("the folder is there") {
            let path = entry.expect("the folder can be read").path();
            // Experiments of the lab and studies are read by their own crates, reports on compression by the program.
            if path.is_dir() && !["convergence", "compress", "study"].iter().any(|name| path.ends_with(name)) {
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

/// Races and sweeps are named so.
fn is_sweep(file: &Path) -> bool {
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    name.starts_with("race") || name.starts_with("sweep")
}

#[test]
fn every_shipped_configuration_is_right_and_reads_back_equal() {
    let files = shipped();
    assert!(files.len() >= 20, "{files:?}");
    for file in files {
        if is_sweep(&file) {
            let sweep = Sweep::open(&file, &[]).unwrap_or_else(|errors| panic!("{errors}"));
            let source = Source::new("resolved", sweep.to_toml());
            assert_eq!(Sweep::read(&source, &[]), Ok(sweep), "{}", file.display());
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
