#!/usr/bin/env bash
# Packs what scripts/gpu-check.sh needs on a machine that can neither build nor download: the program (stripped, xz), the texts of the
# configurations, and, where apt-get can fetch them, the Vulkan loader's packages.
#
#   scripts/gpu-pack.sh [FOLDER]      default: gpu-pack
#
# There: for f in FOLDER/*.deb; do dpkg -x "$f" /; done; ldconfig        if `ldconfig -p` finds no libvulkan
#        KILN_MIRROR=$PWD/FOLDER scripts/gpu-check.sh --binary FOLDER/kiln.xz
set -euo pipefail
cd "$(dirname "$0")/.."
folder="${1:-gpu-pack}"

cargo build --release
mkdir -p "$folder"
stripped="$(mktemp)"
strip -o "$stripped" "${CARGO_TARGET_DIR:-target}/release/kiln"
xz -T0 -4 --stdout "$stripped" >"$folder/kiln.xz"
rm "$stripped"
downloads="${XDG_CACHE_HOME:-$HOME/.cache}/kiln/downloads"
if [[ -n ${KILN_MIRROR:-} && -d $KILN_MIRROR ]]; then
  cp "$KILN_MIRROR/tinyshakespeare.txt" "$folder/"
else
  find "$downloads" -name '*tinyshakespeare*' -exec cp {} "$folder/tinyshakespeare.txt" \;
fi
if command -v apt-get >/dev/null; then
  (cd "$folder" && apt-get download libvulkan1 libegl1 libglvnd0 libopengl0 libgl1 libglx0 libgles2) >/dev/null 2>&1 ||
    echo "the Vulkan loader's packages could not be fetched; the machine must have them" >&2
fi
du -ch "$folder"/* | tail -n 1
