"""Makes tokenizers without a `tokenizer.json`, and says which tokens they give.

Trains small tokenizers on a text of its own: models of SentencePiece (byte pairs and unigram), and byte pairs as GPT-2 and
Qwen 2 keep them; writes them below crates/models/fixtures/slow-tokenizers, and beside them `expected.json`: words that lines
are made of, and for each tokenizer a checksum of the tokens of each line, as `sentencepiece` and `transformers` give them.

    python scripts/reference/slow_tokenizers.py
    python scripts/reference/slow_tokenizers.py --file MODEL.gguf OUT.json   # lines and tokens of a model of one's own
"""

import io
import json
import shutil
import sys
from pathlib import Path

FIXTURES = Path(__file__).resolve().parents[2] / "crates/models/fixtures/slow-tokenizers"
LINES = 1000
SEED = 20

# What lines are made of: words, code, numbers, signs, other scripts, emoji, white space, and special tokens.
WORDS = [
    "the", "fox", "kiln", "Fire", "burned", "don't", "we'll", "naïve", "façade", "Straße", "oak", "key", "x", "I",
    "def f(a, b=2):", "    return a[1:] + b", "if (x != NULL) { y++; }", "let mut v = vec![];", "//", "/* */", "->", "::",
    "<div class=\"a\">", "</div>", "{\"a\": [1, null]}", "SELECT *", "\\n", "%s", "$HOME", "#include", "0x1F", "1e-5",
    "1", "12", "123", "1234567", "3.14", "2026-01-31", "½", "²", "٣", "一二三",
    "東京", "へ", "ようこそ", "狐", "你好，世界。", "한국어", "привет", "мир", "Ελλάδα", "שלום", "مرحبا", "हिन्दी", "ไทย",
    "🦊", "🔑", "👩‍🚀", "🇩🇪", "❤️", "e\u0301", "é", "ﬁ", "Å", "\u212b", "ａｂｃ",
    " ", "  ", "   ", "        ", "\t", "\t\t", "\u00a0", "\u3000", "\u2003", "\u200b", "\u2028", "\ufeff", "\r",
    ".", ",", "!", "?!", "...", "—", "“", "”", "'", "\"", "(", ")", "@", "_", "~", "\x00", "\x7f", "\ufffd", "\u2581",
    "<|user|>", "<|endoftext|>", "<extra>",
]


class Numbers:
    """SplitMix64 (Steele, Lea and Flood 2014)."""

    def __init__(self, start):
        self.state = start

    def below(self, end):
        mask = (1 << 64) - 1
        self.state = (self.state + 0x9E3779B97F4A7C15) & mask
        word = self.state
        word = ((word ^ (word >> 30)) * 0xBF58476D1CE4E5B9) & mask
        word = ((word ^ (word >> 27)) * 0x94D049BB133111EB) & mask
        return (word ^ (word >> 31)) % end


def lines():
    """One to sixteen words each; behind every other one a space."""
    numbers = Numbers(SEED)
    made = []
    for _ in range(LINES):
        line = ""
        for _ in range(1 + numbers.below(16)):
            line += WORDS[numbers.below(len(WORDS))]
            line += " " if numbers.below(2) else ""
        made.append(line)
    return made


def checksum(ids):
    """FNV-1a of the four bytes of each, its halves put together: four hexadecimal digits."""
    value = 0x811C9DC5
    for token in ids:
        for byte in token.to_bytes(4, "little"):
            value = ((value ^ byte) * 0x01000193) & 0xFFFFFFFF
    return f"{(value >> 16) ^ (value & 0xFFFF):04x}"


def text():
    """What is learned from: words and signs in an order that says nothing."""
    numbers = Numbers(SEED + 1)
    plain = [word for word in WORDS if not word.startswith("<") and word.isprintable()]
    parts = ["once upon a time", "there was a kiln", "in the oak", "the key of the fox", "and then", "for all of them"]
    for _ in range(3000):
        words = [numbers.below(3) and parts[numbers.below(len(parts))] or plain[numbers.below(len(plain))] for _ in range(12)]
        yield " ".join(words)


def sentence_piece(folder, config, **options):
    import sentencepiece

    folder.mkdir()
    model = io.BytesIO()
    plain = {"normalization_rule_name": "identity", "remove_extra_whitespaces": False}
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=text(), model_writer=model, max_sentence_length=1 << 16, num_threads=1, minloglevel=2,
        hard_vocab_limit=False, **{**plain, **options},
    )
    (folder / "tokenizer.model").write_bytes(model.getvalue())
    (folder / "tokenizer_config.json").write_text(json.dumps(config, indent=1) + "\n")
    return sentencepiece.SentencePieceProcessor(model_proto=model.getvalue())


# Characters that become others, in SentencePiece's form: ligatures, full width, a sign of its own, white space.
RULES = {"ﬁ": "fi", "ａ": "a", "ｂ": "b", "ｃ": "c", "\u212b": "Å", "½": "1/2", "\t": " ", "\u00a0": " ", "\u3000": " ", "\u200b": ""}


def rules(path):
    number = lambda text: " ".join(f"{ord(character):X}" for character in text)
    path.write_text("".join(f"{number(old)}\t{number(new)}\n" for old, new in RULES.items()))
    return str(path)


def byte_pairs(folder, config, names):
    from tokenizers import Tokenizer, models, pre_tokenizers, trainers

    folder.mkdir()
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=400, initial_alphabet=alphabet, special_tokens=["<|endoftext|>"], show_progress=False)
    tokenizer.train_from_iterator(text(), trainer)
    tokenizer.model.save(str(folder))
    for old, new in zip(["vocab.json", "merges.txt"], names):
        (folder / old).rename(folder / new)
    (folder / "tokenizer_config.json").write_text(json.dumps(config, indent=1) + "\n")


