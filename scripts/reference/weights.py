#!/usr/bin/env python3
"""The forward pass of a checkpoint in NumPy alone, held against `kiln eval --per-token`.

    kiln eval runs/quickstart text.txt --per-token | python3 scripts/reference/weights.py runs/quickstart
    echo 3 1 4 1 5 | python3 scripts/reference/weights.py runs/quickstart/checkpoints/step-00000500

Standard input holds what `kiln eval --per-token` printed, or token ids with blanks between them. Prints the loss of
every token but the first in nats (not with `--quiet`), their mean, and the greatest difference to Kiln's losses where
they came along. The exit code is 0 where that is at most `--tolerance`, 1 where it is more, 2 where a file or the input
can't be used. Writes no file.

Computes in double precision, where Kiln computes in single. docs/weights.md explains names, shapes and equations.
"""

import argparse
import json
import math
import sys
import tomllib
from pathlib import Path

try:
    import numpy as np
except ImportError as error:
    print(f"{error}; install it with: pip install numpy", file=sys.stderr)
    sys.exit(2)


# --- files ------------------------------------------------------------------------------------------------------------


def read_safetensors(path):
    """The tensors of a file by name, and the texts of its header: 8 bytes of length, a JSON header, the numbers."""
    content = path.read_bytes()
    length = int.from_bytes(content[:8], "little")
    header, data = json.loads(content[8 : 8 + length]), content[8 + length :]
    texts = header.pop("__metadata__", {})
    tensors = {}
    for name, entry in header.items():
        if entry["dtype"] != "F32":
            raise ValueError(f"{path}: {name} is {entry['dtype']}, expected F32")
        start, end = entry["data_offsets"]
        tensors[name] = np.frombuffer(data[start:end], "<f4").reshape(entry["shape"]).astype(np.float64)
    return tensors, texts


def checkpoint_folder(path):
    """The folder that holds `model.safetensors`: of a run, its best checkpoint."""
    if (path / "best").is_file():
        return path / "checkpoints" / (path / "best").read_text().strip()
    return path


def carries_state(folder):
    """Whether a recurrent network keeps its state from window to window: where training windows are streams."""
    for parent in (folder, *folder.resolve().parents[:2]):
        if (parent / "config.toml").is_file():
            return tomllib.loads((parent / "config.toml").read_text())["run"]["windows"] == "streams"
    return True


def read_input(text):
    """Token ids and, where they are there, Kiln's losses of all but the first."""
    lines = text.splitlines()
    if not lines or not lines[0].startswith("place\t"):
        return [int(word) for word in text.split()], None
    # The third field is JSON text, in which a tab is written \t.
    rows = [line.split("\t") for line in lines[1:]]
    return [int(row[1]) for row in rows], [float(row[3]) for row in rows[1:]]


# --- functions --------------------------------------------------------------------------------------------------------


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def relu(x):
    return np.maximum(x, 0)


def gelu(x):
    return x * 0.5 * (1 + np.vectorize(math.erf)(x / math.sqrt(2)))


def gelu_tanh(x):
    return 0.5 * x * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))


def swiglu(x):
    gate, up = np.split(x, 2, axis=-1)
    return gate * sigmoid(gate) * up


def geglu_tanh(x):
    gate, up = np.split(x, 2, axis=-1)
    return gelu_tanh(gate) * up


FEED_FORWARD = {
    "gelu": gelu,
    "gelu-tanh": gelu_tanh,
    "relu-squared": lambda x: relu(x) ** 2,
    "swiglu": swiglu,
    "geglu-tanh": geglu_tanh,
}


def soft_cap(x, cap):
    return x if cap is None else cap * np.tanh(x / cap)


def softmax(x):
    powers = np.exp(x - x.max(axis=-1, keepdims=True))
    return powers / powers.sum(axis=-1, keepdims=True)


def losses(logits, targets):
    """Cross-entropy of each row, nats."""
    greatest = logits.max(axis=-1, keepdims=True)
    log_sum = greatest[:, 0] + np.log(np.exp(logits - greatest).sum(axis=-1))
    return log_sum - logits[np.arange(len(targets)), targets]


# --- recurrent networks -----------------------------------------------------------------------------------------------


def rnn_step(config, weights, projected, hidden, _cell):
    phi = relu if config["activation"] == "relu" else np.tanh
    return phi(projected + hidden @ weights["hidden_weight"]), None


def lstm_step(_config, weights, projected, hidden, cell):
    i, f, o, g = np.split(projected + hidden @ weights["hidden_weight"], 4)
    cell = sigmoid(f) * cell + sigmoid(i) * np.tanh(g)
    return sigmoid(o) * np.tanh(cell), cell


