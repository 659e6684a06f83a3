#!/usr/bin/env bash
# Draws the figures of the documentation again: docs/figures/*.svg. Takes a minute, without those of language models, which take
# an hour (scripts/error-floor.sh).
set -euo pipefail
cd "$(dirname "$0")/.."

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cargo run --release -- converge configs/convergence/lecture.toml --output "$folder"
mkdir -p docs/figures
cp "$folder"/*.svg docs/figures/
echo "drawn: docs/figures"
