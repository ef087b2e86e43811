"""Writes the image fixtures of ImagingTests and the values Pillow decodes from them.

Run with Pillow and numpy: python generate.py (in this folder). Files:
  NAME.png, NAME.jpg          the image
  NAME.rgb.bin                width, height (little-endian UInt32), then RGB bytes, as Pillow converts them
  NAME.labels.bin             width, height, then little-endian UInt16 label values
  resize-*.bin                width, height, then samples resized by Pillow
  resize.txt                  kind, sizes and FNV-1a hash of resized patterns
"""
import struct
import zlib

import numpy as np
from PIL import Image, ImageOps


def chunk(name, data):
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def pack_rows(samples, depth):
    """Filter type 0 rows of samples [height, width, channels] at a depth in bits."""
    rows = b""
    for row in samples.reshape(samples.shape[0], -1):
        if depth == 16:
            packed = row.astype(">u2").tobytes()
        elif depth == 8:
            packed = row.astype(np.uint8).tobytes()
        else:
            bits = np.unpackbits(row.astype(np.uint8)[:, None], axis=1)[:, 8 - depth :]
            packed = np.packbits(bits.reshape(-1)).tobytes()
        rows += b"\0" + packed
    return rows


def write_png(name, samples, colour_type, depth, interlace=False, before=b""):
    height, width = samples.shape[:2]
    passes = [(0, 0, 1, 1)]
    if interlace:
        passes = [(0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2)]
    data = b"".join(
        pack_rows(samples[y::dy, x::dx], depth) for x, y, dx, dy in passes if samples[y::dy, x::dx].size
    )
    header = struct.pack(">IIBBBBB", width, height, depth, colour_type, 0, 0, int(interlace))
    with open(name + ".png", "wb") as file:
        file.write(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + before)
        file.write(chunk(b"IDAT", zlib.compress(data, 9)) + chunk(b"IEND", b""))


def write_values(name, values, kind):
    height, width = values.shape[:2]
    with open(name, "wb") as file:
        file.write(struct.pack("<II", width, height) + values.astype(kind).tobytes())


def expect_rgb(name, suffix=".png", transpose=False):
    image = Image.open(name + suffix)
    if transpose:
        image = ImageOps.exif_transpose(image)
    write_values(name + ".rgb.bin", np.asarray(image.convert("RGB")), "u1")


random = np.random.default_rng(20240607)


def noise(channels, depth, height=11, width=13):
    return random.integers(0, 1 << depth, (height, width, channels))


def png_kinds():
    palette = random.integers(0, 256, (256, 3)).astype(np.uint8)

    def plte(depth):
        return chunk(b"PLTE", palette[: 1 << depth].tobytes())

    grey, rgb, index, grey_alpha, rgba = 0, 2, 3, 4, 6
    kinds = [
        ("grey1", grey, 1, 1, b""), ("grey2", grey, 1, 2, b""), ("grey4", grey, 1, 4, b""),
        ("grey8", grey, 1, 8, b""), ("rgb8", rgb, 3, 8, b""), ("rgb16", rgb, 3, 16, b""),
        ("palette1", index, 1, 1, plte(1)), ("palette2", index, 1, 2, plte(2)),
        ("palette4", index, 1, 4, plte(4)), ("palette8", index, 1, 8, plte(8)),
        ("grey-alpha8", grey_alpha, 2, 8, b""), ("grey-alpha16", grey_alpha, 2, 16, b""),
        ("rgba8", rgba, 4, 8, b""), ("rgba16", rgba, 4, 16, b""),
        ("grey8-trns", grey, 1, 8, chunk(b"tRNS", struct.pack(">H", 7))),
        ("rgb8-trns", rgb, 3, 8, chunk(b"tRNS", struct.pack(">HHH", 1, 2, 3))),
        ("palette8-trns", index, 1, 8, plte(8) + chunk(b"tRNS", bytes(range(256)))),
        ("rgb8-gamma", rgb, 3, 8, chunk(b"gAMA", struct.pack(">I", 100000))),
        ("grey8-gamma", grey, 1, 8, chunk(b"gAMA", struct.pack(">I", 100000))),
    ]
    for name, colour_type, channels, depth, before in kinds:
        for interlace in (False, True):
            label = name + ("-interlaced" if interlace else "")
            samples = noise(channels, depth)
            write_png(label, samples, colour_type, depth, interlace, before)
            expect_rgb(label)
            if colour_type in (grey, index):
                write_values(label + ".labels.bin", samples[:, :, 0], "<u2")
    for interlace in (False, True):
        label = "grey16" + ("-interlaced" if interlace else "")
        samples = noise(1, 16)
        write_png(label, samples, grey, 16, interlace)
        write_values(label + ".labels.bin", samples[:, :, 0], "<u2")
        # Pillow clips 16-bit grey at 255; the rule here is the high byte, as for every other 16-bit kind.
        write_values(label + ".rgb.bin", np.repeat(samples >> 8, 3, axis=2), "u1")


