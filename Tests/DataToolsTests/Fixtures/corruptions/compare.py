"""Compares `kedge data corrupt` with the published package on the images of a folder.

    python compare.py KEDGE FOLDER [NAME ...]     all corruptions if none is named

See Tests/System/corruptions, which names what it needs.

The package is handed Kedge's random numbers, so corruptions are compared draw by draw; frost too, where Kedge is given the
package's photographs. For frost as Kedge makes it, from textures of its own, draws would differ for many thousands of them;
instead the average is taken over parts of every texture in even steps, of Kedge's textures and of the photographs. Prints a
table in Markdown, a line per corruption and severity: mean and variance of the package, averaged over the images; by how
much Kedge's averages differ; the largest difference of a single image. Ends with status 1 if an average differs by over 2 %.
"""
import pathlib
import shutil
import subprocess
import sys
import tempfile

import cv2
import numpy as np
from PIL import Image

import generate

SEVERITIES = range(1, 6)
STEPS = 5
PHOTOGRAPHS = "frost (photographs)"


def statistics(values):
    values = np.asarray(values, np.float64)
    return values.mean(), values.var()


def kedge_statistics(kedge, folder, files, names, *options):
    """Mean and variance of Kedge's results by name, severity and file."""
    with tempfile.TemporaryDirectory() as output:
        subprocess.run(
            [kedge, "data", "corrupt", "--input", folder, "--output", output, "--seed", "1", "--severity",
             *map(str, SEVERITIES), "--name", *names, *options], check=True, stdout=subprocess.DEVNULL)
        return {
            (name, severity, file): statistics(
                Image.open(pathlib.Path(output, f"{name}-{severity}", file).with_suffix(".png")))
            for name in names for severity in SEVERITIES for file in files
        }


def package_statistics(images, names):
    """The same of the package's results, with Kedge's random numbers."""
    result = {}
    for file, image in images.items():
        for name in names:
            for severity in SEVERITIES:
                generate.numbers.random = generate.SeededNumbers(1, severity, f"corruption: {name}: {file}")
                result[name, severity, file] = statistics(
                    generate.corrupt(image, corruption_name=name, severity=severity))
    return result


def parts(texture, height, width):
    """Parts of an enlarged texture in even steps."""
    enlarged = max(1, height / texture.shape[0], width / texture.shape[1]) * 1.1
    size = [int(np.ceil(side * enlarged)) for side in texture.shape[1::-1]]
    texture = cv2.resize(texture, size, interpolation=cv2.INTER_CUBIC)
    for down in range(STEPS):
        for across in range(STEPS):
            top = (2 * down + 1) * (texture.shape[0] - height) // (2 * STEPS)
            left = (2 * across + 1) * (texture.shape[1] - width) // (2 * STEPS)
            yield texture[top:top + height, left:left + width].astype(np.float32)


def frost_statistics(images, textures):
    """Mean and variance under frost, averaged over parts of all textures."""
    weights = [(1, 0.4), (0.8, 0.6), (0.7, 0.7), (0.65, 0.7), (0.6, 0.75)]
    result = {}
    for file, image in images.items():
        values = image.astype(np.float32)
        sums = np.zeros((len(weights), 2))
        for texture in textures:
            for ice in parts(texture, *image.shape[:2]):
                for place, (a, b) in enumerate(weights):
                    frosted = np.clip(a * values + b * ice, 0, 255).astype(np.uint8)
                    sums[place] += frosted.mean(), frosted.var()
        for severity, both in zip(SEVERITIES, sums / len(textures) / STEPS**2):
            result["frost", severity, file] = both
    return result


def main():
    kedge, folder, *chosen = sys.argv[1:]
    generate.make_package_run()
    files = sorted(
        str(path.relative_to(folder)) for path in pathlib.Path(folder).rglob("*")
        if path.suffix.lower() in (".png", ".jpg", ".jpeg"))
    images = {file: np.array(Image.open(pathlib.Path(folder, file)).convert("RGB")) for file in files}
    published = [name for name in generate.get_corruption_names() if name in (chosen or [name])]
    names = [name for name in published if name != "frost"]
    with tempfile.TemporaryDirectory() as scratch:
        photographs, textures = pathlib.Path(scratch, "photographs"), pathlib.Path(scratch, "textures")
        photographs.mkdir()
        for path in pathlib.Path(generate.package.__file__).parent.glob("frost/frost[1-5].*"):
            shutil.copy(path, photographs)
        ours = kedge_statistics(kedge, folder, files, names) if names else {}
        theirs = package_statistics(images, names)
        if "frost" in published:
            # Draw by draw with the photographs; what is made with Kedge's own textures is not looked at, but for them.
            kedge_statistics(kedge, folder, files[:1], ["frost"], "--write-frost-textures", str(textures))
            exact = kedge_statistics(kedge, folder, files, ["frost"], "--frost-textures", str(photographs))
            ours |= {(PHOTOGRAPHS, *key[1:]): value for key, value in exact.items()}
            exact = package_statistics(images, ["frost"])
            theirs |= {(PHOTOGRAPHS, *key[1:]): value for key, value in exact.items()}
            for table, directory in (ours, textures), (theirs, photographs):
                table |= frost_statistics(
                    images, [cv2.imread(str(path))[..., ::-1] for path in sorted(directory.iterdir())])
            published.append(PHOTOGRAPHS)
    print(f"{len(files)} images\n")
    print("| corruption | severity | mean | variance | mean differs | variance differs | one image: mean | variance |")
    print("|---|---|---|---|---|---|---|---|")
    largest = 0
    for name in published:
        for severity in SEVERITIES:
            a, b = (np.array([table[name, severity, file] for file in files]) for table in (ours, theirs))
            average = 100 * (a.mean(0) / b.mean(0) - 1)
            single = 100 * np.abs(a / b - 1).max(0)
            largest = max(largest, *np.abs(average))
            print(
                f"| {name} | {severity} | {b.mean(0)[0]:.1f} | {b.mean(0)[1]:.0f} | {average[0]:+.3f} % | "
                f"{average[1]:+.3f} % | {single[0]:.3f} % | {single[1]:.3f} % |")
    print(f"\nThe largest difference of an average is {largest:.2f} %.")
    sys.exit(int(largest > 2))


main()
