"""Makes the files of the fuzzing corpus that other tools write: Pillow, PyTorch and the reference safetensors library.

    python3 generate_corpus.py

Needs pillow, torch, numpy and safetensors. Broken files are named after the rule that they break.
"""

import io
import json
import pathlib
import struct
import zlib
from collections import OrderedDict

import numpy
import torch
from PIL import Image
from safetensors.numpy import save

HERE = pathlib.Path(__file__).parent / "Corpus"


def put(name, content):
    path = HERE / name
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(content)


def saved(image, form, **options):
    file = io.BytesIO()
    image.save(file, form, **options)
    return file.getvalue()


def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def raw_png(width, height, depth, colour, rows, interlace=0, extra=b""):
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, interlace)
    return (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + extra + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b""))


def images():
    numbers = numpy.arange(7 * 5 * 4, dtype=numpy.uint8).reshape(5, 7, 4)
    rgba = Image.fromarray(numbers, "RGBA")
    grey = Image.fromarray(numbers[:, :, 0].copy())
    palette = rgba.convert("RGB").quantize(4)
    pngs = {
        "rgb": rgba.convert("RGB"), "rgba": rgba, "grey": grey, "palette": palette, "bilevel": grey.convert("1"),
        "grey16": Image.fromarray((numbers[:, :, 0].astype(numpy.uint16) * 300)), "grey-alpha": rgba.convert("LA"),
    }
    for name, image in pngs.items():
        put(f"png/{name}.png", saved(image, "PNG"))
        if name in ("grey", "palette", "bilevel", "grey16"):
            put(f"labels/{name}.png", saved(image, "PNG"))
    # Adam7 of a 1 x 1 image has one pass; of 8 x 8 all seven.
    put("png/interlaced-1.png", raw_png(1, 1, 8, 0, b"\0\x80", 1))
    passes = b"".join((b"\0" + bytes(w)) * h for w, h in [(1, 1), (1, 1), (2, 1), (2, 2), (4, 2), (4, 4), (8, 4)])
    put("png/interlaced-8.png", raw_png(8, 8, 8, 0, passes, 1))
    put("labels/interlaced-8.png", raw_png(8, 8, 8, 0, passes, 1))
    put("png/transparent.png", raw_png(4, 1, 8, 2, b"\0" + bytes(12), extra=chunk(b"tRNS", bytes(6))))
    put("png/broken-short-rows.png", raw_png(4, 4, 8, 2, b"\0" + bytes(12)))
    put("png/broken-bomb.png", raw_png(4000, 4000, 8, 2, b"\0"))
    put("png/broken-palette-missing.png", raw_png(4, 1, 8, 3, b"\0\0\1\2\3"))
    put("png/broken-truncated.png", saved(grey, "PNG")[:-20])
    put("labels/broken-colours.png", saved(rgba, "PNG"))
    colours = Image.fromarray(numpy.arange(19 * 18 * 3, dtype=numpy.uint32).astype(numpy.uint8).reshape(18, 19, 3))
    put("jpeg/baseline-420.jpg", saved(colours, "JPEG", quality=30))
    put("jpeg/baseline-444.jpg", saved(colours, "JPEG", quality=20, subsampling=0))
    put("jpeg/progressive.jpg", saved(colours, "JPEG", quality=20, progressive=True))
    put("jpeg/grey-optimised.jpg", saved(colours.convert("L"), "JPEG", quality=20, optimize=True))
    put("jpeg/restarts.jpg", saved(colours, "JPEG", quality=20, restart_marker_blocks=1))
    put("jpeg/broken-cmyk.jpg", saved(colours.convert("CMYK"), "JPEG", quality=10))
    exif = Image.Exif()
    exif[0x0112] = 6
    put("jpeg/exif-6.jpg", saved(colours, "JPEG", quality=20, exif=exif))
    put("jpeg/broken-truncated.jpg", saved(colours, "JPEG", quality=20)[:-30])


def torch_file(value):
    file = io.BytesIO()
    torch.save(value, file)
    return file.getvalue()


def weights():
    tensors = {
        "a": numpy.arange(6, dtype=numpy.float32).reshape(2, 3), "b": numpy.array([1, 2], numpy.int64),
        "c": numpy.array([0.5], numpy.float16), "e": numpy.zeros((0, 2), numpy.float32), "u": numpy.array(7, numpy.uint8),
    }
    put("safetensors/reference.safetensors", save(tensors, {"format": "np"}))
    sound = {"a": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}}

    def header(text, data=bytes(8)):
        text = text.encode()
        return struct.pack("<Q", len(text)) + text + data

    broken = {
        "duplicate": header('{"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]},"a":{"dtype":"U8","shape":[4],"data_offsets":[4,8]}}'),
        "overlap": header(json.dumps({"a": sound["a"], "b": {"dtype": "U8", "shape": [4], "data_offsets": [4, 8]}})),
        "overflow": header(json.dumps({"a": {"dtype": "F32", "shape": [2**53, 2**53], "data_offsets": [0, 8]}})),
        "long-header": struct.pack("<Q", 2**62) + b"{}",
        "leading-space": header(" " + json.dumps(sound)),
        "metadata": header('{"__metadata__":{"a":1}}', b""),
    }
    for name, content in broken.items():
        put(f"safetensors/broken-{name}.safetensors", content)
    base = torch.arange(12, dtype=torch.float32).reshape(3, 4)
    files = {
        "dictionary": OrderedDict(a=base[:2], b=base.t()[1:], n=torch.tensor([1, -1])),
        "wrapped": {"model": {"module.a": base.half(), "module.b": base.to(torch.bfloat16)}},
        "parameter": OrderedDict(p=torch.nn.Parameter(torch.ones(2)), e=torch.empty(0, 3), f=torch.tensor(True)),
        "module": torch.nn.Linear(2, 1).state_dict(),
        "broken-list": [torch.ones(1)],
        "broken-global": {"a": torch.Size([1]), "f": slice(1)},
        "broken-expanded": {"a": torch.ones(1).expand(1000)},
    }
    for name, value in files.items():
        put(f"pth/{name}.pth", torch_file(value))


RECIPES = {
    "small": "data:\n  root: cells\nmodel:\n  kind: mobilesam\n  weights: w.pth\n",
    "lists": "data: {root: x, split: 3:1}\noptimizer:\n  decaySteps: [10, 20]\nevaluation:\n  prompts: [box, point]\n",
    "quoted": "run:\n  name: 'a-1'\n  folder: \"runs \\u00e9 \\\"x\\\"\"\ndata:\n  root: |\n    two\n    lines\n",
    "none": "data:\n  root: x\n  binarise: none\n  splitSeed: ~\n  split: none\npreprocessing: auto\n",
    "broken-anchor": "run: &a\n  name: x\ndata: *a\n",
    "broken-deep": "data:\n  root: " + "[" * 40 + "]" * 40 + "\n",
    "broken-unknown": "data:\n  rot: x\n",
    "broken-twice": "data:\n  root: x\n  root: y\n",
    "broken-bounds": "lora:\n  rank: 0\ntraining:\n  globalBatch: 99999999999999999999\n",
}

if __name__ == "__main__":
    images()
    weights()
    for name, text in RECIPES.items():
        put(f"recipe/{name}.yaml", text.encode())
