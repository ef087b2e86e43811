"""One step of interactive fine-tuning (SUM, NeurIPS 2024) in PyTorch, as fast as plain PyTorch on a CPU makes it.

Seven rounds of prompts for the masks of one image: a box or a click, five more clicks, and a round without a new one.
One prompt gives three masks, of which the one with the least 20 focal + dice is trained and the one with the highest
predicted IoU is carried on as a mask prompt; later rounds give one mask. The loss is the mean over rounds and masks of
20 focal + dice + iou.

Carried logits have no gradient, so a round's backward runs right after its forward; the embedding's gradient adds up
and the encoder's backward runs once. Masks are trained a few at a time, and losses have their gradient in closed form,
so that what they touch stays in the cache. LayerNorm2d of the upscaling is one kernel on channels-last images. The
encoder's attention is either exact and fused, or as segment_anything writes it, which is faster backward and keeps
every score.
"""
import torch
import torch.nn.functional as F
from torch import nn

import fused_attention
import wesam

ROUNDS = 7
WEIGHTS = {"focal": 20, "dice": 1, "iou": 1}
TASKS = range(1, 4)


class FusedNorm(nn.Module):
    """LayerNorm2d by torch's own kernel."""

    def __init__(self, norm):
        super().__init__()
        self.weight, self.bias, self.eps = norm.weight, norm.bias, norm.eps

    def forward(self, x):
        y = F.layer_norm(x.permute(0, 2, 3, 1), (x.shape[1],), self.weight, self.bias, self.eps)
        return y.permute(0, 3, 1, 2)


def token_attention(module):
    """A forward for the attention between tokens and image."""
    def forward(q, k, v):
        heads = [module._separate_heads(project(x), module.num_heads)
                 for project, x in ((module.q_proj, q), (module.k_proj, k), (module.v_proj, v))]
        return module.out_proj(module._recombine_heads(F.scaled_dot_product_attention(*heads)))
    return forward


def quicken(sam, precision, attention):
    """The same functions by faster kernels; between tokens and image, fused attention is the slower one in bf16."""
    if attention == "fused":
        fused_attention.fuse(sam.image_encoder, wesam.attention_modules(sam.image_encoder))
    upscaling = sam.mask_decoder.output_upscaling
    upscaling.to(memory_format=torch.channels_last)
    upscaling[1] = FusedNorm(upscaling[1])
    for module in sam.mask_decoder.modules() if precision == "fp32" else ():
        if hasattr(module, "q_proj"):
            module.forward = token_attention(module)


def trainables(sam, case, interleaved):
    """Makes decoder, prompt encoder, task table and the case's LoRA matrices, if any, train; by Kedge's names."""
    matrices = {name: tensor for name, tensor in case.items() if ".linear_" in name}
    for parameter in sam.parameters():
        parameter.requires_grad_(False)
    trained = wesam.inject(sam, matrices, interleaved) if matrices else {}
    own = {f"{part}.{name}": parameter for part in ("prompt_encoder", "mask_decoder")
           for name, parameter in getattr(sam, part).named_parameters()}
    for name, parameter in own.items():
        with torch.no_grad():
            parameter.copy_(case[name])
    own.update({name: nn.Parameter(case[name].clone()) for name in map(task_name, TASKS)})
    return trained | {name: parameter.requires_grad_(True) for name, parameter in own.items()}


def task_name(task):
    return f"prompt_encoder.task_prompt_embedding.{task}.weight"


