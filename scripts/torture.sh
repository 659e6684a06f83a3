#!/usr/bin/env bash
# Kills a training process N times with SIGKILL at random moments, 30 % of them while a checkpoint is written, resumes it
# each time, and compares the result with a run that was not killed.
#
#   scripts/torture.sh 200
set -euo pipefail
cd "$(dirname "$0")/.."
if (($# != 1)) || ! [[ $1 =~ ^[1-9][0-9]*$ ]]; then
  echo "usage: scripts/torture.sh N    (the number of kills)" >&2
  exit 2
fi
export KILN_KILLS="$1"
exec cargo test --release --workspace --test end_to_end killed_again_and_again -- --nocapture
