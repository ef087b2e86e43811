#!/usr/bin/env python3
"""Writes shapes with the masks that pycocotools gives them, one JSON object a line.

    pip install pycocotools numpy
    coco_shapes.py COUNT SEED > FILE

Tests/DatasetsTests/Fixtures/coco-shapes.jsonl is `coco_shapes.py 400 1`; Tests/System/coco-masks compares more.
Each line: w, h, `polygon` or `bbox` (x, y, width, height), `rle` (the text form of the mask), `area`, `box` (tight, x y w h),
and for every second line `union` with the shape of the line before, which has the same size.
"""
import json
import math
import random
import sys

import numpy
from pycocotools import mask as coco


def star(r, w, h):
    cx, cy = r.uniform(0, w), r.uniform(0, h)
    size = r.uniform(0.3, 0.7) * max(w, h)
    points = []
    for k in range(r.randint(3, 40)):
        angle, radius = 2 * math.pi * k / 40 + r.uniform(0, 0.1), size * r.uniform(0.2, 1)
        points += [cx + radius * math.cos(angle), cy + radius * math.sin(angle)]
    return points


def scattered(r, w, h):
    margin = r.choice([0, 0.2, 2])
    return [r.uniform(-margin * s, (1 + margin) * s) for _ in range(r.randint(3, 12)) for s in (w, h)]


def rounded(r, w, h):
    digits = r.choice([0, 1, 2])
    return [round(v, digits) for v in scattered(r, w, h)]


def halves(r, w, h):
    """Coordinates on and beside the places where rounding turns."""
    return [r.randint(-3, 10 * s + 3) / 10 + r.choice([0, 0, 1e-9, -1e-9]) for _ in range(r.randint(3, 9)) for s in (w, h)]


def degenerate(r, w, h):
    kind = r.randrange(6)
    x, y = r.uniform(-2, w + 2), r.uniform(-2, h + 2)
    if kind == 0:
        return [x, y] * r.randint(3, 5)
    if kind == 1:
        return [x, y, r.uniform(0, w), y, r.uniform(0, w), y]
    if kind == 2:
        return [x, y, x, r.uniform(0, h), x, r.uniform(0, h)]
    if kind == 3:
        far = r.uniform(2, 50)
        return [v + far * s for v, s in zip(scattered(r, w, h), [w, h] * 20)]
    if kind == 4:
        return [0, 0, 0, h, w, h, w, 0]
    points = scattered(r, w, h)
    return points + points[:2] + points[::-1][:2]


def huge(r, w, h):
    return [r.uniform(-1, 1) * 10 ** r.uniform(0, 5) for _ in range(2 * r.randint(3, 6))]


def sliver(r, w, h):
    x, y, angle = r.uniform(0, w), r.uniform(0, h), r.uniform(0, 7)
    length, thick = r.uniform(1, w), r.uniform(0, 1.5)
    dx, dy = length * math.cos(angle), length * math.sin(angle)
    return [x, y, x + dx, y + dy, x + dx + thick, y + dy, x + thick, y - thick]


KINDS = [star, star, scattered, scattered, rounded, halves, degenerate, huge, sliver]


def main():
    count, r = int(sys.argv[1]), random.Random(int(sys.argv[2]))
    last, w, h = None, 1, 1
    for index in range(count):
        if index % 2 == 0:
            w, h = (r.randint(1, 12), r.randint(1, 12)) if r.random() < 0.3 else (r.randint(1, 90), r.randint(1, 90))
            if r.random() < 0.02:
                w, h = r.randint(200, 700), r.randint(200, 700)
        line = {"w": w, "h": h}
        if r.random() < 0.1:
            x, y = r.uniform(-5, w), r.uniform(-5, h)
            line["bbox"] = [round(v, 3) for v in (x, y, r.uniform(0, w), r.uniform(0, h))]
            rle = coco.frPyObjects(numpy.array([line["bbox"]]), h, w)[0]
        else:
            line["polygon"] = [round(float(v), 10 if r.random() < 0.2 else 3) for v in r.choice(KINDS)(r, w, h)]
            rle = coco.frPyObjects([line["polygon"]], h, w)[0]
        line["rle"] = rle["counts"].decode()
        decoded = coco.decode(rle)
        line["area"] = int(decoded.sum())
        ys, xs = decoded.nonzero()
        line["box"] = [int(xs.min()), int(ys.min()), int(xs.max() - xs.min()) + 1, int(ys.max() - ys.min()) + 1] if len(xs) else []
        if index % 2 == 1:
            line["union"] = coco.merge([rle, last])["counts"].decode()
        last = rle
        print(json.dumps(line))


main()