class MaskLoss(torch.autograd.Function):
    """20 focal + dice of each mask on the canvas, [n]; beside it focal, dice and IoU with the target, [3, n].

    With t the target, p_t the probability of its value and q = 1 - p_t:
      focal = mean of a q^2 (-log p_t), a = 3/4 - t/2,     dice = 1 - (2 sum p t + 1) / (sum p + sum t + 1)
      d focal / dz~ = (3/4 - t) q^2 (q - 2 p_t log p_t) / m,     dp / dz~ = p_t q
    """

    @staticmethod
    def forward(ctx, low, target, wants_gradient):
        rows = [mask_loss(low[i], target[i], wants_gradient) for i in range(len(low))]
        values = torch.tensor([row[:3] for row in rows]).T
        if wants_gradient:
            ctx.save_for_backward(torch.stack([row[3] for row in rows]))
        ctx.mark_non_differentiable(values)
        return WEIGHTS["focal"] * values[0] + WEIGHTS["dice"] * values[1], values

    @staticmethod
    def backward(ctx, d_total, _):
        return ctx.saved_tensors[0] * d_total[:, None, None], None, None


def mask_loss(low, target, wants_gradient):
    """focal, dice and IoU of one mask, and the gradient of 20 focal + dice. // low [h, w], target [S, S] of 0 and 1"""
    z = F.interpolate(low[None, None], target.shape, mode="bilinear", align_corners=False)[0, 0]
    u = (2 * target).sub_(1).mul_(z)
    surprise = F.logsigmoid(u).neg_()
    truth = u.sigmoid_()
    q = 1 - truth
    flat = target.flatten()
    area, inside = float(flat.sum()), float(truth.flatten() @ flat)
    outside = float(q.sum()) - float(q.flatten() @ flat)
    square = q * q
    focal = float((square * surprise).flatten() @ (0.75 - 0.5 * flat)) / flat.numel()
    bottom = inside + outside + area + 1
    dice = 1 - (2 * inside + 1) / bottom
    # A probability of one half, as the loss of the predicted IoU sees it, begins a little below logit 0.
    predicted = torch.where(target > 0.5, truth >= 0.5, q >= 0.5)
    both, all_predicted = int((predicted & (target > 0.5)).sum()), int(predicted.sum())
    iou = both / (all_predicted + area - both + 1e-7)
    if not wants_gradient:
        return focal, dice, iou
    away = (2 * inside + 1) / bottom ** 2  # dL/dp outside the target
    slope = (2 * surprise).mul_(truth).add_(q).mul_(square).mul_(0.75 - target).mul_(WEIGHTS["focal"] / flat.numel())
    both_ways = (target * (-2 / bottom)).add_(away).mul_(WEIGHTS["dice"])
    slope.add_(both_ways.mul_(truth).mul_(q))
    gradient = torch.ops.aten.upsample_bilinear2d_backward(
        slope[None, None], list(target.shape), [1, 1, *low.shape], False, None, None)
    return focal, dice, iou, gradient[0, 0]


