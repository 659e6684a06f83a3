#!/usr/bin/env bash
# All checks of this repository, cheapest first. Run it before every commit; continuous integration runs the same.
#
#   scripts/check.sh            everything
#   scripts/check.sh --quick    without the second build for the adapter tests and without the one for CPUs alone
#
# Each command is one of at most four builds of the dependencies, which one target folder keeps side by side:
# checked (clippy), compiled (test, and every `cargo run --release`), compiled for the adapter tests (a third of the units; the
# rest is shared), checked for CPUs alone.
set -euo pipefail
cd "$(dirname "$0")/.."

quick=false
for argument in "$@"; do
  case "$argument" in
    --quick) quick=true ;;
    *)
      echo "usage: scripts/check.sh [--quick]" >&2
      exit 2
      ;;
  esac
done

step() {
  local started=$SECONDS
  printf '== %s\n' "$*"
  "$@"
  printf '== done in %d s\n' $((SECONDS - started))
}

# Dependencies of the program, one a line with their features; with those of its tests too if asked for.
dependencies() {
  cargo tree --workspace --edges "$1" --prefix none --format '{p} {f}' | sed 's/ (\*)$//' | sort -u
}

# Whatever `cargo run` compiles must be what `cargo test` compiles: a dependency of tests that turns on one more feature of another
# would make a new user compile Burn twice.
compiled_once() {
  local program tests twice
  program="$(dependencies normal,build)"
  tests="$(dependencies normal,build,dev)"
  twice="$(comm -23 <(echo "$program") <(echo "$tests"))"
  if [[ -n $twice ]]; then
    printf 'the tests want these dependencies with other features than the program; ask for the same ones in crates/cli/Cargo.toml:\n%s\n' "$twice" >&2
    return 1
  fi
}

# rustfmt wraps code, but neither comments nor texts.
lines_fit() {
  local long
  long="$(LC_ALL=C.UTF-8 grep --recursive --line-number --extended-regexp --include='*.rs' --exclude-dir=target '^.{121,}' crates tests fuzz || true)"
  if [[ -n $long ]]; then
    printf 'these lines have more than 120 columns:\n%s\n' "$long" >&2
    return 1
  fi
}

# Runs every example of every crate once, as `cargo test` has built it: with the features of the whole workspace, where
# `cargo run --package` would build Burn again with those of one crate.
run_examples() {
  local file
  for file in crates/*/examples/*.rs; do
    [[ -e $file ]] || continue
    step "${CARGO_TARGET_DIR:-target}/release/examples/$(basename "$file" .rs)"
  done
}

step cargo fmt --all --check
step lines_fit
if command -v python3 >/dev/null; then
  step python3 scripts/check-links.py
else
  echo "== skipped: the links of the documents, which want python3"
fi
if command -v mdbook >/dev/null; then
  step mdbook build --dest-dir "$(realpath --canonicalize-missing "${CARGO_TARGET_DIR:-target}")/book"
else
  echo "== skipped: the documents as a book, which want mdbook (cargo install --locked mdbook)"
fi
step compiled_once
step cargo clippy --release --workspace --all-targets -- -D warnings
# The tests, those in the documentation among them; the examples are built.
step cargo test --release --workspace
step run_examples
if command -v cargo-deny >/dev/null; then
  step cargo deny --workspace check
else
  echo "== skipped: cargo-deny is not installed (cargo install --locked cargo-deny)"
fi
$quick && exit 0

# Burn's Vulkan compiler and its autotuning do not get along with software adapters, so these tests have their own build,
# of WGSL shaders without tuning.
step cargo test --release --package kiln --no-default-features --features wgsl --test end_to_end adapter
# The small build, for CPUs alone, which most people who change Kiln use.
step cargo clippy --release --workspace --no-default-features --all-targets -- -D warnings
echo "== all checks passed"
