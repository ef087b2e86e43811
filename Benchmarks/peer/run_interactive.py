#!/usr/bin/env python3
"""Runs one form of the interactive step in a process of its own and prints one JSON object.

usage: run_interactive.py FORM decoder|light MODEL WEIGHTS CASE PROMPTS RESULTS THREADS STEPS CHUNK

FORM: a precision, fp32 or bf16, and the encoder's attention, fused or plain, as in fp32-fused. PROMPTS: a file with
prompts.boxes and prompts.clicks, as Kedge's --results writes it; or `box` or `point` to draw the prompts, starting with
that. RESULTS: gets the gradients by name. compare_interactive.py calls this and describes the files.
"""
import json
import resource
import sys
import time

import torch
from safetensors.torch import load_file, save_file

import interactive
from run_form import load


def part(given, some):
    """The prompts of some of the masks; masks are the last dimension but one."""
    return {name: given[name][..., some, :] for name in ("prompts.boxes", "prompts.clicks") if name in given}


def main():
    form, trains, model, weights, case_path, source, results, threads, steps, chunk = sys.argv[1:11]
    precision, attention = form.split("-")
    torch.set_num_threads(int(threads))
    case = load_file(case_path)
    given = {} if source in ("box", "point") else load_file(source)
    view = case["weak"].permute(2, 0, 1)[None].contiguous()
    masks = case["masks"].float()
    sam = load(model, weights)
    trained = interactive.trainables(sam, case, interleaved=model in ("mobilesam", "litemedsam"))
    interactive.quicken(sam, precision, attention)
    task = int(case["task"]) if "task" in case else 0
    vector = trained[interactive.task_name(task)] if task else None
    kept = None
    if trains == "decoder":
        with torch.no_grad():
            kept = sam.image_encoder(view)
        del sam.image_encoder
    seconds = []
    for _ in range(int(steps)):
        for parameter in trained.values():
            parameter.grad = None
        generator = torch.Generator().manual_seed(3)
        start = time.perf_counter()
        draw = lambda some: interactive.Prompts(masks[some], part(given, some), source, generator)
        losses = interactive.step(sam, view, kept, masks, draw, vector, precision == "bf16", int(chunk))
        seconds.append(time.perf_counter() - start)
    save_file({name: torch.zeros_like(parameter) if parameter.grad is None else parameter.grad.contiguous()
               for name, parameter in trained.items()}, results)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    print(json.dumps({"seconds": min(seconds), "peakBytes": peak, "losses": losses}))


if __name__ == "__main__":
    main()
