#!/usr/bin/env python3
"""Small random models as `llama.cpp`'s own converter makes GGUF files of them, with the logits that `transformers` computes.

    python3 scripts/reference/gguf_models.py LLAMA_CPP [NAME]...    # writes crates/models/fixtures/gguf/; LLAMA_CPP is its source

The source is in the package llama-cpp-python 0.3.36 (`vendor/llama.cpp`). Each model has options that these files can say: every fourth
layer of SmolLM 3 without rotation, every sixth of Gemma 3 with the whole context, and a query scale that is that of the heads. A tokenizer of 128
pieces is made of a text of ours: SentencePiece for the families that have it, byte pairs for the others.
"""

import json
import sys
import tempfile
from pathlib import Path

import sentencepiece
import tokenizers
from hugging_face import DEVIATIONS, GEMMA, LLAMA, LOCAL, NEOX, expectation, made

FOLDER = Path(__file__).resolve().parents[2] / "crates/models/fixtures/gguf"
VOCABULARY = 128
TEXT = """A fox said to the crow: how well you sing, and how black your feathers are!
The crow opened its beak, and the cheese fell down. So it goes, and so it went: whoever flatters
lives on those who listen. The lesson was worth a cheese, no doubt. Quick zebras jump over lazy boxes, vexed by 12 of 34 kings.
"""

MODELS = {
    "mistral": ("MistralConfig", dict(LLAMA, sliding_window=None)),
    "gpt-neox": ("GPTNeoXConfig", dict(NEOX)),
    "gpt-neox-serial": ("GPTNeoXConfig", dict(NEOX, use_parallel_residual=False)),
    "gemma": ("GemmaConfig", dict(GEMMA)),
    "gemma2": ("Gemma2Config", dict(
        GEMMA, num_hidden_layers=3, query_pre_attn_scalar=6, attn_logit_softcapping=3.0, final_logit_softcapping=0.6, **LOCAL,
    )),
    "gemma3": ("Gemma3TextConfig", dict(
        GEMMA, num_hidden_layers=7, sliding_window_pattern=6, query_pre_attn_scalar=6, **LOCAL,
        rope_parameters={
            "full_attention": {"rope_type": "linear", "factor": 8.0, "rope_theta": 20000.0},
            "sliding_attention": {"rope_type": "default", "rope_theta": 500.0},
        },
    )),
    "olmo2": ("Olmo2Config", dict(LLAMA)),
    "smollm3": ("SmolLM3Config", dict(LLAMA, num_hidden_layers=5, use_sliding_window=False)),
    "phi3": ("Phi3Config", dict(
        LLAMA, head_dim=4, rope_parameters={"rope_theta": 5000.0, "partial_rotary_factor": 0.5, "rope_type": "default"}, pad_token_id=0,
    )),
    "stablelm": ("StableLmConfig", dict(LLAMA, num_attention_heads=3, num_key_value_heads=1, use_qkv_bias=True)),
}
OF_SENTENCE_PIECE = ("mistral", "gemma", "gemma2", "gemma3", "phi3")
DEVIATIONS["stablelm"] = 0.15


def save_tokenizer(folder, name):
    if name in OF_SENTENCE_PIECE:
        text = folder / "text.txt"
        text.write_text(TEXT)
        sentencepiece.SentencePieceTrainer.train(
            input=str(text), model_prefix=str(folder / "tokenizer"), vocab_size=VOCABULARY, model_type="bpe", character_coverage=1.0,
            add_dummy_prefix=not name.startswith("gemma"), normalization_rule_name="identity", remove_extra_whitespaces=False,
            pad_id=0, bos_id=1, eos_id=2, unk_id=3, minloglevel=2,
        )
        config = {"tokenizer_class": "LlamaTokenizer", "bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>"}
    else:
        tokenizer = tokenizers.Tokenizer(tokenizers.models.BPE())
        tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
        tokenizer.decoder = tokenizers.decoders.ByteLevel()
        trainer = tokenizers.trainers.BpeTrainer(vocab_size=VOCABULARY, special_tokens=["<pad>", "<s>", "</s>"], show_progress=False)
        tokenizer.train_from_iterator([TEXT], trainer)
        tokenizer.save(str(folder / "tokenizer.json"))
        config = {"tokenizer_class": "PreTrainedTokenizerFast", "bos_token": "<s>", "eos_token": "</s>"}
    (folder / "tokenizer_config.json").write_text(json.dumps(config))


def convert(llama_cpp, folder, path):
    """As `convert_hf_to_gguf.py --outtype f32`, for a tokenizer that it doesn't know."""
    for part in ("gguf-py", ""):
        sys.path.insert(0, str(llama_cpp / part))
    import gguf
    from conversion import get_model_class
    from conversion.base import ModelBase, TextModel

    TextModel.get_vocab_base_pre = lambda self, tokenizer: "gpt-2"
    architecture = json.loads((folder / "config.json").read_text())["architectures"][0]
    converter = get_model_class(architecture)(folder, gguf.LlamaFileType.ALL_F32, path)
    # What it still looks for under its old name, or where `transformers` leaves it out.
    rope = converter.rope_parameters
    converter.hparams.setdefault("rotary_pct", rope.get("partial_rotary_factor"))
    rope.setdefault("original_max_position_embeddings", converter.hparams["max_position_embeddings"])
    converter.write()


def main():
    llama_cpp, only = Path(sys.argv[1]).resolve(), sys.argv[2:]
    FOLDER.mkdir(parents=True, exist_ok=True)
    for number, (name, (config_class, settings)) in enumerate(MODELS.items()):
        if only and name not in only:
            continue
        model = made(number, name, config_class, dict(settings, vocab_size=VOCABULARY))
        with tempfile.TemporaryDirectory() as temporary:
            folder = Path(temporary)
            model.save_pretrained(folder)
            save_tokenizer(folder, name)
            convert(llama_cpp, folder, FOLDER / f"{name}.gguf")
        expected = expectation(model, VOCABULARY)
        kept = {key: expected[key] for key in ("ids", "places", "logits", "parameters")}
        (FOLDER / f"{name}.json").write_text(json.dumps(kept, separators=(",", ":")))
        print(f"{name}: {(FOLDER / f'{name}.gguf').stat().st_size} bytes")


if __name__ == "__main__":
    main()
