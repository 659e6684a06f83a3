#!/usr/bin/env python3
"""BLEU and chrF of small corpora by `sacrebleu`, with two digits, as it prints them with `-w 2`.

    python3 scripts/reference/translation_scores.py            # writes crates/inference/fixtures/translation_scores.json
    python3 scripts/reference/translation_scores.py --check    # compares with what is there
"""

import random
import sys

import sacrebleu

from fixture_files import command_line, store

SENTENCES = [
    "The hungry fox walked over the dark river near three hills.",
    "It cost 1,234.5 euros (about $1,300) on 2026-11-28, didn't it?",
    'She said: "Never give up!" - and left; nobody knew why...',
    "A & B < C > D, {braces} [brackets] ~tilde~ ^caret^ `tick` \\slash/ 50% #1 @home *star* 1-2 x-y.",
    "Größe, Straße, naïve façade – «guillemets» und „Anführungszeichen“. 日本語の文。",
    "one",
    "Version 3.14, p.5 and 7,8 of 9. End",
    "&quot;Quoted&quot; &amp; escaped &lt;tag&gt; <skipped> text",
]


def damaged(sentence, generator, share):
    """The sentence with some words left out, repeated or exchanged."""
    words = sentence.split(" ")
    found = []
    for word in words:
        draw = generator.random()
        if draw < share / 3:
            continue
        found.append(generator.choice(words) if draw < 2 * share / 3 else word)
        if draw > 1 - share / 3:
            found.append(word)
    return " ".join(found)


def corpora():
    generator = random.Random(1)
    for share in (0.0, 0.1, 0.3, 0.6, 0.9):
        yield f"damaged by {share}", [(damaged(sentence, generator, share), sentence) for sentence in SENTENCES]
    yield "nothing right", [("alpha beta gamma delta epsilon", "one two three four five")]
    yield "short", [("the fox", "the fox ran"), ("a b c", "a b c")]
    yield "empty", [("", "one two three four"), ("one two three four", "one two three four")]
    yield "longer", [("the the the the the the the", "the cat is on the mat"), ("a fox ran over a hill", "a fox ran over the hill")]
    for index, sentence in enumerate(SENTENCES):
        yield f"sentence {index}", [(damaged(sentence, generator, 0.3), sentence)]


def main():
    options = command_line(__doc__)
    content = {"source": f"scripts/reference/translation_scores.py, sacrebleu {sacrebleu.__version__}", "corpora": []}
    for name, pairs in corpora():
        written, references = [pair[0] for pair in pairs], [[pair[1] for pair in pairs]]
        bleu, chrf = sacrebleu.corpus_bleu(written, references), sacrebleu.corpus_chrf(written, references)
        content["corpora"].append({"name": name, "pairs": [list(pair) for pair in pairs], "bleu": f"{bleu.score:.2f}", "chrf": f"{chrf.score:.2f}"})
    sys.exit(0 if store("crates/inference/fixtures/translation_scores.json", content, options.check) else 1)


if __name__ == "__main__":
    main()
