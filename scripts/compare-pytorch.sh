#!/usr/bin/env bash
# Kiln and PyTorch at the same updates on this machine's processor, in turns: milliseconds an update, the ratio, and memory.
#
#   scripts/compare-pytorch.sh                                  all recipes of configs/bench, 5 rounds
#   scripts/compare-pytorch.sh --recipes gpt-10m lstm-256 --rounds 3 --out comparison.json
#
# options   --rounds R            rounds, of which the median counts              default: 5
#           --steps S             updates timed in each process                   default: 20
#           --warmup W            updates before them, not timed                  default: 5
#           --threads N           threads of each program                         default: 2
#           --recipes RECIPE...   names of files in configs/bench                 default: all of them
#           --no-compile          leave out torch.compile
#           --out FILE            write all numbers as JSON
#
# The first time it makes a Python environment with PyTorch in the user's cache folder, from scripts/reference/requirements.txt.
# KILN_PYTHON names an interpreter that has PyTorch to be used instead; KILN a binary of Kiln (default: built here); KILN_MIRROR a
# folder with tinyshakespeare.txt, which is downloaded otherwise.
set -euo pipefail
repository="$(cd "$(dirname "$0")/.." && pwd)"
reference="$repository/scripts/reference"

for argument in "$@"; do
  case "$argument" in
    --help | -h)
      sed -n '2,/^set -/{/^set -/!s/^# \{0,1\}//p}' "$0"
      exit 0
      ;;
  esac
done

# prepare_environment FOLDER: a Python environment with what the references need, unless it is there and complete. The copy of the
# list comes last, so that an environment that was left half-made is made again.
prepare_environment() {
  local folder="$1" requirements="$reference/requirements.txt"
  if cmp --silent "$requirements" "$folder/requirements.txt"; then return; fi
  echo "making a Python environment with PyTorch in $folder" >&2
  rm -rf "$folder"
  python3 -m venv "$folder"
  "$folder/bin/python" -m pip install --quiet --requirement "$requirements"
  cp "$requirements" "$folder/requirements.txt"
}

python="${KILN_PYTHON:-}"
if [[ -z $python ]]; then
  environment="${XDG_CACHE_HOME:-$HOME/.cache}/kiln/pytorch"
  prepare_environment "$environment"
  python="$environment/bin/python"
fi

kiln="${KILN:-}"
if [[ -z $kiln ]]; then
  echo "building kiln" >&2
  (cd "$repository" && cargo build --release --quiet --workspace)
  kiln="${CARGO_TARGET_DIR:-$repository/target}/release/kiln"
fi

exec "$python" "$reference/compare.py" --kiln "$kiln" "$@"
