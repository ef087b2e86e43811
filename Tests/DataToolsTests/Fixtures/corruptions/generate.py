"""Measures the published corruptions with the package that defines them and writes what Kedge is compared with.

    kedge synthesize --output CELLS --count 2 --size 256 --seed 23 --severity 0
    python generate.py CELLS        (in this folder)

Needs imagecorruptions 1.1.2 with numpy 1.26.4, scipy 1.11.4, scikit-image 0.20.0, opencv-python-headless 4.9.0.80,
pillow 10.4.0 and setuptools below 80 (install imagecorruptions itself with --no-deps). The package is handed Kedge's
random numbers in the place of numpy's, so that even random corruptions can be compared pixel by pixel. Writes
  ../../../../Sources/Datasets/Corruptions/PublishedFigures.swift   mean, variance and channel means per image
  input.png, NAME.png       a small image, and below each other its five severities, of all corruptions but
                            impulse_noise, which asks for its numbers in another order, and frost, whose photographs
                            are not Kedge's
With `--own` after CELLS the package draws its own numbers, very often, and the figures are printed instead.
"""
import pathlib
import sys
import warnings

import numpy as np
from PIL import Image
from scipy.stats import poisson

warnings.simplefilter("ignore")
import imagecorruptions.corruptions as package  # noqa: E402
from imagecorruptions import corrupt, get_corruption_names  # noqa: E402

DRAWS = {"impulse_noise": 4, "motion_blur": 4, "snow": 4, "fog": 4, "frost": 2000}
OWN_DRAWS = {
    "gaussian_noise": 8, "shot_noise": 8, "impulse_noise": 8, "glass_blur": 4, "motion_blur": 300, "snow": 300,
    "frost": 3000, "fog": 3000, "elastic_transform": 16,
}
WITHOUT_PICTURES = ["impulse_noise", "frost"]
FIGURES = pathlib.Path("../../../../Sources/Datasets/Corruptions/PublishedFigures.swift")
MASK = (1 << 64) - 1


