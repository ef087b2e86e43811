#!/usr/bin/env python3
"""Last, Avg, forgetting and natural images of continual runs: means over seeds and their standard errors.

usage: table.py [--against ROW] RUN_FOLDER [RUN_FOLDER ...]

Reads stages.json of every run (made by `kedge adapt` with domains: sequential), and the IoU before the first stage from its
evaluation.csv. Runs whose names end in -seedN and agree before it are one row. The last column is the difference of Last from
the row --against (naive), paired by seed, with its standard error.
"""
import csv
import json
import math
import pathlib
import sys


def figures(folder):
    """Last, Avg, FF, Natural of IoU and boundary IoU in percent, and those of the model as it came."""
    measures = {m["name"]: m["matrix"] for m in json.loads((folder / "stages.json").read_text())["measures"]}
    found = {}
    for name, matrix in measures.items():
        for key in ("last", "average", "forgettingFromDiagonal", "lastNatural"):
            value = matrix[key]
            found[name, key] = None if value is None else 100 * value
    with open(folder / "evaluation.csv", newline="") as file:
        rows = [row for row in csv.DictReader(file) if int(row["iters"]) == 0]
    sources = {row["Source"]: 100 * float(row["Mean IoU"]) for row in rows}
    found["before", "natural"] = sources.pop("natural", None)
    found["before", "last"] = sum(sources.values()) / len(sources)
    return found


def mean_and_error(values):
    mean = sum(values) / len(values)
    if len(values) < 2:
        return mean, None
    return mean, math.sqrt(sum((v - mean) ** 2 for v in values) / (len(values) - 1) / len(values))


def cell(values):
    if not values:
        return f"{'-':>6}       "
    mean, error = mean_and_error(values)
    return f"{mean:6.2f}" + (f" ({error:.2f})" if error is not None else "       ")


def main():
    arguments, against = sys.argv[1:], "naive"
    if arguments[:1] == ["--against"] and len(arguments) > 1:
        against, arguments = arguments[1], arguments[2:]
    if not arguments or arguments[0] in ("-h", "--help"):
        sys.exit(__doc__)
    rows = {}
    for folder in map(pathlib.Path, arguments):
        name, _, seed = folder.name.rpartition("-seed")
        rows.setdefault(name, {})[seed] = figures(folder)
    columns = [
        ("Last", ("IoU", "last")), ("Avg", ("IoU", "average")), ("FF", ("IoU", "forgettingFromDiagonal")),
        ("Natural", ("IoU", "lastNatural")), ("Last BIoU", ("boundary IoU", "last")),
    ]
    first = next(iter(next(iter(rows.values())).values()))
    print(f"before: IoU {first['before', 'last']:.2f} on the domains, {first['before', 'natural'] or math.nan:.2f} on natural images")
    print(f"{'row':12} {'seeds':>5} " + " ".join(f"{title:>13}" for title, _ in columns) + f"  {'Last - ' + against:>14}")
    for name, seeds in rows.items():
        cells = [cell([f[key] for f in seeds.values() if f[key] is not None]) for _, key in columns]
        common = [s for s in seeds if s in rows.get(against, {})]
        gain = [seeds[s]["IoU", "last"] - rows[against][s]["IoU", "last"] for s in common]
        print(f"{name:12} {len(seeds):5} " + " ".join(f"{c:>13}" for c in cells) + f"  {cell(gain) if gain and name != against else '':>14}")


if __name__ == "__main__":
    main()
