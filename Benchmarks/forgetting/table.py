#!/usr/bin/env python3
"""What fine-tuning gains on the target and loses on everyday images, round by round: means over seeds and standard errors.

usage: table.py RUNS

Reads the scores that Benchmarks/forgetting/run leaves in RUNS: rounds of clicks on held-out images, from a point and from a box.
The change from the unadapted model is paired by image, averaged over seeds first; its standard error is taken over images.
"""
import csv
import math
import pathlib
import re
import sys

START, LAST = "1", "6"


def scores(folder):
    """IoU and boundary IoU of each image by round: {round: {image: (iou, boundary)}}."""
    found = {}
    for path in sorted(folder.glob("rounds-*.csv")):
        with open(path, newline="") as file:
            for row in csv.DictReader(file):
                found.setdefault(row["round"], {})[row["image"]] = (float(row["iou"]), float(row["boundary_iou"]))
    return found


def mean(values):
    return sum(values) / len(values)


def change(before, after):
    """Mean change of every image over seeds, and its standard error over images."""
    images = sorted(set(before).intersection(*after))
    changes = [mean([seed[image] for seed in after]) - before[image] for image in images]
    centre = mean(changes)
    return centre, math.sqrt(sum((c - centre) ** 2 for c in changes) / (len(changes) - 1) / len(changes))


def main():
    if len(sys.argv) != 2 or sys.argv[1] in ("-h", "--help"):
        sys.exit(__doc__)
    runs = pathlib.Path(sys.argv[1])
    rows = {}
    for folder in sorted(runs.glob("*-seed*")):
        rows.setdefault(re.sub(r"-seed\d+$", "", folder.name), []).append(folder)
    for source in ("target", "everyday"):
        for start in ("point", "box"):
            place = f"{source}-{start}"
            before = scores(runs / "unadapted" / place)
            print(f"\n{source}, started by a {start}: {len(before[START])} images")
            print(f"{'row':14} {'seeds':>5}" + "".join(f" {t:>22}" for t in ("IoU, round 1", "IoU, round 6", "boundary IoU, round 6")))
            cells = [mean([v[k] for v in before[r].values()]) for r, k in ((START, 0), (LAST, 0), (LAST, 1))]
            print(f"{'unadapted':14} {'':5}" + "".join(f" {c:22.4f}" for c in cells))
            for name, folders in rows.items():
                done = [s for s in (scores(f / place) for f in folders) if s]
                if not done:
                    continue
                line = f"{name:14} {len(done):5}"
                for number, kind in ((START, 0), (LAST, 0), (LAST, 1)):
                    one = {image: v[kind] for image, v in before[number].items()}
                    after = [{image: v[kind] for image, v in seed[number].items()} for seed in done]
                    centre, error = change(one, after)
                    line += f" {mean([mean(list(s.values())) for s in after]):8.4f} {centre:+.4f}({error:.4f})"
                print(line)


if __name__ == "__main__":
    main()
