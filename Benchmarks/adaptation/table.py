#!/usr/bin/env python3
"""Mean IoU before and after adaptation, with the standard error of the paired per-image difference.

usage: table.py [--before NAME] RUN_FOLDER [RUN_FOLDER ...]

Reads images-STEP-PROMPT.csv of every run (made by `kedge adapt`). Runs that differ only in their seed are put together
when their names end in -seedN: the difference of an image is then averaged over seeds first, and the standard error is
taken over images. With --before, the scores before adaptation are those of the run NAME-seedN beside each run, for runs
that did not take them.
"""
import csv
import math
import pathlib
import re
import sys


def name_in(cell):
    """The name in a cell: without the apostrophe that keeps a spreadsheet from computing it."""
    return cell[1:] if re.match(r"'+(?:[-=+@]|\\[tr])", cell) else cell


def scores(path):
    with open(path, newline="") as file:
        return {name_in(row["image"]): float(row["mean_iou"]) for row in csv.DictReader(file)}


def runs_by_name(folders):
    groups = {}
    for folder in map(pathlib.Path, folders):
        groups.setdefault(re.sub(r"-seed\d+$", "", folder.name), []).append(folder)
    return groups


def score_files(folder, prompt, base):
    """The files of scores before and after; of the run alone, or with those before from its sibling of the same seed."""
    own = sorted(folder.glob(f"images-*-{prompt}.csv"))
    if base and own:
        seed = re.search(r"-seed\d+$", folder.name)
        sibling = folder.parent / (base + (seed.group() if seed else ""))
        return sorted(sibling.glob(f"images-000000-{prompt}.csv"))[:1] + own[-1:]
    return own[:1] + own[-1:] if len(own) > 1 else []


def main():
    arguments = sys.argv[1:]
    base = None
    if arguments[:1] == ["--before"] and len(arguments) > 1:
        base = arguments[1]
        arguments = arguments[2:]
    if not arguments or arguments[0] in ("-h", "--help"):
        sys.exit(__doc__)
    print(f"{'run':34} {'prompt':6} {'seeds':>5} {'images':>6} {'before':>7} {'after':>7} {'change':>8}"
          f" {'std.err':>8} {'better':>7}")
    for name, folders in runs_by_name(arguments).items():
        for prompt in ("box", "point"):
            before, after, finished = {}, {}, 0
            for folder in folders:
                files = score_files(folder, prompt, base)
                if len(files) < 2:
                    continue
                finished += 1
                for image, value in scores(files[0]).items():
                    before.setdefault(image, []).append(value)
                for image, value in scores(files[-1]).items():
                    after.setdefault(image, []).append(value)
            images = sorted(set(before) & set(after))
            if len(images) < 2:
                continue
            mean = lambda values: sum(values) / len(values)
            change = [mean(after[i]) - mean(before[i]) for i in images]
            centre = mean(change)
            error = math.sqrt(sum((c - centre) ** 2 for c in change) / (len(change) - 1) / len(change))
            print(f"{name:34} {prompt:6} {finished:5} {len(images):6} {mean([mean(before[i]) for i in images]):7.4f}"
                  f" {mean([mean(after[i]) for i in images]):7.4f} {centre:+8.4f} {error:8.4f}"
                  f" {mean([c > 0 for c in change]):6.0%}")


if __name__ == "__main__":
    main()
