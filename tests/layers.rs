//! Which crate may import which: the table in ARCHITECTURE.md is the rule, and the manifests follow it.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use toml::Table;

use crate::support::repository;

/// The heading of the table, which has a row for each crate, a crate before all that may import it.
const HEADING: &str = "## Who may import whom";

/// What a crate may import, by its folder in `crates`, from the bottom up.
const MAY_IMPORT: [(&str, &[&str]); 16] = [
    ("hostile", &[]),
    ("settings", &[]),
    ("parameters", &[]),
    ("packed", &[]),
    ("kernels", &["packed"]),
    ("figures", &[]),
    ("storage", &["packed", "settings"]),
    ("models", &["packed", "kernels", "settings", "parameters", "storage"]),
    ("compression", &["packed", "settings", "models"]),
    ("data", &["settings", "models", "storage"]),
    ("optimization", &["kernels", "settings", "parameters"]),
    ("training", &["kernels", "settings", "parameters", "storage", "models", "data", "optimization"]),
    ("convergence", &["settings", "parameters", "optimization"]),
    ("inference", &["kernels", "settings", "storage", "models"]),
    (
        "study",
        &[
            "kernels",
            "settings",
            "parameters",
            "models",
            "data",
            "optimization",
            "training",
            "convergence",
            "inference",
        ],
    ),
    (
        "cli",
        &[
            "packed",
            "kernels",
            "settings",
            "parameters",
            "figures",
            "storage",
            "models",
            "compression",
            "data",
            "optimization",
            "training",
            "convergence",
            "inference",
            "study",
        ],
    ),
];

#[test]
fn the_documents_name_the_version_and_features_of_burn_that_the_crates_are_built_with_and_crates_that_are_there() {
    let page = fs::read_to_string(repository().join("docs/library.md")).expect("it is part of the repository");
    let block = page.split("```toml").nth(1).and_then(|rest| rest.split("```").next()).expect("there is TOML");
    let named: Table = block.parse().expect("it is right");
    let manifest = fs::read_to_string(repository().join("Cargo.toml")).expect("it is part of the repository");
    let workspace: Table = manifest.parse().expect("it is right");
    let of_kiln = &workspace["workspace"]["dependencies"];
    for (name, dependency) in named["dependencies"].as_table().expect("they are a table") {
        if name == "burn" {
            assert_eq!(dependency, &of_kiln["burn"]);
            continue;
        }
        let own = of_kiln[name.as_str()]["path"].as_str().expect("a crate of Kiln has a path");
        assert_eq!(dependency["path"].as_str(), Some(format!("../kiln/{own}").as_str()));
    }
}

#[test]
fn every_library_says_what_it_is_for_and_shows_it() {
    for (name, _) in MAY_IMPORT.iter().filter(|(name, _)| !["cli", "hostile"].contains(name)) {
        let path = repository().join(format!("crates/{name}/src/lib.rs"));
        let text = fs::read_to_string(&path).expect("it is there");
        let documentation: Vec<&str> = text.lines().take_while(|line| line.starts_with("//!")).collect();
        let is_code = |line: &&str| matches!(line.trim_end(), "//! ```" | "//! ```rust");
        assert!(documentation.iter().any(is_code), "{} has no example that is run", path.display());
        assert!(!repository().join(format!("crates/{name}/README.md")).exists(), "{name}: lib.rs is the one place");
    }
}

/// The rows of the table in ARCHITECTURE.md, in order.
fn documented() -> Vec<(String, Vec<String>)> {
    let text = fs::read_to_string(repository().join("ARCHITECTURE.md")).expect("it is part of the repository");
    let (_, section) = text.split_once(HEADING).unwrap_or_else(|| panic!("ARCHITECTURE.md lacks `{HEADING}`"));
    let lines = section.lines().skip_while(|line| !line.starts_with("|---"));
    let rows = lines.skip(1).take_while(|line| line.starts_with('|'));
    let row = |line: &str| {
        let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
        let [crate_name, imports] = cells[..] else { panic!("not a row of two cells: {line}") };
        let imports = if imports == "nothing" { Vec::new() } else { imports.split(", ").collect() };
        let name = |cell: &str| cell.trim_matches('`').to_owned();
        (name(crate_name), imports.into_iter().map(name).collect())
    };
    rows.map(row).collect()
}

/// The crates of Kiln that each crate depends on, for its tests alone or for anything else.
fn imports(of_tests: bool) -> BTreeMap<String, BTreeSet<String>> {
    let folders = fs::read_dir(repository().join("crates")).expect("the folder is part of the repository");
    let folders = folders.map(|entry| entry.expect("it can be listed").path());
    let imports = folders.filter_map(|folder| {
        let name = folder.file_name()?.to_string_lossy().into_owned();
        let manifest = fs::read_to_string(folder.join("Cargo.toml")).ok()?;
        let manifest: Table = manifest.parse().expect("a manifest is TOML");
        Some((name, dependencies(&manifest, of_tests)))
    });
    imports.collect()
}

fn dependencies(manifest: &Table, of_tests: bool) -> BTreeSet<String> {
    let kinds: &[&str] = if of_tests { &["dev-dependencies"] } else { &["dependencies", "build-dependencies"] };
    let targets = manifest.get("target").and_then(|targets| targets.as_table()).into_iter().flat_map(Table::values);
    let tables = std::iter::once(manifest).chain(targets.filter_map(|target| target.as_table()));
    let tables = tables.flat_map(|table| kinds.iter().filter_map(|kind| table.get(*kind)?.as_table()));
    let names = tables.flat_map(Table::keys).filter_map(|name| name.strip_prefix("kiln-"));
    names.map(str::to_owned).collect()
}

#[test]
fn the_table_in_the_documentation_is_the_one_here_and_points_downward() {
    let here =
        MAY_IMPORT.map(|(name, imports)| (name.to_owned(), imports.iter().map(|&name| name.to_owned()).collect()));
    assert_eq!(documented(), here);
    for (row, (name, imports)) in MAY_IMPORT.iter().enumerate() {
        for import in *imports {
            let is_below = MAY_IMPORT[..row].iter().any(|(below, _)| below == import);
            assert!(is_below, "`{name}` may import `{import}`, which is not below it");
        }
    }
}

#[test]
fn every_crate_imports_only_what_the_table_lets_it() {
    let allowed: BTreeMap<_, _> = MAY_IMPORT.into_iter().collect();
    for (name, imports) in imports(false) {
        let Some(allowed) = allowed.get(name.as_str()) else { panic!("`{name}` has no row in the table") };
        for import in imports {
            assert!(allowed.contains(&import.as_str()), "`{name}` may not import `{import}`");
        }
    }
}

#[test]
fn the_damaged_files_are_for_tests_alone() {
    assert!(imports(true).values().any(|imports| imports.contains("hostile")));
    assert!(!imports(false).values().any(|imports| imports.contains("hostile")));
}
