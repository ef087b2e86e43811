"""One WeSAM step in PyTorch, in two forms, on the same weights and inputs that Kedge gets.

released  three branches in one graph and one backward, attention as segment_anything writes it.
expert    what a careful PyTorch user would make of it: anchor without gradient, teacher and student one after the
          other, exact fused attention. The numbers are the same.

Losses as the released code executes them on a batch of one image: the number of masks is focal's factor and dice's
smoothing (`--loss-form paper`: factor 1 and smoothing 1).
"""
import contextlib

import torch
import torch.nn.functional as F
from torch import nn


class LowRankQKV(nn.Module):
    """qkv(x) with q += B_q A_q x and v += B_v A_v x; `interleaved` is TinyViT's order [head][q | k | v]."""

    def __init__(self, qkv, matrices, heads, interleaved):
        super().__init__()
        self.qkv, self.heads, self.interleaved, self.enabled = qkv, heads, interleaved, True
        self.a_q, self.b_q, self.a_v, self.b_v = (nn.Parameter(m) for m in matrices)

    def forward(self, x):
        y = self.qkv(x)
        if not self.enabled:
            return y
        q, v = x @ self.a_q.T @ self.b_q.T, x @ self.a_v.T @ self.b_v.T
        if self.interleaved:
            split = lambda z: z.unflatten(-1, (self.heads, 1, -1))
            k = torch.zeros_like(split(q))
            return y + torch.cat([split(q), k, split(v)], dim=-2).flatten(-3)
        return y + torch.cat([q, torch.zeros_like(q), v], dim=-1)


def attention_modules(encoder):
    """(name, attention) of every block with a qkv projection, from the input upwards."""
    return [(name, module) for name, module in encoder.named_modules()
            if hasattr(module, "qkv") and hasattr(module, "proj")]


def inject(sam, matrices, interleaved):
    """Puts the LoRA matrices into the encoder and freezes all else; returns the parameters by Kedge's names."""
    for parameter in sam.parameters():
        parameter.requires_grad_(False)
    trainable = {}
    for name, attention in attention_modules(sam.image_encoder):
        site = f"image_encoder.{name}.qkv"
        names = [f"{site}.linear_{m}.weight" for m in ("a_q", "b_q", "a_v", "b_v")]
        attention.qkv = LowRankQKV(attention.qkv, [matrices[n].clone() for n in names], attention.num_heads, interleaved)
        trainable.update(zip(names, attention.qkv.parameters(recurse=False)))
    return trainable


@contextlib.contextmanager
def adapters_off(sam):
    """The frozen model: one set of weights serves as anchor too."""
    adapters = [module for module in sam.modules() if isinstance(module, LowRankQKV)]
    for adapter in adapters:
        adapter.enabled = False
    yield
    for adapter in adapters:
        adapter.enabled = True


def decode(sam, embedding, boxes):
    """Low-resolution logits [n, 1, h, w], logits on the canvas [n, S, S] and predicted IoUs [n]."""
    sparse, dense = sam.prompt_encoder(points=None, boxes=boxes, masks=None)
    low, iou = sam.mask_decoder(
        image_embeddings=embedding, image_pe=sam.prompt_encoder.get_dense_pe(), sparse_prompt_embeddings=sparse,
        dense_prompt_embeddings=dense, multimask_output=False)
    side = sam.image_encoder.img_size
    return low, F.interpolate(low, (side, side), mode="bilinear", align_corners=False).squeeze(1), iou.squeeze(1)


def focal(logits, target, factor):
    bce = F.binary_cross_entropy(torch.sigmoid(logits), target, reduction="none")
    return (factor * (1 - torch.exp(-bce)) ** 2 * bce).mean()


def dice(logits, target, smooth):
    p, t = torch.sigmoid(logits).flatten(), target.flatten()
    return 1 - (2 * (p * t).sum() + smooth) / (p.sum() + t.sum() + smooth)


def iou_error(logits, target, predicted):
    p, t = (torch.sigmoid(logits) >= 0.5).flatten(1), target.flatten(1) > 0.5
    inside = (p & t).sum(1).float()
    union = (p | t).sum(1).float()
    return ((predicted - inside / (union + 1e-7)) ** 2).sum() / len(predicted)


def features(embedding, low):
    unit = F.normalize(embedding, dim=1)[0].flatten(1)  # [C, h w]
    side = embedding.shape[-1]
    masks = (F.interpolate(low.detach(), (side, side), mode="bilinear", align_corners=False).flatten(1) > 0).float()
    return masks @ unit.T / masks.sum(1, keepdim=True).clamp_min(1)  # [n, C]


def contrast(embedding, low, anchor_embedding, anchor_low, temperature=0.3):
    f, g = features(embedding, low), features(anchor_embedding, anchor_low)
    s = F.cosine_similarity(f[:, None], g[None], dim=-1, eps=1e-8) / temperature
    return -torch.log(torch.exp(s.diagonal()).sum() / torch.exp(s).sum())


WEIGHTS = {"focal": 20, "dice": 1, "iou": 1, "anchor": 1, "contrast": 1}


def student_losses(logits, iou, teacher, anchor, form):
    count = len(iou) if form == "released" else 1
    target = (teacher.detach() > 0).float()
    return {"focal": focal(logits, target, count), "dice": dice(logits, target, count),
            "iou": iou_error(logits, target, iou), "anchor": dice(logits, anchor, 1) / 2}


def released_step(sam, frozen, weak, strong, boxes, form):
    """All branches in one graph."""
    with torch.no_grad():
        anchor_embedding = frozen.image_encoder(weak)
        anchor_low, anchor, _ = decode(frozen, anchor_embedding, boxes)
    anchor_mask = (anchor > 0).float()
    teacher_embedding, student_embedding = sam.image_encoder(weak), sam.image_encoder(strong)
    teacher_low, teacher, _ = decode(sam, teacher_embedding, boxes)
    _, student, iou = decode(sam, student_embedding, boxes)
    losses = student_losses(student, iou, teacher, anchor_mask, form)
    losses["anchor"] = losses["anchor"] + dice(teacher, anchor_mask, 1) / 2
    losses["contrast"] = contrast(teacher_embedding, teacher_low, anchor_embedding, anchor_low)
    sum(WEIGHTS[name] * value for name, value in losses.items()).backward()
    return {name: float(value.detach()) for name, value in losses.items()}


def expert_step(sam, _, weak, strong, boxes, form):
    """One branch alive at a time, on one set of weights."""
    with torch.no_grad(), adapters_off(sam):
        anchor_embedding = sam.image_encoder(weak)
        anchor_low, anchor, _ = decode(sam, anchor_embedding, boxes)
        anchor_mask = (anchor > 0).float()
    del anchor
    embedding = sam.image_encoder(weak)
    low, teacher, _ = decode(sam, embedding, boxes)
    half = dice(teacher, anchor_mask, 1) / 2
    likeness = contrast(embedding, low, anchor_embedding, anchor_low)
    (WEIGHTS["anchor"] * half + WEIGHTS["contrast"] * likeness).backward()
    teacher = teacher.detach()
    half, likeness = half.detach(), likeness.detach()
    del embedding, low
    _, student, iou = decode(sam, sam.image_encoder(strong), boxes)
    losses = student_losses(student, iou, teacher, anchor_mask, form)
    sum(WEIGHTS[name] * value for name, value in losses.items()).backward()
    losses["anchor"] = losses["anchor"].detach() + half
    losses["contrast"] = likeness
    return {name: float(value.detach()) for name, value in losses.items()}
