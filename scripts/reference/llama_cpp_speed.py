#!/usr/bin/env python3
"""Times Kiln and llama.cpp on the same GGUF files, in turns: tokens a second of reading a prompt and of writing.

    python3 scripts/reference/llama_cpp_speed.py --kiln target/release/kiln MODEL.gguf...
    python3 scripts/reference/llama_cpp_speed.py --kiln target/release/kiln --make FOLDER [F32 BF16 Q8_0 Q4_0]

--make writes random models of Llama's shape into FOLDER, 134 million parameters in each of these types, and times them.
Needs the packages `xllamacpp`, which carries llama.cpp, and `gguf`. Both programs have as many threads. A round is one
process of each; what counts is the median of the rounds.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys

import numpy

LAYERS, WIDTH, INNER, HEADS, VOCABULARY, CONTEXT = 12, 768, 2048, 12, 32000, 1024
TYPES = ["F32", "F16", "BF16", "Q8_0", "Q4_0"]


def byte_texts():
    """The texts that stand for the 256 bytes in GPT-2's vocabulary."""
    plain = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [byte for byte in range(256) if byte not in plain]
    texts = {byte: chr(byte) for byte in plain} | {byte: chr(256 + index) for index, byte in enumerate(others)}
    return [texts[byte] for byte in range(256)]


def make(path, kind):
    import gguf
    from gguf.quants import quantize

    kind = gguf.GGMLQuantizationType[kind]
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_context_length(CONTEXT)
    writer.add_embedding_length(WIDTH)
    writer.add_block_count(LAYERS)
    writer.add_feed_forward_length(INNER)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(HEADS)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_dimension_count(WIDTH // HEADS)
    writer.add_vocab_size(VOCABULARY)
    single = byte_texts()
    pairs = [(first, second) for first in single[:180] for second in single[:180]][: VOCABULARY - 258]
    tokens = ["<s>", "</s>", *single, *(first + second for first, second in pairs)]
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("default")
    writer.add_token_list(tokens)
    writer.add_token_types([3, 3] + [1] * (VOCABULARY - 2))
    writer.add_token_merges([f"{first} {second}" for first, second in pairs])
    writer.add_bos_token_id(0)
    writer.add_eos_token_id(1)
    generator = numpy.random.default_rng(0)

    def matrix(name, rows, columns):
        numbers = (generator.standard_normal((rows, columns)) * 0.02).astype(numpy.float32)
        if kind == gguf.GGMLQuantizationType.F32:
            writer.add_tensor(name, numbers)
        else:
            writer.add_tensor(name, quantize(numbers, kind), raw_dtype=kind)

    def ones(name):
        writer.add_tensor(name, numpy.ones(WIDTH, numpy.float32))

    matrix("token_embd.weight", VOCABULARY, WIDTH)
    ones("output_norm.weight")
    matrix("output.weight", VOCABULARY, WIDTH)
    for layer in range(LAYERS):
        prefix = f"blk.{layer}."
        for part in ["attn_q", "attn_k", "attn_v", "attn_output"]:
            matrix(f"{prefix}{part}.weight", WIDTH, WIDTH)
        for part in ["ffn_gate", "ffn_up"]:
            matrix(f"{prefix}{part}.weight", INNER, WIDTH)
        matrix(f"{prefix}ffn_down.weight", WIDTH, INNER)
        ones(f"{prefix}attn_norm.weight")
        ones(f"{prefix}ffn_norm.weight")
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def theirs(path, prompt, tokens, threads):
    """Tokens a second of reading and of writing by llama.cpp, after a first text that is not timed."""
    import xllamacpp

    parameters = xllamacpp.CommonParams()
    parameters.model.path = path
    parameters.n_ctx = prompt + tokens + 8
    parameters.n_parallel = 1
    parameters.n_batch = parameters.n_ubatch = 512
    parameters.cpuparams.n_threads = parameters.cpuparams_batch.n_threads = threads
    server = xllamacpp.Server(parameters)
    for turn in range(2):
        answer = server.handle_completions({
            "prompt": [(index * 7 + turn) % 200 + 3 for index in range(prompt)], "n_predict": tokens,
            "temperature": 0, "cache_prompt": False, "ignore_eos": True,
        })
    answer = json.loads(answer) if isinstance(answer, str) else answer
    timings = answer["timings"]
    print(json.dumps([timings["prompt_per_second"], timings["predicted_per_second"]]))


def ours(kiln, path, prompt, tokens, threads):
    report = json.loads(subprocess.run(
        [kiln, "bench", "generate", path, "--prompt-tokens", str(prompt), "--tokens", str(tokens - 1), "--rounds", "1",
         "--device", "cpu", "--no-limits", "--json"],
        check=True, capture_output=True, env={**os.environ, "RAYON_NUM_THREADS": str(threads)}).stdout)
    return [report["prefill_tokens_per_second"], report["decode_tokens_per_second"]]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("models", nargs="*")
    parser.add_argument("--kiln", required=True)
    parser.add_argument("--make", metavar="FOLDER")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--prompt-tokens", type=int, default=512)
    parser.add_argument("--tokens", type=int, default=64)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--theirs", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    prompt, tokens, threads = arguments.prompt_tokens, arguments.tokens, arguments.threads
    if arguments.theirs:
        return theirs(arguments.models[0], prompt, tokens, threads)
    models = arguments.models
    if arguments.make:
        os.makedirs(arguments.make, exist_ok=True)
        models = [os.path.join(arguments.make, f"llama-134m-{kind}.gguf") for kind in arguments.models or TYPES]
        for path, kind in zip(models, arguments.models or TYPES):
            if not os.path.exists(path):
                make(path, kind)
    same = ["--prompt-tokens", str(prompt), "--tokens", str(tokens), "--threads", str(threads)]
    print(f"tokens a second, {threads} threads, the median of {arguments.rounds} rounds: Kiln / llama.cpp = ratio")
    for path in models:
        rounds = []
        for _ in range(arguments.rounds):
            own = ours(arguments.kiln, path, prompt, tokens, threads)
            other = subprocess.run([sys.executable, __file__, "--kiln", "", "--theirs", *same, path],
                                   check=True, capture_output=True, text=True).stdout
            rounds.append([*own, *json.loads(other.splitlines()[-1])])
        read, write, their_read, their_write = (statistics.median(column) for column in zip(*rounds))
        print(f"{os.path.basename(path)}: reading {prompt} {read:.0f} / {their_read:.0f} = {read / their_read:.2f}, "
              f"writing {write:.1f} / {their_write:.1f} = {write / their_write:.2f}", flush=True)


if __name__ == "__main__":
    main()
