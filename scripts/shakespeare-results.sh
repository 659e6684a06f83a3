#!/usr/bin/env bash
# Trains the four CPU recipes on tinyshakespeare with three seeds each and prints the README's table: validation loss over
# the whole split, in nats per character. Complete runs are not trained again; stopped runs are resumed.
#
#   scripts/shakespeare-results.sh [RECIPE...]      default: nanogpt-cpu lstm gru rnn
#
# KILN_MIRROR may name a local copy of the text; KILN the binary (default: built here); JOBS how many runs go side by side,
# each with as many threads as are left for it.
set -euo pipefail
cd "$(dirname "$0")/.."

recipes=("$@")
[ ${#recipes[@]} -gt 0 ] || recipes=(nanogpt-cpu lstm gru rnn)
jobs=${JOBS:-1}
if [ -z "${KILN:-}" ]; then
    cargo build --release --quiet --workspace
    KILN=${CARGO_TARGET_DIR:-target}/release/kiln
fi
export RAYON_NUM_THREADS=$(( ($(nproc) + jobs - 1) / jobs ))

train() {
    local recipe=$1 seed=$2 name=$1-seed-$2
    "$KILN" train "configs/shakespeare/$recipe.toml" --set "seed=$seed" --device cpu --run "$name" --resume \
        --progress lines 2> "runs/$name.log"
}
export -f train
export KILN

mkdir -p runs
for recipe in "${recipes[@]}"; do
    for seed in 1 2 3; do echo "$recipe $seed"; done
done | xargs -P "$jobs" -L 1 bash -c 'train "$0" "$1"'

loss() {
    "$KILN" eval "runs/$1-seed-$2" --checkpoint last --device cpu --json | sed 's/.*"loss":\([0-9.]*\).*/\1/'
}
printf '%-12s %9s %9s %9s %9s\n' recipe 'seed 1' 'seed 2' 'seed 3' mean
for recipe in "${recipes[@]}"; do
    losses=$(for seed in 1 2 3; do loss "$recipe" "$seed"; done)
    # shellcheck disable=SC2086 # one word a seed
    printf '%s %s\n' "$recipe" "$(echo $losses)" |
        awk '{printf "%-12s %9.4f %9.4f %9.4f %9.4f\n", $1, $2, $3, $4, ($2 + $3 + $4) / 3}'
done
