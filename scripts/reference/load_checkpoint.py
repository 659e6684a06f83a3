#!/usr/bin/env python3
"""Opens what Kiln saved with Python's own `safetensors` and `tokenizers`, and says what is in it.

    python3 scripts/reference/load_checkpoint.py runs/quickstart              # every checkpoint of a run
    python3 scripts/reference/load_checkpoint.py runs/quickstart/checkpoints/step-00000500
    python3 scripts/reference/load_checkpoint.py runs/quickstart --text "To be"

Writes no file. Prints each tensor's name, shape and type, and a text that went through the tokenizer and back. The exit
code is 0 where all files opened, every float is finite and the text came back as it was, 1 where something is wrong, 2 where
the packages are missing.
"""

import argparse
import sys
from pathlib import Path

try:
    import numpy
    from safetensors import SafetensorError, safe_open
    from tokenizers import Tokenizer
except ImportError as error:
    print(f"{error}; install the packages with: pip install -r scripts/reference/requirements.txt", file=sys.stderr)
    sys.exit(2)


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("path", type=Path, metavar="RUN", help="a run's folder, or that of one checkpoint")
    parser.add_argument("--text", help="encode and decode this (default: the ASCII characters that the tokenizer knows)")
    return parser.parse_args()


def checkpoints(path):
    """The checkpoint folders under a run, or the folder itself where it is one."""
    if (path / "model.safetensors").is_file():
        return [path]
    return sorted(file.parent for file in path.glob("checkpoints/*/model.safetensors"))


def tokenizer_file(path):
    """`tokenizer.json` of the run that `path` is, or is a checkpoint of."""
    for folder in (path, *path.resolve().parents[:2]):
        if (folder / "tokenizer.json").is_file():
            return folder / "tokenizer.json"
    return None


def show_weights(file):
    """Prints the tensors of a file; returns what is wrong with them."""
    problems, total = [], 0
    with safe_open(file, framework="numpy") as tensors:
        print(f"{file}: {len(tensors.keys())} tensors, metadata {tensors.metadata()}")
        for name in tensors.keys():
            value = tensors.get_tensor(name)
            total += value.size
            finite = bool(numpy.isfinite(value).all()) if value.dtype.kind == "f" else True
            spread = f"mean {value.mean():+.4f}, deviation {value.std():.4f}" if value.size and finite else "NOT FINITE"
            print(f"  {name:<52} {str(list(value.shape)):<16} {value.dtype}  {spread}")
            if not finite:
                problems.append(f"{file}: {name} holds values that are not finite")
    print(f"  {total} values")
    return problems if total else [f"{file}: no values"]


def through(tokenizer, text):
    """The tokens of a text, and the text of those tokens."""
    tokens = tokenizer.encode(text, add_special_tokens=False).ids
    return tokens, tokenizer.decode(tokens)


def known_characters(tokenizer):
    """The printable ASCII characters that survive the way there and back; not a space, which a decoder may trim."""

    def survives(character):
        try:
            return through(tokenizer, character)[1] == character
        except Exception:  # a vocabulary of characters without a token for unknown ones; nothing narrower is raised
            return False

    return "".join(filter(survives, map(chr, range(33, 127))))


def show_tokenizer(file, text):
    """Sends a text through the tokenizer and back; returns what is wrong."""
    tokenizer = Tokenizer.from_file(str(file))
    size = tokenizer.get_vocab_size()
    text = known_characters(tokenizer) if text is None else text
    tokens, back = through(tokenizer, text)
    print(f"{file}: {size} tokens; {text!r} -> {tokens} -> {back!r}")
    problems = [] if back == text and tokens else [f"{file}: {text!r} came back as {back!r}"]
    return problems + [f"{file}: token {token} is out of range" for token in tokens if token >= size]


def main():
    options = arguments()
    folders = checkpoints(options.path)
    problems = [] if folders else [f"{options.path}: no model.safetensors here or under checkpoints/"]
    for folder in folders:
        try:
            problems += show_weights(folder / "model.safetensors")
        except (SafetensorError, OSError) as error:
            problems.append(f"{folder / 'model.safetensors'}: {error}")
    file = tokenizer_file(options.path)
    try:
        problems += show_tokenizer(file, options.text) if file else [f"{options.path}: no tokenizer.json"]
    except Exception as error:  # the package raises nothing narrower
        problems.append(f"{file}: {error}")
    for problem in problems:
        print(problem, file=sys.stderr)
    sys.exit(1 if problems else 0)


if __name__ == "__main__":
    main()
