#!/usr/bin/env bash
# Plain stochastic gradient descent on tiny Shakespeare: constant rates against the rate that is halved at the estimated error
# floor, three seeds (configs/shakespeare/error-floor.toml). Prints the losses and draws docs/figures/error-floor*.svg again.
# A quarter of an hour a seed on two cores. KILN_MIRROR may name a folder with tinyshakespeare.txt.
set -euo pipefail
cd "$(dirname "$0")/.."

cargo build --release
kiln="${CARGO_TARGET_DIR:-target}/release/kiln"
for seed in 1 2 3; do
  "$kiln" race configs/shakespeare/error-floor.toml --set seed="$seed" --device cpu --run "error-floor-$seed" --resume
done
mkdir -p docs/figures
cp runs/error-floor-1/validation-loss.svg docs/figures/error-floor.svg
cp runs/error-floor-1/learning-rate.svg docs/figures/error-floor-rates.svg
