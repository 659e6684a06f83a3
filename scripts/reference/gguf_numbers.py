#!/usr/bin/env python3
"""A GGUF file with tensors of every type that Kiln reads, and the numbers that the reference makes of them.

    python3 scripts/reference/gguf_numbers.py        # writes crates/storage/fixtures/gguf/

`packed.gguf` has four blocks of random bytes of each type, with scales that are finite, and values of each type in its
table; `packed.safetensors` has the same tensors as `gguf.quants.dequantize` unpacks them, and `q8.source`, whose
blocks the tensor `q8.packed` are by `gguf.quants.quantize`. Made with gguf 0.19 and NumPy 2.4.
"""

from pathlib import Path

import gguf
import numpy
from gguf import GGMLQuantizationType as Kind
from safetensors.numpy import save_file

FOLDER = Path(__file__).resolve().parents[2] / "crates/storage/fixtures/gguf"
ROWS = 2
# Where the half-precision scales of a block are.
SCALES = {
    Kind.Q4_0: [0], Kind.Q4_1: [0, 2], Kind.Q5_0: [0], Kind.Q5_1: [0, 2], Kind.Q8_0: [0],
    Kind.Q4_K: [0, 2], Kind.Q5_K: [0, 2], Kind.Q6_K: [208],
}


def main():
    FOLDER.mkdir(parents=True, exist_ok=True)
    random = numpy.random.default_rng(17)
    writer = gguf.GGUFWriter(FOLDER / "packed.gguf", "llama")
    writer.add_uint32("a.u32", 4_000_000_000)
    writer.add_int8("a.i8", -3)
    writer.add_float64("a.f64", 0.1)
    writer.add_bool("a.bool", True)
    writer.add_array("a.texts", ["", "Grüße", "a\nb"])
    writer.add_array("a.numbers", [1, -2, 3])
    writer.add_array("a.floats", [0.5, -1.25])
    expected = {}
    for kind, scales in SCALES.items():
        numbers, size = gguf.GGML_QUANT_SIZES[kind]
        blocks = random.integers(0, 256, (ROWS * 2, size), dtype=numpy.uint8)
        for at in scales:
            blocks[:, at:at + 2] = random.normal(0, 0.1, (ROWS * 2, 1)).astype(numpy.float16).view(numpy.uint8)
        data = blocks.reshape(ROWS, 2 * size)
        writer.add_tensor(kind.name.lower(), data, raw_dtype=kind)
        expected[kind.name.lower()] = gguf.quants.dequantize(data, kind)
    floats = random.normal(0, 1, (2, 3, 5)).astype(numpy.float32)
    writer.add_tensor("f32", floats)
    writer.add_tensor("f16", floats.astype(numpy.float16))
    brain = gguf.quants.quantize(floats, Kind.BF16)
    writer.add_tensor("bf16", brain, raw_dtype=Kind.BF16)
    expected |= {"f32": floats, "f16": floats.astype(numpy.float16).astype(numpy.float32)}
    expected["bf16"] = gguf.quants.dequantize(brain, Kind.BF16)
    source = random.normal(0, 1, (3, 64)).astype(numpy.float32)
    source[1, :32] = 0
    source[2] = numpy.round(source[2] * 8) / 8
    expected["q8.source"] = source
    packed = gguf.quants.quantize(source, Kind.Q8_0)
    expected["q8.packed"] = packed
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    save_file({name: numpy.ascontiguousarray(data) for name, data in expected.items()}, FOLDER / "packed.safetensors")


main()