def gru_step(_config, weights, projected, hidden, _cell):
    r, z, n = np.split(projected, 3)
    hidden_r, hidden_z, hidden_n = np.split(hidden @ weights["hidden_weight"], 3)
    r, z = sigmoid(r + hidden_r), sigmoid(z + hidden_z)
    n = np.tanh(n + r * (hidden_n + weights["hidden_bias"]))
    return (1 - z) * n + z * hidden, None


STEPS = {"rnn": rnn_step, "lstm": lstm_step, "gru": gru_step}


class Recurrent:
    def __init__(self, family, config, tensors):
        self.step, self.config, self.tensors = STEPS[family], config, tensors

    def layer(self, index):
        prefix = f"layers.{index}."
        return {name.removeprefix(prefix): value for name, value in self.tensors.items() if name.startswith(prefix)}

    def logits(self, tokens, state):
        """Logits [T, V] after each token, and the state, a pair (h, c) for each layer."""
        zeros = np.zeros(self.config["hidden"])
        state = state or [(zeros, zeros)] * self.config["layers"]
        outputs, after = self.tensors["embedding.weight"][tokens], []
        for index, (hidden, cell) in enumerate(state):
            weights = self.layer(index)
            steps = []
            for projected in outputs @ weights["input_weight"] + weights["bias"]:
                hidden, cell = self.step(self.config, weights, projected, hidden, cell)
                steps.append(hidden)
            outputs = np.array(steps)
            after.append((hidden, cell))
        head = self.tensors.get("output.weight", self.tensors["embedding.weight"].T)
        return outputs @ head + self.tensors["output.bias"], after


# --- transformer ------------------------------------------------------------------------------------------------------


