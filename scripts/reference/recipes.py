"""The PyTorch side of the recipes in configs/shakespeare and configs/bench: models, batches, optimizers, rates, evaluation.

A module that `train_shakespeare.py` and `step_time.py` import; it is not run by itself and writes nothing.

Every recipe is a class with the same four methods, so that a training loop and a stopwatch can use it alike:
`batch()` gives the next input and target, `loss(batch)` the mean loss of one in nats a token, `rate(step)` the learning
rate, and `evaluate(tokens)` the mean loss over a whole split. What the models are:

- the transformer is nanoGPT's reading of GPT-2: learned positions, LayerNorm before each part, GELU by the error
  function, no biases, the head tied to the embedding, initial weights N(0, 0.02), those of the products that write into
  the residual stream N(0, 0.02 / sqrt(2 layers));
- the recurrent models are `torch.nn.RNN`, `LSTM` and `GRU` with PyTorch's own initial weights (U(-k, k), k = 1/sqrt(width);
  the embedding N(0, 1); the head U(-k, k)), an embedding and an untied head with a bias.
"""

import contextlib
import math
from dataclasses import dataclass, replace

import torch
from torch import nn
from torch.nn import functional as F


# --- text -------------------------------------------------------------------------------------------------------------


def read_splits(path):
    """The text's characters as tokens: `(train, validation, vocabulary size)`; the first 90 % of the characters train."""
    with open(path, encoding="utf-8", newline="") as file:
        text = file.read()
    alphabet = sorted(set(text))
    index = {character: token for token, character in enumerate(alphabet)}
    tokens = torch.tensor([index[character] for character in text], dtype=torch.long)
    boundary = int(0.9 * len(text))
    return tokens[:boundary], tokens[boundary:], len(alphabet)


# --- transformer ------------------------------------------------------------------------------------------------------


