"""Fits the textures that stand for the package's frost photographs; prints what FrostStatistics.swift holds.

    python fit_frost.py [SEEDS]        realisations tried per texture, 60 if not said; some minutes

Needs what generate.py needs. A texture is a sum of folded noise on lattices of 1, 2, 4, ... 512 pixels, whose values are then
put by rank into the photograph's distribution per channel. The shares of the lattices up to 64 pixels are those measured of
the photograph (SHARES), give or take a few per cent. Those above and the seed are searched for: over parts of several sizes,
mean, variance and the average part, on a coarse grid, are to be as in the photograph. The quantiles are then moved and
stretched until mean and variance of each channel agree on average over the sizes.
"""
import pathlib
import sys

import cv2
import numpy as np

import generate

PROBABILITIES = [0, .002, .02, .05, .1, .2, .3, .4, .5, .6, .7, .8, .9, .95, .98, .998, 1]
SIZES = [(256, 256), (384, 384), (512, 512), (480, 640)]
GRIDS = [0, 3, 2]  # the sizes whose average part is compared
SHARES = {
    "grey": ("frost4.jpg", [.2, .43, .57, .66, .71, .74, .8, .93]),
    "pale": ("frost2.png", [.12, .27, .4, .5, .56, .62, .7, .9]),
    "dark": ("frost5.jpg", [.14, .3, .45, .58, .69, .76, .82, .92]),
    "teal": ("frost1.png", [.06, .12, .155, .18, .215, .26, .34, .42]),
}
LAYERS = 10
STEP = 3  # the search looks at every third row and column


def box_means(values, height, width):
    """Means over all boxes of a size."""
    sums = np.pad(values.cumsum(0).cumsum(1), ((1, 0), (1, 0)))
    return (sums[height:, width:] - sums[:-height, width:] - sums[height:, :-width] + sums[:-height, :-width]) / (
        height * width)


def part(shape, height, width):
    """How large the part for an image of a size is in a texture that was not enlarged, in steps."""
    enlarged = max(1, height / (shape[0] * STEP), width / (shape[1] * STEP)) * 1.1
    return [
        min(max(round(side / enlarged / STEP), 2), most - 1) for side, most in ((height, shape[0]), (width, shape[1]))]


def facts(values):
    """Mean and variance of parts of each size, averaged over their places, and the average part on a grid."""
    means, variances, grids = [], [], []
    for index, size in enumerate(SIZES):
        height, width = part(values.shape, *size)
        mean, square = box_means(values, height, width), box_means(values * values, height, width)
        means.append(mean.mean())
        variances.append((square - mean * mean).mean())
        if index in GRIDS:
            average = box_means(values, values.shape[0] - height + 1, values.shape[1] - width + 1)
            grids.append(cv2.resize(average, (4, 4), interpolation=cv2.INTER_AREA) - average.mean())
    return np.array(means), np.array(variances), np.array(grids)


def channel_facts(image):
    """Mean and variance per channel of parts of each size of the enlarged image, as the package takes them."""
    result = []
    for height, width in SIZES:
        enlarged = max(1, height / image.shape[0], width / image.shape[1]) * 1.1
        size = [int(np.ceil(side * enlarged)) for side in image.shape[1::-1]]
        large = cv2.resize(image, size, interpolation=cv2.INTER_CUBIC).astype(np.float64)
        means = np.stack([box_means(large[..., c], height, width) for c in range(3)])
        squares = np.stack([box_means(large[..., c] ** 2, height, width) for c in range(3)])
        result.append((means.mean((1, 2)), (squares - means**2).mean((1, 2))))
    return np.array(result)  # [size, mean or variance, channel]