class Prompts:
    """The prompts of all rounds: drawn as in training, but replaced by given ones where there are any."""

    def __init__(self, masks, given, start, generator):
        """given: prompts.boxes [n, 4] and prompts.clicks [c, n, 3] of these masks, as far as there are any."""
        self.masks, self.given, self.boxes = masks, given.get("prompts.clicks"), given.get("prompts.boxes")
        if self.boxes is None and self.given is None and start == "box":
            self.boxes = torch.stack([self.jittered_box(mask, generator) for mask in masks])
        self.generator = generator
        self.clicks = [] if self.boxes is not None else [self.click(0, masks > 0.5)]

    @staticmethod
    def jittered_box(mask, generator):
        """Each coordinate moves by a normal number times a tenth of the side, at most 20 pixels."""
        rows, columns = mask.any(1).nonzero(), mask.any(0).nonzero()
        box = torch.cat([columns[0], rows[0], columns[-1], rows[-1]]).float()
        sides = (box[2:] - box[:2]).repeat(2)
        return (box + (torch.randn(4, generator=generator) * 0.1 * sides).clamp(-20, 20)).clamp(0, len(mask))

    def add(self, carried):
        """Clicks of all masks where the carried logits err. // [n, h, w]"""
        regions = []
        for low, mask in zip(carried, self.masks):
            z = F.interpolate(low[None, None], mask.shape, mode="bilinear", align_corners=False)[0, 0]
            regions.append((z > 0) != (mask > 0.5))
        self.clicks.append(self.click(len(self.clicks), regions))

    def click(self, index, regions):
        """x, y and label of a pixel of each region. // [n, 3]"""
        side = self.masks.shape[-1]
        drawn = []
        for region, mask in zip(regions, self.masks):
            pixels = region.flatten().nonzero()
            if len(pixels) == 0:
                pixels = (mask > 0.5).flatten().nonzero()[:1]
            draw = float(torch.rand((), generator=self.generator, dtype=torch.float64))
            pixel = int(pixels[int(draw * len(pixels))])
            drawn.append([pixel % side, pixel // side, float(mask.flatten()[pixel])])
        return torch.tensor(drawn) if self.given is None else self.given[index]

    def points(self):
        """Coordinates [n, k, 2] and labels [n, k] as segment_anything takes them; None without clicks."""
        if not self.clicks:
            return None
        clicks = torch.stack(self.clicks, 1)
        return clicks[..., :2], clicks[..., 2]


def decode(sam, embedding, prompts, carried, vector, bf16, ambiguous):
    """Low-resolution logits [n, m, h, w] and predicted IoUs [n, m]; coordinates are never rounded to bf16."""
    masks = None if carried is None else carried[:, None]
    sparse, dense = sam.prompt_encoder(points=prompts.points(), boxes=prompts.boxes, masks=masks)
    dense = dense if vector is None else dense + vector[:, :, None, None]
    with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
        low, iou = sam.mask_decoder(
            image_embeddings=embedding, image_pe=sam.prompt_encoder.get_dense_pe(), sparse_prompt_embeddings=sparse,
            dense_prompt_embeddings=dense, multimask_output=ambiguous)
    return low.float(), iou.float()


def train_round(low, iou, masks, share):
    """The backward pass of one round; focal, dice and iou of each mask, [3, n], and the logits carried on."""
    every = torch.arange(len(masks))
    carried = low.detach()[every, iou.detach().argmax(1)]
    trained = torch.zeros_like(every)
    if low.shape[1] > 1:
        with torch.no_grad():
            totals = [MaskLoss.apply(low[:, m], masks, False)[0] for m in range(low.shape[1])]
        trained = torch.stack(totals, 1).argmin(1)
    total, values = MaskLoss.apply(low[every, trained], masks, True)
    error = (iou[every, trained] - values[2]) ** 2
    ((total + WEIGHTS["iou"] * error).sum() * share).backward()
    return torch.stack([values[0], values[1], error.detach()]), carried


def train_masks(sam, embedding, prompts, vector, bf16, share):
    """All rounds of some of the image's masks; their losses. // [R, 3, n]"""
    carried, values = None, []
    for turn in range(ROUNDS):
        if 0 < turn < ROUNDS - 1:
            prompts.add(carried)
        first = turn == 0
        low, iou = decode(sam, embedding, prompts, carried, vector if first else None, bf16, ambiguous=first)
        result, carried = train_round(low, iou, prompts.masks, share)
        values.append(result)
    return torch.stack(values)


def step(sam, view, kept, masks, draw, vector, bf16, chunk):
    """One step on an image [1, 3, S, S], or on its kept embedding; returns the mean losses.

    draw: makes the prompts of a range of masks. vector: the task's row for round 1, or None. chunk: masks at a time.
    """
    embedding = kept
    if kept is None:
        with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
            whole = sam.image_encoder(view)
        embedding = whole.detach().requires_grad_(True)
    values = []
    for first in range(0, len(masks), chunk):
        prompts = draw(slice(first, first + chunk))
        values.append(train_masks(sam, embedding, prompts, vector, bf16, 1 / (len(masks) * ROUNDS)))
    if kept is None:
        whole.backward(embedding.grad)
    return dict(zip(WEIGHTS, torch.cat(values, 2).mean((0, 2)).tolist()))