class CausalAttention(nn.Module):
    """Multi-head causal self-attention with one product for queries, keys and values."""

    def __init__(self, width, heads, dropout):
        super().__init__()
        self.heads, self.dropout = heads, dropout
        self.query_key_value = nn.Linear(width, 3 * width, bias=False)
        self.output = nn.Linear(width, width, bias=False)

    def forward(self, x):
        batch, time, width = x.shape
        shape = (batch, time, self.heads, width // self.heads)
        query, key, value = (part.view(shape).transpose(1, 2) for part in self.query_key_value(x).split(width, dim=2))
        dropout = self.dropout if self.training else 0.0
        mixed = F.scaled_dot_product_attention(query, key, value, dropout_p=dropout, is_causal=True)
        mixed = mixed.transpose(1, 2).reshape(batch, time, width)
        return F.dropout(self.output(mixed), self.dropout, self.training)


class Block(nn.Module):
    """x + attention(norm(x)), then x + feed-forward(norm(x))."""

    def __init__(self, width, heads, dropout):
        super().__init__()
        self.dropout = dropout
        self.attention_norm = nn.LayerNorm(width, bias=False)
        self.attention = CausalAttention(width, heads, dropout)
        self.feed_forward_norm = nn.LayerNorm(width, bias=False)
        self.up = nn.Linear(width, 4 * width, bias=False)
        self.down = nn.Linear(4 * width, width, bias=False)

    def forward(self, x):
        x = x + self.attention(self.attention_norm(x))
        hidden = self.down(F.gelu(self.up(self.feed_forward_norm(x))))
        return x + F.dropout(hidden, self.dropout, self.training)


class Transformer(nn.Module):
    """Tokens [B, T] to logits [B, T, V]."""

    def __init__(self, vocabulary, layers, heads, width, context, dropout):
        super().__init__()
        self.dropout = dropout
        self.tokens = nn.Embedding(vocabulary, width)
        self.positions = nn.Embedding(context, width)
        self.blocks = nn.ModuleList(Block(width, heads, dropout) for _ in range(layers))
        self.norm = nn.LayerNorm(width, bias=False)
        for name, parameter in self.named_parameters():
            if parameter.dim() == 2:
                residual = name.endswith(("attention.output.weight", "down.weight"))
                nn.init.normal_(parameter, std=0.02 / math.sqrt(2 * layers) if residual else 0.02)

    def forward(self, tokens):
        positions = torch.arange(tokens.shape[1], device=tokens.device)
        x = F.dropout(self.tokens(tokens) + self.positions(positions), self.dropout, self.training)
        for block in self.blocks:
            x = block(x)
        return F.linear(self.norm(x), self.tokens.weight)


@dataclass(frozen=True)
class TransformerRecipe:
    """The numbers of a transformer's recipe; the defaults are what nanoGPT's Shakespeare recipes have in common."""

    layers: int
    heads: int
    width: int
    context: int
    batch: int
    dropout: float
    steps: int
    warmup: int = 100
    peak: float = 1e-3
    floor: float = 1e-4
    decay: float = 0.1
    betas: tuple = (0.9, 0.99)
    clip: float = 1.0


def cosine_with_warmup(step, warmup, steps, peak, floor):
    """nanoGPT's rate at a step (from 0): `peak (step + 1) / (warmup + 1)` in the warm-up, then half a cosine down to the floor."""
    if step < warmup:
        return peak * (step + 1) / (warmup + 1)
    if step > steps:
        return floor
    progress = (step - warmup) / (steps - warmup)
    return floor + 0.5 * (1 + math.cos(math.pi * progress)) * (peak - floor)


class TransformerTraining:
    """Random windows, AdamW with decay on matrices only, cosine rate with warm-up."""

    def __init__(self, recipe, train, vocabulary, steps, device, fused, autocast, compile_model, seed):
        self.recipe, self.clip, self.autocast = recipe, recipe.clip, autocast
        self.steps = recipe.steps if steps is None else steps
        self.train, self.device = train, torch.device(device)
        self.tokens_per_step = recipe.batch * recipe.context
        self.random = torch.Generator().manual_seed(seed)
        model = Transformer(vocabulary, recipe.layers, recipe.heads, recipe.width, recipe.context, recipe.dropout)
        self.model = model.to(self.device)
        matrices = [parameter for parameter in self.model.parameters() if parameter.dim() >= 2]
        others = [parameter for parameter in self.model.parameters() if parameter.dim() < 2]
        groups = [{"params": matrices, "weight_decay": recipe.decay}, {"params": others, "weight_decay": 0.0}]
        self.optimizer = torch.optim.AdamW(groups, lr=recipe.peak, betas=recipe.betas, eps=1e-8, fused=fused)
        self.call = torch.compile(self.model) if compile_model else self.model

    def rate(self, step):
        """The cosine over this training's steps."""
        recipe = self.recipe
        return cosine_with_warmup(step, recipe.warmup, self.steps, recipe.peak, recipe.floor)

    def batch(self):
        """The next `(inputs, targets)`, each [batch, context], from windows that begin anywhere in the split."""
        context = self.recipe.context
        starts = torch.randint(len(self.train) - context, (self.recipe.batch,), generator=self.random)
        windows = self.train[starts[:, None] + torch.arange(context + 1)]
        if self.device.type == "cuda":
            windows = windows.pin_memory().to(self.device, non_blocking=True)
        return windows[:, :-1], windows[:, 1:]

    def loss(self, batch):
        """The mean loss of a batch, in nats a token."""
        inputs, targets = batch
        mixed = torch.autocast(self.device.type, dtype=self.autocast) if self.autocast else contextlib.nullcontext()
        with mixed:
            return F.cross_entropy(self.call(inputs).flatten(0, 1), targets.flatten())

    @torch.no_grad()
    def evaluate(self, tokens, windows_at_once=32):
        """The mean loss over a split: windows of the context's length one after the other, every token but the first scored."""
        self.model.eval()
        context, total = self.recipe.context, 0.0
        whole = (len(tokens) - 1) // context
        starts = range(0, whole * context, windows_at_once * context)
        parts = []
        for start in starts:
            end = min(start + windows_at_once * context, whole * context)
            parts.append((tokens[start:end].view(-1, context), tokens[start + 1 : end + 1].view(-1, context)))
        if whole * context < len(tokens) - 1:
            parts.append((tokens[whole * context : -1][None], tokens[whole * context + 1 :][None]))
        for inputs, targets in parts:
            logits = self.model(inputs.to(self.device)).flatten(0, 1).float()
            total += F.cross_entropy(logits, targets.flatten().to(self.device), reduction="sum").item()
        self.model.train()
        return total / (len(tokens) - 1)


# --- recurrent models -------------------------------------------------------------------------------------------------


class Recurrent(nn.Module):
    """Tokens [B, T] and a state to logits [B, T, V] and the state after them."""

    def __init__(self, cell, vocabulary, embedding, width, layers):
        super().__init__()
        self.embedding = nn.Embedding(vocabulary, embedding)
        self.cells = cell(embedding, width, layers, batch_first=True)
        self.head = nn.Linear(width, vocabulary)

    def forward(self, tokens, state):
        hidden, state = self.cells(self.embedding(tokens), state)
        return self.head(hidden), state


def detached(state):
    """The same state, through which no gradient flows."""
    if state is None:
        return None
    return tuple(part.detach() for part in state) if isinstance(state, tuple) else state.detach()


CELLS = {"lstm": nn.LSTM, "gru": nn.GRU, "rnn": nn.RNN}


@dataclass(frozen=True)
class RecurrentRecipe:
    """The numbers of a recurrent network's recipe; the defaults are those of configs/shakespeare."""

    cell: str
    layers: int = 2
    width: int = 128
    embedding: int = 128
    streams: int = 50
    window: int = 50
    steps: int = 3000
    rate: float = 2e-3
    clip: float = 5.0


class RecurrentTraining:
    """Parallel streams of the text, truncated back-propagation with the state carried, Adam at a constant rate.

    The text is cut into as many equal consecutive pieces as there are streams; row `b` of every batch continues piece `b`
    where the batch before ended. After the last whole window of the pieces all streams begin again, with a state of zeros.
    """

    def __init__(self, recipe, train, vocabulary, steps, device, fused):
        self.recipe, self.clip, self.device = recipe, recipe.clip, torch.device(device)
        self.steps = recipe.steps if steps is None else steps
        self.tokens_per_step = recipe.streams * recipe.window
        length = len(train) // recipe.streams
        self.streams = train[: length * recipe.streams].view(recipe.streams, length).to(self.device)
        self.position, self.state = 0, None
        model = Recurrent(CELLS[recipe.cell], vocabulary, recipe.embedding, recipe.width, recipe.layers)
        self.model = model.to(self.device)
        self.optimizer = torch.optim.Adam(self.model.parameters(), lr=recipe.rate, fused=fused)

    def rate(self, step):
        """Constant."""
        return self.recipe.rate

    def batch(self):
        """The next `(inputs, targets)`, each [streams, window]."""
        window = self.recipe.window
        if self.position + window + 1 > self.streams.shape[1]:
            self.position, self.state = 0, None
        tokens = self.streams[:, self.position : self.position + window + 1]
        self.position += window
        return tokens[:, :-1], tokens[:, 1:]

    def loss(self, batch):
        """The mean loss of a batch, in nats a token; leaves the state for the next one."""
        inputs, targets = batch
        logits, state = self.model(inputs, detached(self.state))
        self.state = detached(state)
        return F.cross_entropy(logits.flatten(0, 1), targets.flatten())

    @torch.no_grad()
    def evaluate(self, tokens, window=1000):
        """The mean loss over a split read as one stream, the state carried from its first token to its last."""
        self.model.eval()
        state, total = None, 0.0
        for start in range(0, len(tokens) - 1, window):
            piece = tokens[start : start + window + 1][None].to(self.device)
            logits, state = self.model(piece[:, :-1], state)
            total += F.cross_entropy(logits.flatten(0, 1), piece[0, 1:], reduction="sum").item()
        self.model.train()
        return total / (len(tokens) - 1)


# --- all together -----------------------------------------------------------------------------------------------------

SHAKESPEARE = {
    "nanogpt-cpu": TransformerRecipe(layers=4, heads=4, width=128, context=64, batch=12, dropout=0.0, steps=2000),
    "nanogpt-gpu": TransformerRecipe(layers=6, heads=6, width=384, context=256, batch=64, dropout=0.2, steps=5000),
    **{cell: RecurrentRecipe(cell) for cell in CELLS},
}
BENCH = {
    "nanogpt-cpu": SHAKESPEARE["nanogpt-cpu"],
    "gpt-10m": replace(SHAKESPEARE["nanogpt-gpu"], batch=8, dropout=0.0),
    **{f"{cell}-256": RecurrentRecipe(cell, width=256, streams=32, window=64) for cell in CELLS},
    **{f"{cell}-128": SHAKESPEARE[cell] for cell in CELLS},
}
# What only a GPU trains in reasonable time: the body of GPT-2's smallest model (124 M parameters with its own vocabulary), a wide LSTM.
GPU = {
    "gpt-2-small": TransformerRecipe(
        layers=12, heads=12, width=768, context=1024, batch=8, dropout=0.0, steps=1000, peak=6e-4, floor=6e-5
    ),
    "lstm-1024": RecurrentRecipe("lstm", width=1024, embedding=1024, streams=64, window=128),
}
RECIPES = SHAKESPEARE | BENCH | GPU
DTYPES = ("float32", "tfloat32", "bfloat16")


def set_precision(dtype):
    """How CUDA computes float32 products: a setting of the whole process."""
    torch.set_float32_matmul_precision("highest" if dtype == "float32" else "high")
    torch.backends.cudnn.allow_tf32 = dtype != "float32"


def build(name, train, vocabulary, seed, steps=None, device="cpu", dtype="float32", compile_model=False, fused=None):
    """One recipe, ready to step. `tfloat32` lets CUDA products round their inputs; `bfloat16` is autocast over float32 weights.

    `fused` is whether the optimizer updates all of a parameter in one kernel; by default it does for transformers on a GPU.
    """
    if device != "cpu" and not torch.cuda.is_available():
        raise SystemExit(f"--device {device}: this PyTorch finds no GPU here; use --device cpu")
    torch.manual_seed(seed)
    set_precision(dtype)
    recipe = RECIPES[name]
    if isinstance(recipe, TransformerRecipe):
        autocast = torch.bfloat16 if dtype == "bfloat16" else None
        fused = device != "cpu" if fused is None else fused
        return TransformerTraining(recipe, train, vocabulary, steps, device, fused, autocast, compile_model, seed)
    if dtype == "bfloat16" or compile_model:
        raise SystemExit(f"{name}: bfloat16 and --compile are for the transformers; use --dtype float32 without --compile")
    return RecurrentTraining(recipe, train, vocabulary, steps, device, bool(fused))


def train_step(training, step):
    """One update: batch, loss, gradients, clipping by the global norm, optimizer. Returns the loss as a tensor."""
    for group in training.optimizer.param_groups:
        group["lr"] = training.rate(step)
    loss = training.loss(training.batch())
    training.optimizer.zero_grad(set_to_none=True)
    loss.backward()
    nn.utils.clip_grad_norm_(training.model.parameters(), training.clip)
    training.optimizer.step()
    return loss.detach()
