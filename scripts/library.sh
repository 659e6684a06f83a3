#!/usr/bin/env bash
# Builds and runs a program outside of this repository that uses Kiln as a library: with the dependencies that docs/library.md names, and the
# example crates/training/examples/train_in_memory.rs for its source. With this repository's versions and profile, in a part of its target folder of its own:
# another program asks for other features, so that Burn is compiled again there.
set -euo pipefail
cd "$(dirname "$0")/.."

repository=$PWD
outside=$(mktemp -d)
trap 'rm -rf "$outside"' EXIT
mkdir "$outside/src"
{
  printf '[package]\nname = "outside"\nversion = "0.1.0"\nedition = "2024"\n\n'
  # The block of TOML, with the place of this clone.
  awk '/^```toml/{block = 1; next} /^```/{block = 0} block' docs/library.md |
    sed "s|\"../kiln/|\"$repository/|"
  # The profile, from its first table on.
  printf '\n'
  sed -n '/^\[profile/,$p' Cargo.toml
} > "$outside/Cargo.toml"
cp Cargo.lock "$outside/"
cp crates/training/examples/train_in_memory.rs "$outside/src/main.rs"
export CARGO_TARGET_DIR="${CARGO_TARGET_DIR:-$repository/target}/library"
cargo run --release --manifest-path "$outside/Cargo.toml"