class SeededNumbers:
    """Kedge's SeededGenerator (Philox 4x32-10) under the names of numpy.random that the package calls."""

    def __init__(self, seed, sample, purpose):
        state = 0xCBF29CE484222325
        for word in [*purpose.encode(), 0, sample]:
            state = (state ^ word) * 0x100000001B3 & MASK
        state = (state ^ state >> 30) * 0xBF58476D1CE4E5B9 & MASK
        state = (state ^ state >> 27) * 0x94D049BB133111EB & MASK
        state ^= state >> 31
        self.key, self.stream, self.block = (seed & 0xFFFFFFFF, seed >> 32), state, 0
        self.ahead = np.empty(0, np.uint64)

    def words(self, count):
        if self.ahead.size < count:
            more = max(count // 2 + 1, 1 << 15)
            self.ahead = np.concatenate([self.ahead, self.blocks(self.block, self.block + more)])
            self.block += more
        result, self.ahead = self.ahead[:count], self.ahead[count:]
        return result

    def blocks(self, first, last):
        counter = np.arange(first, last, dtype=np.uint64)
        low, shift = np.uint64(0xFFFFFFFF), np.uint64(32)
        x = [counter & low, counter >> shift]
        x += [np.full_like(counter, self.stream & 0xFFFFFFFF), np.full_like(counter, self.stream >> 32)]
        keys = list(self.key)
        for _ in range(10):
            a, b = x[0] * np.uint64(0xD2511F53), x[2] * np.uint64(0xCD9E8D57)
            x = [b >> shift ^ x[1] ^ np.uint64(keys[0]), b & low, a >> shift ^ x[3] ^ np.uint64(keys[1]), a & low]
            keys = [keys[0] + 0x9E3779B9 & 0xFFFFFFFF, keys[1] + 0xBB67AE85 & 0xFFFFFFFF]
        return np.stack([x[0] << shift | x[1], x[2] << shift | x[3]], 1).reshape(-1)

    def units(self, count):
        return (self.words(count) >> np.uint64(11)).astype(np.float64) * 2.0**-53

    def uniform(self, low, high, size=None):
        values = low + (high - low) * self.units(int(np.prod(size or 1)))
        return values[0] if size is None else values.reshape(size)

    def normal(self, loc=0.0, scale=1.0, size=None):
        pairs = self.units(2 * int(np.prod(size))).reshape(-1, 2)
        values = np.sqrt(-2 * np.log(1 - pairs[:, 0])) * np.cos(2 * np.pi * pairs[:, 1])
        return loc + scale * values.reshape(size)

    def poisson(self, mean):
        return poisson.ppf(self.units(mean.size).reshape(mean.shape), mean)

    def randint(self, low, high=None, size=None):
        low, high = (0, low) if high is None else (low, high)
        if size == (2,):  # the pixel by pixel draws of glass_blur, in plain integers for speed
            return [low + (int(word) * (high - low) >> 64) for word in self.words(2)]
        words, bound = self.words(int(np.prod(size or 1))), np.uint64(high - low)
        upper = (words >> np.uint64(32)) * bound + ((words & np.uint64(0xFFFFFFFF)) * bound >> np.uint64(32))
        values = low + (upper >> np.uint64(32)).astype(np.int64)
        return values[0] if size is None else values.reshape(size)


class PhotographsInTurn(SeededNumbers):
    """The numbers of frost, but for its one choice among five, which goes round: less spread for the same draws."""

    def randint(self, low, high=None, size=None):
        return self.key[0] % 5 if high is None else super().randint(low, high, size)


class NumPy:
    """numpy with its random numbers exchanged, for the package's module alone."""

    random = np.random

    def __getattr__(self, name):
        return getattr(np, name)


numbers = NumPy()


def make_package_run():
    """Lets the package run with scikit-image 0.20, makes its salt and pepper repeatable, reads each photograph once."""
    smooth, noise, read, photographs = package.gaussian, package.sk.util.random_noise, package.cv2.imread, {}

    def gaussian(image, sigma, multichannel=False, **rest):
        return smooth(image, sigma, channel_axis=-1 if multichannel else None, **rest)

    def random_noise(image, **rest):
        return noise(image, seed=int(numbers.random.randint(1 << 30)), **rest)

    def imread(path):
        if path not in photographs:
            photographs[path] = read(path)
        return photographs[path]

    package.gaussian, package.sk.util.random_noise, package.cv2.imread = gaussian, random_noise, imread
    package.np = numbers


def small_image():
    """Smooth colours of every hue, grains, and patches of black, white and grey; 75 x 53 pixels."""
    random = np.random.RandomState(7)
    y, x = np.mgrid[0:53, 0:75]
    waves = np.stack([np.sin(x / 9 + y / 17), np.cos(x / 13 - y / 7), np.sin((x + y) / 11 + 2)], -1)
    image = np.clip(128 + 115 * waves + random.normal(scale=18, size=waves.shape), 0, 255).astype(np.uint8)
    image[5:15, 8:20], image[20:28, 40:60], image[38:48, 12:30] = 0, 255, 90
    return image


def draw(image, name, severity, index):
    """The image under one corruption, with the random numbers of draw `index`."""
    if OWN:
        np.random.seed(1000 * severity + index)
    else:
        kind = PhotographsInTurn if name == "frost" else SeededNumbers
        numbers.random = kind(index, severity, f"corruption: {name}: reference")
    return corrupt(image, corruption_name=name, severity=severity)


def figures(image, name, severity):
    """Mean, variance and the three channel means, averaged over draws."""
    rows = []
    for index in range((OWN_DRAWS if OWN else DRAWS).get(name, 1)):
        values = draw(image, name, severity, index).astype(np.float64)
        rows.append([values.mean(), values.var(), *values.mean((0, 1))])
    return np.mean(rows, axis=0)


def main():
    make_package_run()
    cells = [np.array(Image.open(f"{sys.argv[1]}/images/cells-000{k}.png")) for k in range(2)]
    images = [cells[0], 255 - cells[1]]
    lines = []
    for name in get_corruption_names():
        for severity in range(1, 6):
            for index, image in enumerate(images):
                row = " ".join(f"{value:.5g}" for value in figures(image, name, severity))
                lines.append(f"        {name} {severity} {index} {row}")
                print(lines[-1], flush=True)
    if OWN:
        return
    small = small_image()
    Image.fromarray(small).save("input.png")
    for name in get_corruption_names():
        if name not in WITHOUT_PICTURES:
            strip = [draw(small, name, severity, 0) for severity in range(1, 6)]
            Image.fromarray(np.concatenate(strip)).save(f"{name}.png", optimize=True)
    FIGURES.write_text(
        "// Written by Tests/DataToolsTests/Fixtures/corruptions/generate.py; do not edit.\n\n"
        "extension PublishedFigures {\n"
        "    /// Per line: name, severity, index of the reference image, mean, variance, means of red, green and blue.\n"
        '    static let table = """\n' + "\n".join(lines) + '\n        """\n}\n')


OWN = "--own" in sys.argv
if __name__ == "__main__":
    main()
