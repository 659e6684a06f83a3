#!/usr/bin/env python3
"""Runs a command on a terminal of its own and draws what it showed as one animated SVG.

    scripts/record-terminal.py --output docs/figures/dashboard.svg -- kiln train configs/quickstart.toml --run recorded

The frames are screens at equal intervals from the first to the last output; each stays for --hold seconds, the last one for five times
as long. Wants the Python package `pyte`, a terminal emulator (`pip install pyte`).
"""

import argparse
import copy
import fcntl
import os
import pty
import re
import select
import struct
import sys
import termios
import time
from xml.sax.saxutils import escape

import pyte

WIDTH, HEIGHT = 8.4, 18  # of a cell, in pixels at 14 pixels a letter
BACKGROUND, FOREGROUND = "#1b1f24", "#d0d7de"
COLOURS = {
    "black": "#1b1f24", "red": "#ff7b72", "green": "#3fb950", "brown": "#d29922", "blue": "#58a6ff",
    "magenta": "#bc8cff", "cyan": "#39c5cf", "white": "#b1bac4", "brightblack": "#8b949e", "brightred": "#ffa198",
    "brightgreen": "#56d364", "brightbrown": "#e3b341", "brightyellow": "#e3b341", "brightblue": "#79c0ff",
    "brightmagenta": "#d2a8ff", "brightcyan": "#56d4dd", "brightwhite": "#ffffff",
}


class Screen(pyte.Screen):
    """With the second screen that full-screen programs switch to, which pyte leaves out."""

    def set_mode(self, *modes, **options):
        if 1049 in modes:
            self.first = copy.deepcopy((self.buffer, self.cursor))
            self.erase_in_display(2)
        super().set_mode(*modes, **options)

    def reset_mode(self, *modes, **options):
        if 1049 in modes and self.first:
            self.buffer, self.cursor = self.first
            self.first = None
        super().reset_mode(*modes, **options)

    first = None


def record(command, columns, rows):
    """All output of `command` on a terminal of that size, as (seconds since the start, bytes)."""
    process, terminal = pty.fork()
    if process == 0:
        fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        os.environ.update(TERM="xterm-256color", COLORTERM="truecolor")
        os.execvp(command[0], command)
    started, output = time.monotonic(), []
    while True:
        select.select([terminal], [], [])
        try:
            data = os.read(terminal, 65536)
        except OSError:  # how Linux says that nobody writes to the terminal any more
            data = b""
        if not data:
            break
        output.append((time.monotonic() - started, data))
    _, status = os.waitpid(process, 0)
    return output, os.waitstatus_to_exitcode(status)


def colour(name, default):
    if name == "default":
        return default
    return COLOURS.get(name) or f"#{name}"


def runs(screen, row):
    """The stretches of a row with one style: (first column, text, colour, background, whether bold)."""
    stretches = []
    for column in range(screen.columns):
        cell = screen.buffer[row][column]
        front, back = colour(cell.fg, FOREGROUND), colour(cell.bg, BACKGROUND)
        style = (back, front, cell.bold) if cell.reverse else (front, back, cell.bold)
        if stretches and stretches[-1][2] == style:
            stretches[-1][1] += cell.data
        else:
            stretches.append([column, cell.data, style])
    return [(column, text, *style) for column, text, style in stretches]


def draw_row(screen, row):
    parts = []
    for column, text, front, back, bold in runs(screen, row):
        x, width = column * WIDTH + 8, len(text) * WIDTH
        if back != BACKGROUND:
            parts.append(f'<rect x="{x:.1f}" y="{row * HEIGHT + 8}" width="{width:.1f}" height="{HEIGHT}" fill="{back}"/>')
        weight = ' font-weight="bold"' if bold else ""
        for words in re.finditer(r"\S+(?: \S+)*", text):
            start, width = x + words.start() * WIDTH, len(words.group()) * WIDTH
            parts.append(
                f'<text x="{start:.1f}" y="{row * HEIGHT + 22}" fill="{front}" textLength="{width:.1f}" '
                f'lengthAdjust="spacingAndGlyphs"{weight}>{escape(words.group())}</text>'
            )
    return "".join(parts)


def frames(output, columns, rows, count):
    """The rows of `count` screens at equal intervals, the last of which is the last of all."""
    screen = Screen(columns, rows)
    stream = pyte.ByteStream(screen)
    first, last = output[0][0], output[-1][0]
    times = [first + (last - first) * place / count for place in range(1, count + 1)]
    drawn = []
    for moment, data in output:
        while len(drawn) < count - 1 and moment > times[len(drawn)]:
            drawn.append([draw_row(screen, row) for row in range(rows)])
        stream.feed(data)
    drawn.append([draw_row(screen, row) for row in range(rows)])
    return drawn


def svg(drawn, columns, rows, hold, title):
    total = (len(drawn) - 1 + 5) * hold
    width, height = columns * WIDTH + 16, rows * HEIGHT + 16
    same = [all(frame[row] == drawn[0][row] for frame in drawn) for row in range(rows)]
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height}" role="img" '
        f'font-family="ui-monospace,Menlo,Consolas,monospace" font-size="14">',
        f"<title>{escape(title)}</title><style>g{{visibility:hidden;animation:{total:.1f}s step-end infinite}}",
    ]
    for number in range(len(drawn)):
        start, end = 100 * number * hold / total, 100 * (number + 1) * hold / total
        if number == 0:
            keys = f"0%{{visibility:visible}}{end:.2f}%{{visibility:hidden}}"
        elif number == len(drawn) - 1:
            keys = f"0%{{visibility:hidden}}{start:.2f}%{{visibility:visible}}"
        else:
            keys = f"0%{{visibility:hidden}}{start:.2f}%{{visibility:visible}}{end:.2f}%{{visibility:hidden}}"
        parts.append(f"@keyframes f{number}{{{keys}}}#f{number}{{animation-name:f{number}}}")
    # Those who ask for less motion, and programs that know no animation, get the last screen.
    parts.append(f"#f{len(drawn) - 1}{{visibility:visible}}@media(prefers-reduced-motion){{g{{animation:none!important}}}}</style>")
    parts.append(f'<rect width="{width:.0f}" height="{height}" rx="8" fill="{BACKGROUND}"/>')
    parts += [drawn[0][row] for row in range(rows) if same[row]]
    for number, frame in enumerate(drawn):
        parts.append(f'<g id="f{number}">' + "".join(frame[row] for row in range(rows) if not same[row]) + "</g>")
    return "".join(parts) + "</svg>\n"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output", required=True, help="the SVG file")
    parser.add_argument("--columns", type=int, default=100)
    parser.add_argument("--rows", type=int, default=30)
    parser.add_argument("--frames", type=int, default=16)
    parser.add_argument("--hold", type=float, default=0.6, help="seconds that a frame stays")
    parser.add_argument("command", nargs="+")
    arguments = parser.parse_args()
    output, code = record(arguments.command, arguments.columns, arguments.rows)
    if code != 0 or not output:
        sys.exit(f"`{' '.join(arguments.command)}` ended with {code}; nothing was written")
    drawn = frames(output, arguments.columns, arguments.rows, arguments.frames)
    # Where things lie on this machine is nobody's business.
    words = (os.path.basename(word) if os.path.isabs(word) else word for word in arguments.command)
    title = " ".join(words)
    with open(arguments.output, "w", encoding="utf-8") as file:
        file.write(svg(drawn, arguments.columns, arguments.rows, arguments.hold, title))


main()
