#!/usr/bin/env python3
"""Compares Kiln with llama.cpp on a GGUF file: a greedy continuation, and the log-probability of each of its tokens.

    python3 scripts/reference/llama_cpp.py KILN MODEL.gguf [PROMPT]     # KILN is the binary

Needs the package `xllamacpp`, which carries llama.cpp. Ends with 1 if a token differs where it isn't a tie, or a
log-probability by more than 0.02 nats.
"""

import json
import subprocess
import sys

import xllamacpp

STEPS, CONTEXT = 32, 256


def server_of(path, context):
    """llama.cpp with a model, which keeps keys and values in single precision."""
    parameters = xllamacpp.CommonParams()
    parameters.model.path = path
    parameters.n_ctx = context
    parameters.n_parallel = 1
    parameters.warmup = False
    # Threads that wait for one another do so busily, which is slow beside other programs.
    parameters.cpuparams.n_threads = parameters.cpuparams_batch.n_threads = 1
    parameters.cache_type_k = parameters.cache_type_v = xllamacpp.ggml_type.GGML_TYPE_F32
    # The fused attention works in half precision.
    parameters.flash_attn_type = xllamacpp.llama_flash_attn_type.LLAMA_FLASH_ATTN_TYPE_DISABLED
    return xllamacpp.Server(parameters)


def continued(path, prompt):
    """The tokens that llama.cpp chooses, with their log-probabilities."""
    server = server_of(path, CONTEXT)
    answer = server.handle_completions({
        "prompt": prompt, "n_predict": STEPS, "temperature": 0, "n_probs": 2, "samplers": ["temperature"],
        "cache_prompt": False, "ignore_eos": True,
    })
    answer = json.loads(answer) if isinstance(answer, str) else answer
    choice = answer["choices"][0] if "choices" in answer else answer
    places = choice["logprobs"]["content"] if "logprobs" in choice else answer["completion_probabilities"]
    text = choice.get("text", answer.get("content"))
    return text, [(place["id"], place["logprob"], place["top_logprobs"]) for place in places]


def compared(kiln, path, prompt):
    """What `llama.cpp` and Kiln write, the largest difference of a log-probability, and how many were compared."""
    text, places = continued(path, prompt)
    run = lambda *arguments: json.loads(subprocess.run(
        [kiln, *arguments, "--device", "cpu", "--json"], check=True, capture_output=True).stdout)
    ours = run("sample", path, "--prompt", prompt, "-t", "0", "-n", str(STEPS))
    scores = run("score", path, "--text", prompt + text, "--top", "2")["tokens"]
    first = len(run("score", path, "--text", prompt)["tokens"])
    largest, count = 0.0, 0
    for (token, theirs, top), score in zip(places, scores[first:]):
        if token != score["id"]:
            print("the text was cut into other tokens at", repr(score["text"]))
            break
        largest, count = max(largest, abs(theirs - score["log_probability"])), count + 1
    return text, ours["text"], largest, count


def main():
    kiln, path = sys.argv[1:3]
    prompt = sys.argv[3] if len(sys.argv) > 3 else "The king said to"
    text, ours, largest, count = compared(kiln, path, prompt)
    print(f"{path}: continuation {'equal' if ours == text else 'differs'}, {count} log-probabilities, largest difference {largest:.5f}")
    if ours != text:
        print("llama.cpp:", repr(text), "\nKiln:     ", repr(ours))
    sys.exit(0 if ours == text and largest < 0.02 else 1)


if __name__ == "__main__":
    main()