def layers(name, seed, shape, step):
    """The noise of each lattice, at every `step`-th place, of mean 0 and variance 1."""
    numbers = generate.SeededNumbers(seed, 0, "frost texture: " + name)
    rows, columns = np.arange(0, shape[0], step), np.arange(0, shape[1], step)
    result = []
    for octave in range(LAYERS):
        cell = 1 << octave
        lattice = numbers.uniform(-1, 1, (shape[0] // cell + 2, shape[1] // cell + 2))
        v, u = ((t * t * (3 - 2 * t)) for t in ((rows % cell) / cell, (columns % cell) / cell))
        y, x, v, u = (rows // cell)[:, None], (columns // cell)[None], v[:, None], u[None]
        upper = lattice[y, x] * (1 - u) + lattice[y, x + 1] * u
        lower = lattice[y + 1, x] * (1 - u) + lattice[y + 1, x + 1] * u
        layer = -abs(upper * (1 - v) + lower * v)
        result.append((layer - layer.mean()) / layer.std())
    return result


def ranks(weights, noise):
    total = sum(weight * layer for weight, layer in zip(weights, noise))
    bins = np.minimum(((total - total.min()) / np.ptp(total) * 4096).astype(int), 4095)
    counts = np.bincount(bins.ravel(), minlength=4096)
    return ((np.cumsum(counts) - counts / 2) / total.size)[bins]


def search(name, photograph, quantiles, shares, seeds):
    """The seed and the weights of the layers that fit best."""
    random = np.random.RandomState(5)
    means, variances, grids = facts(photograph.mean(2)[::STEP, ::STEP])
    start = np.sqrt(np.r_[np.diff([0, *shares, 1]), 0.1])

    def misfit(noise, weights):
        m, v, g = facts(np.interp(ranks(weights, noise), PROBABILITIES, np.mean(quantiles, 0)))
        ratio, shift = np.log(v / variances), (m - means) / np.sqrt(variances)
        # What all sizes share is mended afterwards by the quantiles.
        return (
            ((ratio - ratio.mean()) ** 2).sum() + 0.1 * ratio.mean() ** 2 + 4 * ((shift - shift.mean()) ** 2).sum()
            + 0.1 * shift.mean() ** 2 + (((g - grids) ** 2).mean((1, 2)) / variances[GRIDS]).sum())

    tried = []
    for seed in range(seeds):
        noise = layers(name, seed, photograph.shape, STEP)
        for attempt in range(4):
            weights = start.copy()
            if attempt:
                weights[7:] = np.exp(random.uniform(np.log(0.15), np.log(1.2), 3))
            tried.append((misfit(noise, weights), seed, weights))
    best = sorted(tried, key=lambda trial: trial[0])[:2]
    freedom = 0.15 * np.r_[np.full(7, 0.25), 1, 1, 1]
    for place, (least, seed, weights) in enumerate(best):
        noise = layers(name, seed, photograph.shape, STEP)
        for _ in range(45):
            other = weights * np.exp(random.normal(size=LAYERS) * freedom)
            value = misfit(noise, other)
            if value < least:
                least, weights = value, other
        best[place] = (least, seed, weights)
    return min(best, key=lambda trial: trial[0])


def fit(name, seeds):
    file, shares = SHARES[name]
    path = pathlib.Path(generate.package.__file__).parent / "frost" / file
    photograph = cv2.imread(str(path))[..., ::-1]
    quantiles = [np.quantile(photograph[..., c], PROBABILITIES) for c in range(3)]
    misfit, seed, weights = search(name, photograph, quantiles, shares, seeds)
    within = np.minimum(np.round(np.cumsum(weights**2) / (weights**2).sum(), 3), 1)[:-1].tolist()
    rank = ranks(np.sqrt(np.diff([0, *within, 1])), layers(name, seed, photograph.shape, 1))

    def texture():
        levels = [np.floor(np.interp(rank, PROBABILITIES, channel) + 0.5) for channel in quantiles]
        return np.stack(levels, -1).clip(0, 255).astype(np.uint8)

    wanted = channel_facts(photograph)
    for _ in range(3):
        found = channel_facts(texture())
        for c in range(3):
            stretch = np.exp(np.log(wanted[:, 1, c] / found[:, 1, c]).mean() / 2)
            middle = found[:, 0, c].mean()
            moved = wanted[:, 0, c].mean() + (quantiles[c] - middle) * stretch
            quantiles[c] = moved.clip(0, 255)
    quantiles = [np.round(channel) for channel in quantiles]
    found = channel_facts(texture())
    print(f"{name}: seed {seed}, misfit {misfit:.3f}")
    for channel in quantiles:
        print("  ", channel.astype(int).tolist())
    print("   shareWithin", within)
    for size, a, b in zip(SIZES, found, wanted):
        print("   parts of", size, "mean differs", (a[0] - b[0]).round(1), "variance ratio", (a[1] / b[1]).round(3))
    sys.stdout.flush()


for chosen in SHARES:
    fit(chosen, int(sys.argv[1]) if len(sys.argv) > 1 else 60)