def photograph(height, width):
    y, x = np.mgrid[0:height, 0:width]
    channels = [
        128 + 100 * np.sin(x / 7.0 + y / 11.0), 128 + 90 * np.cos(x / 5.0 - y / 9.0), 255.0 * (x * y % 97) / 97,
    ]
    return np.stack(channels, axis=2).clip(0, 255).astype(np.uint8)


def jpeg_kinds():
    colour = Image.fromarray(photograph(45, 67))
    colour.convert("L").save("jpeg-grey.jpg", quality=85)
    for name, subsampling in (("444", 0), ("422", 1), ("420", 2)):
        colour.save(f"jpeg-{name}.jpg", quality=85, subsampling=subsampling)
    colour.save("jpeg-progressive.jpg", quality=85, progressive=True)
    for name in ("grey", "444", "422", "420", "progressive"):
        expect_rgb("jpeg-" + name, ".jpg")
    Image.new("RGB", (600, 600), (90, 120, 60)).save("jpeg-progressive-flat.jpg", progressive=True)
    colour.convert("CMYK").save("jpeg-cmyk.jpg", quality=60)
    for orientation in range(1, 9):
        exif = Image.Exif()
        exif[0x0112] = orientation
        name = f"exif-{orientation}"
        Image.fromarray(photograph(8, 16)).save(name + ".jpg", quality=95, subsampling=0, exif=exif)
        expect_rgb(name, ".jpg", transpose=True)


def hostile():
    header = struct.pack(">IIBBBBB", 50000, 50000, 8, 2, 0, 0, 0)
    with open("bomb.png", "wb") as file:
        file.write(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header))
        file.write(chunk(b"IDAT", zlib.compress(bytes(1000))) + chunk(b"IEND", b""))


def pattern(count):
    i = np.arange(count, dtype=np.uint32)
    return ((i * np.uint32(2654435761) + (i >> 8) * np.uint32(40503)) >> 13).astype(np.uint8)


def fnv1a(data):
    value = 0xCBF29CE484222325
    for byte in data:
        value = (value ^ byte) * 0x100000001B3 & 0xFFFFFFFFFFFFFFFF
    return value


def resizes():
    source = Image.fromarray(photograph(47, 61))
    source.save("resize-source.png")
    for width, height in ((31, 23), (90, 70), (61, 20), (40, 47), (7, 100)):
        write_values(f"resize-{width}x{height}.bin", np.asarray(source.resize((width, height), Image.BILINEAR)), "u1")
    pairs = [
        (64, 48, 128, 96), (64, 48, 32, 24), (64, 48, 64, 20), (64, 48, 21, 48), (64, 48, 64, 48), (1, 1, 9, 5),
        (301, 7, 64, 64), (5, 203, 77, 31), (640, 427, 102, 68), (333, 250, 250, 333), (200, 133, 256, 170),
        (4000, 3, 1, 1), (3, 4000, 2, 2), (2, 2, 255, 3), (127, 129, 129, 127),
    ]
    lines = []
    for width, height, new_width, new_height in pairs:
        size = (new_width, new_height)
        rgb = Image.fromarray(pattern(width * height * 3).reshape(height, width, 3))
        grey = Image.fromarray(pattern(width * height).reshape(height, width))
        for kind, image in (("rgb", rgb.resize(size, Image.BILINEAR)), ("grey", grey.resize(size, Image.BILINEAR)),
                            ("nearest", grey.resize(size, Image.NEAREST))):
            lines.append(f"{kind} {width} {height} {new_width} {new_height} {fnv1a(image.tobytes()):016x}\n")
    with open("resize.txt", "w") as file:
        file.writelines(lines)


if __name__ == "__main__":
    png_kinds()
    jpeg_kinds()
    hostile()
    resizes()
