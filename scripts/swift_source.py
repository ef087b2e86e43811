"""Swift source as scripts/lint-unused and scripts/lint-lengths read it."""

import pathlib
import re
import subprocess

ROOT = pathlib.Path(__file__).resolve().parent.parent
OUTSIDE_STRINGS = re.compile(r'//|/\*|#*"""|#*"|[()]')


def files(*patterns):
    """The files that git tracks or would add."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "--", *patterns],
        cwd=ROOT, check=True, capture_output=True, text=True).stdout.split("\n")
    return sorted({name for name in listed if name and (ROOT / name).is_file()})


def read(name):
    """The text of a file; its name is relative to the root of the repository."""
    return (ROOT / name).read_text(encoding="utf-8", errors="replace")


def code(text):
    """The text with comments and strings blanked; line breaks and interpolated code stay."""
    kept, position = [], 0
    # What the scanner is inside of: [quote, hashes] of a string, or the number of open parentheses of an interpolation.
    inside = []

    def take(end, blank):
        nonlocal position
        part = text[position:end]
        kept.append(re.sub(r"[^\n]", " ", part) if blank else part)
        position = end

    while position < len(text):
        if inside and isinstance(inside[-1], list):
            quote, hashes = inside[-1]
            found = re.compile(re.escape("\\" + hashes) + "|" + re.escape(quote + hashes)).search(text, position)
            if not found:
                take(len(text), True)
            elif found.group(0) == quote + hashes:
                inside.pop()
                take(found.end(), True)
            else:
                # An escape: an interpolation, or one character more.
                if text.startswith("(", found.end()):
                    inside.append(1)
                take(found.end() + 1, True)
            continue
        found = OUTSIDE_STRINGS.search(text, position)
        take(found.start() if found else len(text), False)
        if not found:
            break
        mark = found.group(0)
        if mark == "//":
            end = text.find("\n", position)
            take(len(text) if end < 0 else end, True)
        elif mark == "/*":
            take(end_of_comment(text, position), True)
        elif mark in "()":
            if inside:
                inside[-1] += 1 if mark == "(" else -1
                if inside[-1] == 0:
                    # The end of the interpolation, whose parenthesis was blanked.
                    inside.pop()
                    take(found.end(), True)
                    continue
            take(found.end(), False)
        else:
            inside.append([mark.lstrip("#"), "#" * (len(mark) - len(mark.lstrip("#")))])
            take(found.end(), True)
    return "".join(kept)


def end_of_comment(text, position):
    """Where a comment /* */ ends; in Swift they nest."""
    depth = 0
    for mark in re.compile(r"/\*|\*/").finditer(text, position):
        depth += 1 if mark.group(0) == "/*" else -1
        if depth == 0:
            return mark.end()
    return len(text)