def added(first, special):
    token = {"lstrip": False, "normalized": False, "rstrip": False, "single_word": False}
    return {
        str(first): {"content": "<|user|>", "special": special, **token},
        str(first + 1): {"content": "<extra>", "special": False, **token},
    }


def main():
    from transformers import GPT2Tokenizer, LlamaTokenizer, Qwen2Tokenizer

    shutil.rmtree(FIXTURES, ignore_errors=True)
    FIXTURES.mkdir()
    made, expected = lines(), {}

    def note(name, encode, start, but=None):
        """Without the lines that hold `but`, where the two programs differ on purpose."""
        sums = ["----" if but and but in line else checksum(encode(line)) for line in made]
        expected[name] = {"start": start, "checksums": "".join(sums)}

    llama = {"tokenizer_class": "LlamaTokenizer", "bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>"}
    options = {"vocab_size": 420, "user_defined_symbols": ["<|user|>"], "character_coverage": 1.0}
    bpe = {"model_type": "bpe", "byte_fallback": True}
    models = {
        "pieces": ({**llama, "legacy": False}, bpe),
        "pieces-legacy": ({**llama, "legacy": True}, bpe),
        "pieces-no-prefix": ({**llama, "add_bos_token": False}, {**bpe, "add_dummy_prefix": False}),
        "unigram": ({**llama, "legacy": True}, {"model_type": "unigram", "byte_fallback": True}),
        "unigram-normalized": (
            {**llama, "legacy": True},
            {"model_type": "unigram", "byte_fallback": True, "normalization_rule_tsv": rules(FIXTURES / "rules.tsv"),
             "remove_extra_whitespaces": True},
        ),
        "pieces-normalized": (
            {**llama, "legacy": True, "add_bos_token": False},
            {**bpe, "normalization_rule_tsv": rules(FIXTURES / "rules.tsv"), "remove_extra_whitespaces": True,
             "add_dummy_prefix": False},
        ),
        "unigram-across": (llama, {"model_type": "unigram", "split_by_whitespace": False, "add_dummy_prefix": False}),
    }
    for name, (config, more) in models.items():
        processor = sentence_piece(FIXTURES / name, config, **options, **more)
        start = [processor.bos_id()] if config.get("add_bos_token", True) else []
        if name == "pieces":
            # With a space before the first text alone, and none where the text has one.
            other = LlamaTokenizer.from_pretrained(FIXTURES / name)
            note(name, lambda line: other.encode(line, add_special_tokens=False), start)
        else:
            # The old way puts a space behind an added token, too.
            note(name, processor.encode, start, but="<|user|>" if config.get("legacy") else None)
    (FIXTURES / "rules.tsv").unlink()
    byte_pairs(
        FIXTURES / "gpt2", {"tokenizer_class": "GPT2Tokenizer", "add_bos_token": True, "added_tokens_decoder": added(400, True)},
        ["vocab.json", "merges.txt"],
    )
    other = GPT2Tokenizer.from_pretrained(FIXTURES / "gpt2")
    note("gpt2", lambda line: other.encode(line, add_special_tokens=False), other.encode(""))
    strips = added(400, True)
    strips["400"] |= {"lstrip": True, "rstrip": True}
    strips["401"] |= {"lstrip": True, "single_word": True}
    byte_pairs(
        FIXTURES / "gpt2-prefix",
        {"tokenizer_class": "GPT2Tokenizer", "add_prefix_space": True, "added_tokens_decoder": strips},
        ["vocab.json", "merges.txt"],
    )
    other_prefix = GPT2Tokenizer.from_pretrained(FIXTURES / "gpt2-prefix")
    note("gpt2-prefix", lambda line: other_prefix.encode(line, add_special_tokens=False), [])
    byte_pairs(
        FIXTURES / "qwen2", {"tokenizer_class": "Qwen2Tokenizer", "added_tokens_decoder": added(400, False)},
        ["vocab.json", "merges.txt"],
    )
    qwen = Qwen2Tokenizer.from_pretrained(FIXTURES / "qwen2")
    note("qwen2", lambda line: qwen.encode(line, add_special_tokens=False), qwen.encode(""))
    byte_pairs(FIXTURES / "encoder", {"tokenizer_class": "GPT2Tokenizer"}, ["encoder.json", "vocab.bpe"])
    (FIXTURES / "encoder/added_tokens.json").write_text('{"<|user|>": 400, "<extra>": 401}\n')
    vocabulary = json.loads((FIXTURES / "encoder/encoder.json").read_text())
    merges = (FIXTURES / "encoder/vocab.bpe").read_text().splitlines()[1:]
    old = GPT2Tokenizer(vocab=vocabulary, merges=[tuple(line.split(" ")) for line in merges])
    old.add_tokens(["<|user|>", "<extra>"])
    note("encoder", lambda line: old.encode(line, add_special_tokens=False), [])
    (FIXTURES / "expected.json").write_text(
        json.dumps({"seed": SEED, "lines": LINES, "words": WORDS, "tokenizers": expected}, indent=0, ensure_ascii=True) + "\n"
    )


def of_file(model, out):
    from transformers import AutoTokenizer

    path = Path(model)
    tokenizer = AutoTokenizer.from_pretrained(path.parent, gguf_file=path.name)
    made = lines()
    ids = [tokenizer.encode(line, add_special_tokens=False) for line in made]
    Path(out).write_text(json.dumps({"lines": made, "ids": ids}))


if __name__ == "__main__":
    if sys.argv[1:2] == ["--file"]:
        of_file(*sys.argv[2:])
    else:
        main()
