//! Hands the version of Burn, which the workspace pins exactly, to the code.

fn main() {
    let manifest = "../../Cargo.toml";
    println!("cargo:rerun-if-changed={manifest}");
    let text = std::fs::read_to_string(manifest).unwrap_or_default();
    let pinned = text.lines().find_map(|line| line.strip_prefix("burn = { version = \"=")?.split('"').next());
    match pinned {
        Some(version) => println!("cargo:rustc-env=KILN_BURN_VERSION={version}"),
        None => println!("cargo:error=the workspace's Cargo.toml pins no version of Burn"),
    }
}
