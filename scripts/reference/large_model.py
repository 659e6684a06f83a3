"""Writes a Llama of 1.1 billion random weights in bfloat16 (the shape of TinyLlama, 2.2 GB), to measure with opening.py how
long a model takes to open and how much memory. The tokenizer has one token a byte and the rest unused.

usage: large_model.py FOLDER
"""

import json
import sys
from pathlib import Path

import numpy
from tokenizers import Tokenizer, decoders, models, pre_tokenizers

LAYERS, WIDTH, HEADS, KEY_VALUE_HEADS, FEED_FORWARD, VOCABULARY = 22, 2048, 32, 4, 5632, 32000


def shapes():
    narrow = WIDTH // HEADS * KEY_VALUE_HEADS
    yield "model.embed_tokens.weight", (VOCABULARY, WIDTH)
    for layer in range(LAYERS):
        block = f"model.layers.{layer}."
        yield block + "input_layernorm.weight", (WIDTH,)
        yield block + "self_attn.q_proj.weight", (WIDTH, WIDTH)
        yield block + "self_attn.k_proj.weight", (narrow, WIDTH)
        yield block + "self_attn.v_proj.weight", (narrow, WIDTH)
        yield block + "self_attn.o_proj.weight", (WIDTH, WIDTH)
        yield block + "post_attention_layernorm.weight", (WIDTH,)
        yield block + "mlp.gate_proj.weight", (FEED_FORWARD, WIDTH)
        yield block + "mlp.up_proj.weight", (FEED_FORWARD, WIDTH)
        yield block + "mlp.down_proj.weight", (WIDTH, FEED_FORWARD)
    yield "model.norm.weight", (WIDTH,)
    yield "lm_head.weight", (VOCABULARY, WIDTH)


def numbers(generator, shape):
    """The upper halves of numbers in single precision: weights of a norm near 1, others near 0."""
    scale, mean = (0.1, 1.0) if len(shape) == 1 else (0.02, 0.0)
    values = generator.standard_normal(shape, dtype=numpy.float32) * numpy.float32(scale) + numpy.float32(mean)
    return (values.view(numpy.uint32) >> 16).astype(numpy.uint16)


def main():
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    header, end = {"__metadata__": {"format": "pt"}}, 0
    for name, shape in shapes():
        start, end = end, end + 2 * int(numpy.prod(shape))
        header[name] = {"dtype": "BF16", "shape": list(shape), "data_offsets": [start, end]}
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    generator = numpy.random.default_rng(1)
    with open(folder / "model.safetensors", "wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        for _, shape in shapes():
            numbers(generator, shape).tofile(file)
    config = {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "hidden_act": "silu",
        "hidden_size": WIDTH,
        "intermediate_size": FEED_FORWARD,
        "max_position_embeddings": 2048,
        "num_attention_heads": HEADS,
        "num_hidden_layers": LAYERS,
        "num_key_value_heads": KEY_VALUE_HEADS,
        "rms_norm_eps": 1e-5,
        "rope_theta": 10000.0,
        "tie_word_embeddings": False,
        "torch_dtype": "bfloat16",
        "vocab_size": VOCABULARY,
    }
    (folder / "config.json").write_text(json.dumps(config, indent=2))
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {character: number for number, character in enumerate(alphabet)}
    vocabulary |= {f"unused{number}": number for number in range(len(alphabet), VOCABULARY)}
    tokenizer = Tokenizer(models.BPE(vocabulary, []))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.save(str(folder / "tokenizer.json"))


main()
