#!/usr/bin/env python3
"""Checks the relative links in all Markdown files of the repository: that the file and the heading are there.

    python3 scripts/check-links.py [FOLDER]

Needs nothing but Python. Links to other hosts aren't looked at. Prints a line for each dead link; the exit code is 0
where there is none, else 1.
"""

import re
import sys
from pathlib import Path
from urllib.parse import unquote

FENCE = re.compile(r"^ {0,3}(```|~~~)")
HEADING = re.compile(r"^#{1,6}\s+(.*?)\s*#*\s*$")
CODE = re.compile(r"(`+).+?\1")
LINK = re.compile(r"\]\(\s*<?([^)<>\s]+)>?(?:\s+[\"'][^)]*)?\s*\)|^\s*\[[^\]]+\]:\s*(\S+)|(?:src|href)=\"([^\"]+)\"")
ANCHOR = re.compile(r"<a\s+(?:id|name)=\"([^\"]+)\"")
SKIPPED = {"target", "node_modules", "runs", "shared"}


def prose(path):
    """The lines outside of blocks of code, with their numbers from 1."""
    fence = None
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        found = FENCE.match(line)
        if fence is None and found:
            fence = found[1]
        elif fence is not None:
            if found and found[1] == fence:
                fence = None
        else:
            yield number, line


def slug(heading):
    """The anchor that GitHub and mdBook make of a heading: lower case, words joined by `-`, no other punctuation."""
    text = re.sub(r"!?\[([^\]]*)\]\([^)]*\)", r"\1", heading).replace("`", "").strip().lower()
    return re.sub(r"[^\w\- ]", "", text).replace(" ", "-")


def anchors(path):
    found, seen = set(), {}
    for _, line in prose(path):
        found.update(ANCHOR.findall(line))
        heading = HEADING.match(line)
        if heading:
            name = slug(heading[1])
            count = seen.get(name, 0)
            seen[name] = count + 1
            found.add(f"{name}-{count}" if count else name)
    return found


def markdown_files(root):
    for path in sorted(root.rglob("*.md")):
        parts = path.relative_to(root).parts
        if not any(part in SKIPPED or part.startswith(".") and part != ".github" for part in parts[:-1]):
            yield path


def links(path):
    for number, line in prose(path):
        for match in LINK.finditer(CODE.sub("", line)):
            yield number, next(group for group in match.groups() if group)


def problem(root, path, link):
    """What is wrong with a link, or nothing."""
    if re.match(r"[a-zA-Z][a-zA-Z0-9+.-]*:", link) or link.startswith("//"):
        return None
    file, _, anchor = unquote(link).partition("#")
    target = path if not file else root / file.lstrip("/") if file.startswith("/") else path.parent / file
    if not target.exists():
        return "there is no such file"
    if anchor and target.suffix == ".md" and anchor not in anchors(target):
        return f"{target.resolve().relative_to(root.resolve())} has no heading `#{anchor}`"
    return None


def main():
    root = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).resolve().parents[1]
    files = looked_at = dead = 0
    for path in markdown_files(root):
        files += 1
        for number, link in links(path):
            looked_at += 1
            wrong = problem(root, path, link)
            if wrong:
                dead += 1
                print(f"{path.relative_to(root)}:{number}: {link}: {wrong}")
    print(f"{looked_at} links in {files} files, {dead} dead")
    return 1 if dead else 0


if __name__ == "__main__":
    sys.exit(main())
