#!/usr/bin/env bash
# Redraws every figure of the documentation, in docs/figures.
#
#   scripts/figures.sh            all of them: about half an hour on two cores, nearly all of it for the race on tiny Shakespeare
#   scripts/figures.sh --quick    those of the lab alone: a minute
#
# KILN_MIRROR may name a folder with tinyshakespeare.txt, which is downloaded otherwise.
set -euo pipefail
cd "$(dirname "$0")/.."

cargo build --release
kiln="${CARGO_TARGET_DIR:-target}/release/kiln"
figures=docs/figures
mkdir -p "$figures"

lab=$(mktemp -d)
trap 'rm -rf "$lab"' EXIT
"$kiln" converge configs/convergence/lecture.toml --output "$lab"
"$kiln" converge configs/convergence/next-door.toml --output "$lab"
for figure in mini-batch halving halving-1000 schedules schedules-rates two-dimensions-plane momentum averaging reshuffling critical-batch-iterations edge-of-stability-sharpness; do
  cp "$lab/$figure.svg" "$figures"
done

# A loss that falls to the entropy of its text.
"$kiln" train configs/quickstart.toml --device cpu --runs "$lab" --progress lines
"$kiln" plot quickstart --runs "$lab" --curves validation,training --output "$figures/quickstart.svg"
[[ "${1:-}" == --quick ]] && exit 0

# Every schedule on one language model.
"$kiln" race configs/race.toml --device cpu --run figures-race --resume
cp runs/figures-race/validation-loss.svg "$figures/race.svg"

# The estimated error floor against constant rates, three seeds.
"$kiln" race configs/shakespeare/race-error-floor.toml --seeds 3 --device cpu --run error-floor --resume
cp runs/error-floor/validation-loss.svg "$figures/error-floor.svg"
cp runs/error-floor/learning-rate.svg "$figures/error-floor-rates.svg"

# The dashboard, where Python has pyte; ten seconds of a quiet machine.
if python3 -c 'import pyte' 2>/dev/null; then
  scripts/record-terminal.py --output "$figures/dashboard.svg" -- "$kiln" train configs/quickstart.toml --device cpu --runs "$lab" --run dashboard
fi
echo "drawn: $figures"
