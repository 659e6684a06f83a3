"""Compares Kiln's tokenizers with Python's `tokenizers`.

Kiln's tokenizer.json files lie in crates/models/fixtures/tokenizers, written by the ignored test
`write_the_files_for_python`. This script loads them, makes a few files of other kinds for Kiln to load, encodes and decodes
the texts below with all of them, and writes the results to encodings.json beside them, which a Rust test compares with.

    python3 -m venv venv && venv/bin/pip install tokenizers
    venv/bin/python scripts/reference/tokenizers_check.py           # writes encodings.json
    venv/bin/python scripts/reference/tokenizers_check.py --check   # compares with what is there, for another version
    venv/bin/python scripts/reference/tokenizers_check.py --file tokenizer.json text.txt   # tokens of any file, one a line
"""

import json
import sys
from pathlib import Path

from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

FIXTURES = Path(__file__).resolve().parents[2] / "crates/models/fixtures/tokenizers"
KILNS = ["character.json", "character-unknown.json", "byte.json", "byte-pair.json"]

# The expression of GPT-4's tokenizer, as published with it.
PIECES = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)

LEARNED_FROM = [
    "The quick brown fox asked the owl where the golden key was, and the owl said it was under the oak.",
    "Where is the key? The key is under the old oak, twelve steps from the well, said the owl to the fox.",
    "Nobody knew the way to the well but the fox, who'd been there in 1999.",
]

TEXTS = [
    "",
    "a",
    "The fox asked the owl.",
    "who'd lost her key? It's where I've seen it; we'll see, I'm sure they're right, don't.",
    "  leading and trailing spaces  ",
    "tabs\tand\r\nline ends\n\n\nand more\n",
    "numbers 1 12 123 1234567 3rd ½",
    "Ça va très bien, naïve façade — 東京へようこそ、狐さん。",
    "Ελλάδα привет 🦊🔑 👩‍🚀",
    "e\u0301 combining, \u3000ideographic space, \u00a0no-break",
    "<|end|>",
    "one<|end|>two <|end|> three<|end|>",
    "<|end<|end|>|> <|unknown|> <|",
    "\x00\x01\x7f",
    "a\u0085b\u2028c\ufeffd",
    "!?!... (twice!) \"quoted\" 'single' ''",
    "oak " * 50,
    "xylophonesque zzz",
]


def others():
    """Files of kinds that Kiln does not make."""
    pieces = Tokenizer(models.BPE())
    pieces.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Split(Regex(PIECES), "isolated"), pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)]
    )
    pieces.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=350, initial_alphabet=alphabet, special_tokens=["<|end|>"], show_progress=False)
    pieces.train_from_iterator(LEARNED_FROM, trainer)
    yield "pieces.json", pieces

    # As GPT-2's own file has it: with words, a special token that is matched after normalization, and none at the front.
    words = Tokenizer(models.BPE())
    words.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    words.decoder = decoders.ByteLevel()
    words.train_from_iterator(LEARNED_FROM, trainers.BpeTrainer(vocab_size=330, initial_alphabet=alphabet, show_progress=False))
    words.add_special_tokens(["<|end|>"])
    yield "words.json", words

    # The way of SentencePiece: spaces made visible, a space before the text, bytes for what is unknown.
    fallback = Tokenizer(models.BPE(byte_fallback=True, unk_token="<unk>", fuse_unk=True))
    fallback.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    fallback.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    tokens = ["<unk>", "<|end|>"] + [f"<0x{byte:02X}>" for byte in range(256)]
    fallback.train_from_iterator(LEARNED_FROM, trainers.BpeTrainer(vocab_size=340, special_tokens=tokens, show_progress=False))
    plain = json.loads(fallback.to_str())
    plain["added_tokens"] = plain["added_tokens"][:2]
    yield "fallback.json", Tokenizer.from_str(json.dumps(plain))

    lower = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    lower.normalizer = normalizers.Sequence([normalizers.NFD(), normalizers.Lowercase(), normalizers.StripAccents()])
    lower.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    lower.decoder = decoders.WordPiece()
    lower.train_from_iterator(LEARNED_FROM, trainers.WordPieceTrainer(vocab_size=120, special_tokens=["[UNK]"], show_progress=False))
    yield "lower.json", lower


def encoding(name, tokenizer, text):
    """What Python makes of a text; no ids where it raises an error."""
    try:
        ids = tokenizer.encode(text, add_special_tokens=False).ids
    except Exception:
        return {"tokenizer": name, "text": text, "ids": None, "decoded": None}
    return {"tokenizer": name, "text": text, "ids": ids, "decoded": tokenizer.decode(ids, skip_special_tokens=False)}


def load(name):
    return Tokenizer.from_file(str(FIXTURES / name))


def main():
    if sys.argv[1:2] == ["--file"]:
        path, text = sys.argv[2:4]
        content = Path(text).read_bytes().decode("utf-8")
        print("\n".join(map(str, Tokenizer.from_file(path).encode(content, add_special_tokens=False).ids)))
        return
    check = "--check" in sys.argv[1:]
    names = KILNS + ["pieces.json", "words.json", "fallback.json", "lower.json"]
    if not check:
        for name, tokenizer in others():
            tokenizer.save(str(FIXTURES / name))
    results = [encoding(name, load(name), text) for name in names for text in TEXTS]
    path = FIXTURES / "encodings.json"
    if check:
        expected = json.loads(path.read_text())
        wrong = [new for new, old in zip(results, expected, strict=True) if new != old]
        for new in wrong:
            print(f"{new['tokenizer']}: {new['text']!r} is now {new['ids']}")
        print(f"{len(results) - len(wrong)} of {len(results)} as before")
        sys.exit(bool(wrong))
    lines = ",\n".join(json.dumps(result, ensure_ascii=False) for result in results)
    path.write_text(f"[\n{lines}\n]\n")
    print(f"{len(results)} encodings written")


if __name__ == "__main__":
    main()
