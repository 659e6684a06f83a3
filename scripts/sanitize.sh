#!/usr/bin/env bash
# The tests of crates/kernels under AddressSanitizer, which stops at a read or a write beyond the memory that was asked for, where
# plain code continues. Arguments go to the tests, for example `scripts/sanitize.sh attention`.
#
# It needs nothing beside rustup's own toolchain, on Linux for x86-64. A package of its own, with Burn's CPU backend alone and its own
# target folder (KILN_SANITIZE sets another one), so that the usual build stays as it is; the first time takes some minutes.
set -euo pipefail
repository="$(cd "$(dirname "$0")/.." && pwd)"
folder="${KILN_SANITIZE:-$repository/target/sanitize}"
export CARGO_TARGET_DIR="$folder/target"
mkdir -p "$folder"

# The versions of every shared dependency, as the workspace has them; without its profile, which follows.
{
  cat <<MANIFEST
[package]
name = "kiln-kernels"
version = "0.0.0"
edition = "2024"

[lib]
path = "$repository/crates/kernels/src/lib.rs"

MANIFEST
  sed -n '/^\[dependencies\]/,/^\[dev-dependencies\]/p' "$repository/crates/kernels/Cargo.toml"
  echo 'proptest.workspace = true'
  echo
  sed -n '/^\[workspace.dependencies\]/,/^\[workspace.lints/{/^kiln-/d;/^\[workspace.lints/d;p}' "$repository/Cargo.toml" |
    sed '/^burn = /s/, features = .*/, features = ["std", "autodiff", "flex", "extension"] }/'
  cat <<'MANIFEST'
[workspace]

[profile.dev]
debug = "line-tables-only"

[profile.dev.package."*"]
opt-level = 1
debug = false
MANIFEST
} > "$folder/Cargo.toml"
cp "$repository/Cargo.lock" "$folder/Cargo.lock"

# -Zsanitizer is not in stable Rust; RUSTC_BOOTSTRAP lets the pinned toolchain take it. With a target named, build scripts and macros,
# which run while compiling, stay as they are. The kernels are compiled as they are shipped, but with checks of arithmetic.
export RUSTC_BOOTSTRAP=1
export RUSTFLAGS="-Zsanitizer=address -Cforce-frame-pointers=yes"
export CARGO_PROFILE_DEV_OPT_LEVEL=3
cd "$repository"
exec cargo test --manifest-path "$folder/Cargo.toml" --target x86_64-unknown-linux-gnu --lib -- "$@"
