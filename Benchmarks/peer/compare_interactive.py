#!/usr/bin/env python3
"""Kedge against PyTorch on one step of interactive fine-tuning: seven rounds of clicks; ratios of time and memory.

usage: compare_interactive.py --kedge .build/release/kedge --trains light [--model vit_b] [--weights FILE] [--masks 8]

Needs what compare.py needs. `--trains decoder` keeps the image's embedding, so no encoder is in the step; `light` has
LoRA pairs in the encoder too. The case that both get is a safetensors file with
  weak, strong [S, S, 3]   the image, twice             masks [n, S, S]  bytes, 0 or 1
  boxes [n, 4]             tight ones; only counted     task [1]         the row of the task table in round 1
and all trained parameters by name. What Kedge writes has loss.NAME, gradient.NAME and the prompts that it drew:
  prompts.boxes [n, 4]     if it started with boxes     prompts.clicks [c, n, 3]  x, y and label, round by round
PyTorch draws clicks too, since that takes time, and then uses Kedge's, so that a logit that differs in its last bit
sends no click elsewhere. Each form runs in a process of its own, in which a kept embedding is computed too; forms
alternate within a round. Checks in the first round that losses (1e-3 relative) and gradients (1e-2 relative L2) of the
forms in fp32 agree, prints how far those in bf16 do, and exits with 1 where the check fails.
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

from compare import HERE, equal_bits, random_weights
from interactive import TASKS, task_name
from run_form import load
from wesam import attention_modules

FORMS = {"decoder": ["fp32-fused", "bf16-fused"],
         "light": ["fp32-fused", "bf16-fused", "fp32-plain", "bf16-plain"]}
PARTS = {"LoRA": ".linear_", "decoder": "mask_decoder.", "task table": "task_prompt", "prompts": "prompt_encoder."}


def ellipse(side, generator):
    """A mask of a tenth to a third of the square's width."""
    centre = torch.empty(2).uniform_(0.2 * side, 0.8 * side, generator=generator)
    radius = torch.empty(2).uniform_(0.05 * side, 0.17 * side, generator=generator)
    x, y = ((torch.arange(side) - c) / r for c, r in zip(centre, radius))
    return (x[None] ** 2 + y[:, None] ** 2 < 1).to(torch.uint8)


def tight_box(mask):
    rows, columns = mask.any(1).nonzero(), mask.any(0).nonzero()
    return torch.cat([columns[0], rows[0], columns[-1], rows[-1]]).float()


def make_case(options, weights, path):
    """A smooth image, ellipses, and the trained parameters: the model's own, and LoRA and table that are not zero."""
    generator = torch.Generator().manual_seed(2)
    draw = lambda shape, bound: torch.empty(shape).uniform_(-bound, bound, generator=generator)
    sam = load(options.model, weights)
    side = sam.image_encoder.img_size
    image = torch.nn.functional.interpolate(draw((1, 3, 64, 64), 2), (side, side), mode="bilinear")[0].permute(1, 2, 0)
    masks = torch.stack([ellipse(side, generator) for _ in range(options.masks)])
    case = {"weak": image.contiguous(), "strong": image.clone().contiguous(), "masks": masks,
            "boxes": torch.stack([tight_box(mask) for mask in masks]), "task": torch.ones(1)}
    for part in ("prompt_encoder", "mask_decoder"):
        case.update({f"{part}.{name}": p.detach() for name, p in getattr(sam, part).named_parameters()})
    for task in TASKS:
        case[task_name(task)] = draw(case["prompt_encoder.no_mask_embed.weight"].shape, 0.1)
    for name, attention in attention_modules(sam.image_encoder) if options.trains == "light" else ():
        width = attention.qkv.in_features
        for matrix, shape in (("a_q", (4, width)), ("b_q", (width, 4)), ("a_v", (4, width)), ("b_v", (width, 4))):
            bound = width ** -0.5 if matrix[0] == "a" else 0.02
            case[f"image_encoder.{name}.qkv.linear_{matrix}.weight"] = draw(shape, bound)
    save_file(case, path)


def run_kedge(options, weights, case, results, recompute="none"):
    out = subprocess.run(
        [options.kedge, "bench", "step", "--model", options.model, "--weights", weights, "--method", "interactive",
         "--set", f"method.trains={options.trains}", "--case", case, "--results", results, "--threads",
         str(options.threads), "--rounds", "1", "--recompute", recompute, "--cold", "--json"],
        check=True, stdout=subprocess.PIPE, text=True).stdout
    report = json.loads(out)
    return {"seconds": report["figures"][-1]["seconds"], "peakBytes": report["peakBytes"]}