class Transformer:
    def __init__(self, config, tensors):
        self.config, self.tensors = config, tensors
        self.heads = config["heads"]
        self.key_heads = config.get("key-value-heads", self.heads)
        self.head_width = config.get("head-width", config["width"] // self.heads)
        if "rotary-scaling" in config:
            raise SystemExit("this script has no rotary-scaling")

    def layer_kind(self, index):
        pattern = self.config.get("layer-pattern") or ["local" if "attention-window" in self.config else "global"]
        return pattern[index % len(pattern)]

    def affine(self, x, name):
        return x @ self.tensors[f"{name}.weight"] + self.tensors.get(f"{name}.bias", 0.0)

    def norm(self, x, name, kind):
        epsilon = self.config["norm-epsilon"]
        if kind == "layer":
            x = x - x.mean(axis=-1, keepdims=True)
        unit = x / np.sqrt((x**2).mean(axis=-1, keepdims=True) + epsilon)
        return unit * self.tensors[f"{name}.weight"] + self.tensors.get(f"{name}.bias", 0.0)

    def normed(self, x, name):
        """With the norm of that name, if there is one."""
        return self.norm(x, name, self.config["norm"]) if f"{name}.weight" in self.tensors else x

    def rotate(self, x, base):
        """Turns component j of each head [T, heads, D] with component j + R/2 by position base^(-2 j / R)."""
        rotated = int(self.head_width * self.config.get("rotary-fraction", 1.0))
        half = rotated // 2
        frequencies = base ** (-2 * np.arange(half) / rotated)
        angles = (np.arange(len(x))[:, None] * frequencies)[:, None, :]
        first, second, rest = x[..., :half], x[..., half:rotated], x[..., rotated:]
        turned = (first * np.cos(angles) - second * np.sin(angles), second * np.cos(angles) + first * np.sin(angles))
        return np.concatenate((*turned, rest), axis=-1)

    def query_key_norm(self, x, name):
        """Over each head [T, heads, D], or over all of them together."""
        if self.config.get("query-key-norm-over", "head") == "head":
            return self.norm(x, name, "rms")
        return self.norm(x.reshape(len(x), -1), name, "rms").reshape(x.shape)

    def attention(self, x, name, kind):
        packed = self.affine(x, f"{name}.query_key_value").reshape(len(x), -1, self.head_width)
        query, key, value = np.split(packed, (self.heads, self.heads + self.key_heads), axis=1)
        if self.config["query-key-norm"]:
            query, key = self.query_key_norm(query, f"{name}.query_norm"), self.query_key_norm(key, f"{name}.key_norm")
        if self.config["position"] == "rotary" and kind != "unrotated":
            base = self.config["rotary-base"]
            base = self.config.get("local-rotary-base", base) if kind == "local" else base
            query, key = self.rotate(query, base), self.rotate(key, base)
        readers = self.heads // self.key_heads
        key, value = np.repeat(key, readers, axis=1), np.repeat(value, readers, axis=1)
        scores = np.einsum("thd,shd->hts", query, key) * self.config.get("attention-scale", self.head_width**-0.5)
        scores = soft_cap(scores, self.config.get("attention-soft-cap"))
        distance = np.arange(len(x))[:, None] - np.arange(len(x))
        window = self.config["attention-window"] if kind == "local" else len(x)
        scores = np.where((distance >= 0) & (distance < window), scores, -np.inf)
        mixed = np.einsum("hts,shd->thd", softmax(scores), value)
        return self.affine(mixed.reshape(len(x), -1), f"{name}.output")

    def logits(self, tokens, _state):
        """Logits [T, V] after each token; there is no state."""
        activation = FEED_FORWARD[self.config["activation"]]
        table = self.tensors["token_embedding.weight"]
        x = table[tokens]
        if self.config.get("scaled-embeddings"):
            x = x * math.sqrt(self.config["width"])
        if self.config["position"] == "learned":
            x = x + self.tensors["position_embedding.weight"][: len(tokens)]
        for index in range(self.config["layers"]):
            name = f"blocks.{index}"
            attended = self.attention(self.normed(x, f"{name}.attention_norm"), f"{name}.attention", self.layer_kind(index))
            attended = self.normed(attended, f"{name}.attention_output_norm")
            read = x if self.config.get("parallel-residual") else x + attended
            inner = self.affine(self.normed(read, f"{name}.feed_forward_norm"), f"{name}.feed_forward.input")
            fed = self.affine(activation(inner), f"{name}.feed_forward.output")
            x = x + attended + self.normed(fed, f"{name}.feed_forward_output_norm")
        x = self.normed(x, "final_norm")
        logits = x @ self.tensors.get("output.weight", table.T)
        return soft_cap(logits, self.config.get("logit-soft-cap")), None


# --- reading a text ---------------------------------------------------------------------------------------------------


def text_losses(model, tokens, context, carries):
    """The loss of every token but the first, read as `kiln eval --per-token` does.

    With a carried state the text is one stream. Without, windows of `context` tokens follow one another; the last is
    moved back to end with the text, and only what is new in it counts.
    """
    targets = len(tokens) - 1
    columns = min(context, targets)
    found, state = [], None
    for first in range(0, targets, columns):
        start = first if carries else min(first, targets - columns)
        end = min(start + columns, targets)
        logits, after = model.logits(tokens[start:end], state)
        state = after if carries else None
        found.extend(losses(logits, tokens[start + 1 : end + 1])[first - start :])
    return np.array(found)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("path", type=Path, metavar="RUN", help="a run, for its best checkpoint, or a checkpoint")
    parser.add_argument("--tolerance", type=float, default=1e-5, help="greatest difference, nats (default: 1e-5)")
    parser.add_argument("--quiet", action="store_true", help="print no line for each token")
    options = parser.parse_args()
    try:
        folder = checkpoint_folder(options.path)
        tensors, texts = read_safetensors(folder / "model.safetensors")
        description = json.loads(texts["kiln"])
        tokens, expected = read_input(sys.stdin.read())
    except (OSError, KeyError, IndexError, ValueError) as error:
        print(f"cannot read: {error!r}", file=sys.stderr)
        return 2
    if len(tokens) < 2 or not all(0 <= token < description["vocabulary-size"] for token in tokens):
        print(f"needs two token ids or more, from 0 to {description['vocabulary-size'] - 1}", file=sys.stderr)
        return 2
    ((family, config),) = description["model"].items()
    is_recurrent = family in STEPS
    model = Recurrent(family, config, tensors) if is_recurrent else Transformer(config, tensors)
    carries = is_recurrent and carries_state(folder)
    found = text_losses(model, np.array(tokens), description["context"], carries)
    if not options.quiet:
        for place, (token, loss) in enumerate(zip(tokens[1:], found), start=1):
            print(f"{place}\t{token}\t{loss:.6f}")
    print(f"{family}: {len(found)} tokens, mean loss {found.mean():.6f} nats")
    if expected is None:
        return 0
    difference = float(np.abs(found - np.array(expected)).max())
    print(f"greatest difference to Kiln's losses: {difference:.1e} nats")
    return 0 if difference <= options.tolerance else 1


if __name__ == "__main__":
    sys.exit(main())
