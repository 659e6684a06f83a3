#!/usr/bin/env python3
"""A GGUF model that `kiln compress` and `kiln export` made, beside what the package `gguf` of llama.cpp makes of the original's numbers.

    python3 scripts/reference/quantized.py ORIGINAL.gguf QUANTIZED.gguf

For each type: how many tensors, how many have the very bytes that `gguf` packs (where it packs the type), and the root of the mean squared
error over that of the numbers, of this file and of what `gguf` packs.
"""

import sys
from collections import defaultdict

import numpy as np
from gguf import GGUFReader
from gguf.quants import dequantize, quantize


def main():
    original, quantized = (GGUFReader(path) for path in sys.argv[1:3])
    numbers = {tensor.name: dequantize(tensor.data, tensor.tensor_type).astype(np.float32) for tensor in original.tensors}
    found = defaultdict(lambda: {"tensors": 0, "same": 0, "ours": 0.0, "theirs": 0.0, "all": 0.0})
    for tensor in quantized.tensors:
        exact, row = numbers[tensor.name], found[tensor.tensor_type.name]
        exact = exact.reshape(dequantize(tensor.data, tensor.tensor_type).shape)
        row["tensors"] += 1
        row["all"] += float((exact.astype(np.float64) ** 2).sum())
        row["ours"] += float(((dequantize(tensor.data, tensor.tensor_type) - exact).astype(np.float64) ** 2).sum())
        try:
            theirs = quantize(exact, tensor.tensor_type)
        except NotImplementedError:
            row["theirs"] = float("nan")
            continue
        row["theirs"] += float(((dequantize(theirs, tensor.tensor_type) - exact).astype(np.float64) ** 2).sum())
        row["same"] += bool((theirs.view(np.uint8).ravel() == np.asarray(tensor.data).view(np.uint8).ravel()).all())
    for name, row in found.items():
        ours, theirs = (100 * (row[key] / row["all"]) ** 0.5 for key in ("ours", "theirs"))
        print(f"{name}: {row['tensors']} tensors, {row['same']} with the same bytes; error {ours:.3f} %, of gguf {theirs:.3f} %")


if __name__ == "__main__":
    main()