def run_torch(form, options, weights, case, prompts, results):
    out = subprocess.run(
        [sys.executable, str(HERE / "run_interactive.py"), form, options.trains, options.model, weights, case, prompts,
         results, str(options.threads), str(options.steps), str(options.chunk)],
        check=True, stdout=subprocess.PIPE, text=True).stdout
    return json.loads(out.splitlines()[-1])


def gradient_errors(ours, theirs):
    """The relative L2 error of each part's gradient."""
    left = dict(theirs)
    for part, mark in PARTS.items():
        names = [name for name in left if mark in name]
        square = sum(float((left[name] ** 2).sum()) for name in names)
        difference = sum(float(((ours["gradient." + name] - left.pop(name)) ** 2).sum()) for name in names)
        if names:
            yield part, math.sqrt(difference / square) if square > 0 else math.inf


def check(kedge_results, form, outcome, torch_results):
    """Prints the differences; True where they are within bounds, or the form is not one that has to be."""
    ours, theirs = load_file(kedge_results), load_file(torch_results)
    errors = [abs(float(ours["loss." + name]) - value) / max(abs(value), 1e-6)
              for name, value in outcome["losses"].items()]
    worst = max(errors) if all(map(math.isfinite, errors)) else math.inf
    gradients = dict(gradient_errors(ours, theirs))
    print(f"agreement with {form}: losses {worst:.1e} relative; gradients, relative L2: "
          + ", ".join(f"{part} {error:.1e}" for part, error in gradients.items()))
    return form.startswith("bf16") or worst < 1e-3 and all(error < 1e-2 for error in gradients.values())


def measure(options, weights, place):
    """Runs all forms in turn; their outcomes by name, and whether results agreed."""
    make_case(options, weights, place("case"))
    kedges = {"kedge": "none", **{f"kedge, recompute {level}": level for level in options.recompute}}
    outcomes = {name: [] for name in [*kedges, *options.forms]}
    agreed = True
    for turn in range(options.rounds):
        for name, level in kedges.items():
            results = place("kedge" if level == "none" else "again")
            outcomes[name].append(run_kedge(options, weights, place("case"), results, level))
            agreed &= level == "none" or equal_bits(place("kedge"), results)
        for form in options.forms:
            outcome = run_torch(form, options, weights, place("case"), place("kedge"), place("torch"))
            outcomes[form].append(outcome)
            if turn == 0:
                agreed &= check(place("kedge"), form, outcome, place("torch"))
    return outcomes, agreed


def table(options, outcomes):
    """The medians of all forms, and Kedge's share of the fastest of PyTorch's and of the one with the least memory."""
    median = lambda name, key: statistics.median(outcome[key] for outcome in outcomes[name])
    over = lambda name, key, other="kedge": median(name, key) / median(other, key)
    print(f"\n{options.model}, {options.trains}, {options.masks} masks, {options.threads} threads, "
          f"median of {options.rounds}")
    print(f"{'':26}{'s/step':>9}{'x kedge':>9}{'GiB':>8}{'x kedge':>9}")
    for name in outcomes:
        print(f"{name:26}{median(name, 'seconds'):9.2f}{over(name, 'seconds'):9.2f}"
              f"{median(name, 'peakBytes') / 2**30:8.2f}{over(name, 'peakBytes'):9.2f}")
    for kind, key in (("fastest", "seconds"), ("leanest", "peakBytes")):
        best = min(options.forms, key=lambda form: median(form, key))
        print(f"kedge over PyTorch's {kind} form, {best}: time {over('kedge', 'seconds', best):.2f}, "
              f"memory {over('kedge', 'peakBytes', best):.2f}")


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kedge", required=True)
    parser.add_argument("--trains", required=True, choices=FORMS)
    parser.add_argument("--model", default="vit_b", choices=["vit_b", "vit_l", "vit_h", "mobilesam", "litemedsam"])
    parser.add_argument("--weights")
    parser.add_argument("--masks", type=int, default=8)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=2, help="processes of each form")
    parser.add_argument("--steps", type=int, default=2, help="PyTorch's steps in a process; the fastest counts")
    parser.add_argument("--chunk", type=int, default=2, help="masks at a time in PyTorch's decoder")
    parser.add_argument("--forms", nargs="+", choices=FORMS["light"], help="PyTorch's; by default all that differ")
    parser.add_argument("--recompute", nargs="*", default=[], choices=["mlp", "blocks"], help="Kedge's further levels")
    options = parser.parse_args()
    options.forms = options.forms or FORMS[options.trains]
    return options


def main():
    options = arguments()
    with tempfile.TemporaryDirectory() as folder:
        place = lambda name: str(pathlib.Path(folder) / f"{name}.safetensors")
        weights = options.weights or place("weights")
        if not options.weights:
            random_weights(options.model, weights)
        outcomes, agreed = measure(options, weights, place)
    table(options, outcomes)
    sys.exit(0 if agreed else 1)


if __name__ == "__main__":
    main()
