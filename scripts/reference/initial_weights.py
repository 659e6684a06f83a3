"""The first six numbers that a parameter starts from, for the test in crates/kernels/src/random.rs.

Philox4x32-10 (Salmon et al. 2011) and Box and Muller's transformation (1958) in plain Python; nothing to install.
"""

import math
import struct

WORD = 0xFFFFFFFF
PARAMETERS = WORD


def philox(counter, key):
    for round_number in range(10):
        first = (key[0] + round_number * 0x9E3779B9) & WORD
        second = (key[1] + round_number * 0xBB67AE85) & WORD
        one, three = 0xD2511F53 * counter[0], 0xCD9E8D57 * counter[2]
        counter = [
            (three >> 32) ^ counter[1] ^ first,
            three & WORD,
            (one >> 32) ^ counter[3] ^ second,
            one & WORD,
        ]
    return counter


def single(number):
    """Rounded to single precision."""
    return struct.unpack("f", struct.pack("f", number))[0]


def unit(word):
    return (word + 0.5) / 2**32


def words(seed, stream, blocks):
    key = [seed & WORD, seed >> 32]
    return [philox([block, 0, stream, PARAMETERS], key) for block in range(blocks)]


def uniform(seed, stream, bound, count):
    drawn = [bound * (2 * unit(word) - 1) for block in words(seed, stream, -(-count // 4)) for word in block]
    return drawn[:count]


def normal(seed, stream, deviation, count):
    drawn = []
    for block in words(seed, stream, -(-count // 4)):
        for first, second in (block[:2], block[2:]):
            radius = deviation * math.sqrt(-2 * math.log(unit(first)))
            drawn += [radius * math.cos(math.tau * unit(second)), radius * math.sin(math.tau * unit(second))]
    return drawn[:count]


assert philox([0] * 4, [0] * 2) == [0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8], "Random123's known answer"
for draw, scale in ((uniform, 0.5), (normal, 0.02)):
    print(draw.__name__, [single(number) for number in draw(0x0123456789ABCDEF, 3, scale, 6)])
