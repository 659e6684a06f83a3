#!/usr/bin/env python3
"""The perplexity of a GGUF model on a text by `llama.cpp`, in the windows of `kiln eval`, beside Kiln's.

    python3 scripts/reference/llama_cpp_perplexity.py KILN MODEL.gguf TEXT [CONTEXT]     # KILN is the binary

Needs the packages `xllamacpp`, which carries llama.cpp, and `gguf`. The tokens are those of `kiln eval --per-token`, so that models are compared and
not tokenizers. With CONTEXT Kiln reads a copy of the model that says it is made for so few tokens. Windows begin every CONTEXT tokens, and the last
one is moved back to end with the text; what the one before it has predicted counts once. llama.cpp is asked for one token at a time, with the next
one of the text made so likely that it is chosen; what it says of its probability is of the logits as they were. Ends with 1 if the perplexities differ by
more than 0.1 %.
"""

import json
import math
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import gguf

from llama_cpp import server_of


def with_context(path, folder, context):
    """A copy that says another context."""
    copy = Path(folder) / "model.gguf"
    shutil.copyfile(path, copy)
    reader = gguf.GGUFReader(copy, "r+")
    field = next(field for name, field in reader.fields.items() if name.endswith(".context_length"))
    field.parts[field.data[0]][0] = context
    reader.data.flush()
    return str(copy)


def by_kiln(kiln, path, text):
    """Numbers of all tokens, and the nats of each but the first."""
    run = [kiln, "eval", path, text, "--per-token", "--device", "cpu", "--streams", "1"]
    lines = subprocess.run(run, check=True, capture_output=True, text=True).stdout.split("\n")[1:]
    rows = [line.split("\t") for line in lines if line]
    return [int(row[1]) for row in rows], [float(row[3]) for row in rows[1:]]


def by_llama_cpp(server, tokens, context):
    """The nats of each token but the first."""
    nats, done, targets = [], 0, len(tokens) - 1
    for begin in range(0, targets, context):
        begin = max(0, min(begin, targets - context))
        for place in range(done, min(begin + context, targets)):
            answer = server.handle_completions({
                "prompt": tokens[begin:place + 1], "n_predict": 1, "n_probs": 1, "temperature": 0, "samplers": ["temperature"],
                "logit_bias": [[tokens[place + 1], 1000.0]], "cache_prompt": True,
            })
            answer = json.loads(answer) if isinstance(answer, str) else answer
            if "choices" not in answer:
                sys.exit(f"llama.cpp refuses place {place}: {answer}")
            [found] = answer["choices"][0]["logprobs"]["content"]
            if found["id"] != tokens[place + 1]:
                sys.exit(f"llama.cpp chose {found['id']} and not {tokens[place + 1]} in place {place}")
            nats.append(-found["logprob"])
        done = min(begin + context, targets)
    return nats


def main():
    kiln, path, text = sys.argv[1:4]
    with tempfile.TemporaryDirectory() as folder:
        fields = gguf.GGUFReader(path).fields
        context = int(next(field for name, field in fields.items() if name.endswith(".context_length")).contents())
        ours_at = path
        if len(sys.argv) > 4:
            context = int(sys.argv[4])
            ours_at = with_context(path, folder, context)
        tokens, ours = by_kiln(kiln, ours_at, text)
        # With room for the token that is chosen.
        theirs = by_llama_cpp(server_of(path, context + 256), tokens, context)
    mean = [sum(nats) / len(nats) for nats in (ours, theirs)]
    perplexity = [math.exp(nats) for nats in mean]
    off = perplexity[0] / perplexity[1] - 1
    largest = max(abs(left - right) for left, right in zip(ours, theirs))
    print(f"{len(theirs)} tokens in windows of {context}: Kiln {mean[0]:.6f} nats a token, perplexity {perplexity[0]:.4f}; "
          f"llama.cpp {mean[1]:.6f}, {perplexity[1]:.4f}; {100 * off:+.4f} %, largest difference of a token {largest:.4f} nats")
    sys.exit(abs(off) > 1e-3)


if __name__ == "__main__":
    main()
