#!/usr/bin/env bash
# Kiln and llama.cpp with the same models on this machine's processor, in turns: tokens a second of reading and of writing.
#
#   scripts/compare-llamacpp.sh                                 random models of 134 million parameters in five types, 5 rounds
#   scripts/compare-llamacpp.sh MODEL.gguf... --rounds 3        models of your own
#
# options   --rounds R            rounds, of which the median counts              default: 5
#           --threads N           threads of each program                         default: 2
#           --prompt-tokens N     tokens of the prompt                            default: 512
#           --tokens N            tokens that are written                         default: 64
#
# The first time it makes a Python environment with llama.cpp (the package xllamacpp) in the user's cache folder, and the models there.
# KILN_PYTHON names an interpreter that has xllamacpp and gguf to be used instead; KILN a binary of Kiln (default: built here).
set -euo pipefail
repository="$(cd "$(dirname "$0")/.." && pwd)"
cache="${XDG_CACHE_HOME:-$HOME/.cache}/kiln"

made=(--make "$cache/llama.cpp-models")
for argument in "$@"; do
  case "$argument" in
    --help | -h)
      sed -n '2,/^set -/{/^set -/!s/^# \{0,1\}//p}' "$0"
      exit 0
      ;;
    *.gguf) made=() ;;
  esac
done

python="${KILN_PYTHON:-}"
if [[ -z $python ]]; then
  python="$cache/llama.cpp/bin/python"
  if ! "$python" -c 'import xllamacpp, gguf' 2>/dev/null; then
    echo "making a Python environment with llama.cpp in $cache/llama.cpp" >&2
    rm -rf "$cache/llama.cpp"
    python3 -m venv "$cache/llama.cpp"
    "$python" -m pip install --quiet xllamacpp==2026.10.11549 gguf==0.19.0
  fi
fi

kiln="${KILN:-}"
if [[ -z $kiln ]]; then
  echo "building kiln" >&2
  (cd "$repository" && cargo build --release --quiet --workspace)
  kiln="${CARGO_TARGET_DIR:-$repository/target}/release/kiln"
fi

exec "$python" "$repository/scripts/reference/llama_cpp_speed.py" --kiln "$kiln" "${made[@]}" "$@"
