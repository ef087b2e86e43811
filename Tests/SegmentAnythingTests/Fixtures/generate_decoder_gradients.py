"""Writes decoder_gradients.safetensors, gradients of the image embedding through SAM's frozen mask decoder, and
decoder_parameter_gradients.safetensors, those of every parameter of mask decoder and prompt encoder.

Uses the official package (pip install segment-anything torch safetensors numpy) with the weights, prompts and image
embedding of model.safetensors in the same folder. For each kind of prompt P and the output gradients d_logits, d_iou:
    out.P.d_embedding = d(sum(d_logits * logits) + sum(d_iou * iou)) / d(embedding of image 0)
P = boxes_first and boxes_two use the first one and two boxes only. In the second file all four masks of each prompt have
output gradients, and P = boxes, boxes_two, points and boxes_masks:
    out.P.grad.NAME = d(sum(d_logits * all logits) + sum(d_iou * all iou)) / d(NAME), out.P.d_embedding the same

    python generate_decoder_gradients.py
"""

import json
import pathlib

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from segment_anything.modeling import MaskDecoder, PromptEncoder, TwoWayTransformer

folder = pathlib.Path(__file__).parent
torch.set_num_threads(1)
with safe_open(folder / "model.safetensors", "pt") as file:
    config = json.loads(file.metadata()["config"])
    tensors = {name: file.get_tensor(name) for name in file.keys()}


def weights(part):
    prefix = f"weights.{part}."
    return {name[len(prefix):]: value for name, value in tensors.items() if name.startswith(prefix)}


width, side = config["ed"], config["img"] // 16
hidden = tensors["weights.mask_decoder.iou_prediction_head.layers.0.weight"].shape[0]
prompt_encoder = PromptEncoder(
    embed_dim=width, image_embedding_size=(side, side), input_image_size=(config["img"], config["img"]), mask_in_chans=16
)
mask_decoder = MaskDecoder(
    transformer_dim=width,
    transformer=TwoWayTransformer(
        depth=2, embedding_dim=width, num_heads=config["dheads"], mlp_dim=config["mlp_dim"]
    ),
    iou_head_hidden_dim=hidden,
)
prompt_encoder.load_state_dict(weights("prompt_encoder"))
mask_decoder.load_state_dict(weights("mask_decoder"))
for module in (prompt_encoder, mask_decoder):
    module.requires_grad_(False)

boxes = tensors["in.boxes"]
points = (tensors["in.points"], tensors["in.labels"])
masks = tensors["in.masks"]
prompts = {
    "boxes": (None, boxes, None),
    "boxes_first": (None, boxes[:1], None),
    "boxes_two": (None, boxes[:2], None),
    "points": (points, None, None),
    "boxes_masks": (None, boxes, masks),
}

generator = torch.Generator().manual_seed(20240817)
d_logits = torch.randn(boxes.shape[0], 1, 4 * side, 4 * side, generator=generator)
d_iou = 10 * torch.randn(boxes.shape[0], 1, generator=generator)
result = {"in.d_logits": d_logits, "in.d_iou": d_iou}
for name, (point, box, mask) in prompts.items():
    embedding = tensors["out.embedding"][:1].clone().requires_grad_(True)
    sparse, dense = prompt_encoder(points=point, boxes=box, masks=mask)
    logits, iou = mask_decoder(
        image_embeddings=embedding,
        image_pe=prompt_encoder.get_dense_pe(),
        sparse_prompt_embeddings=sparse,
        dense_prompt_embeddings=dense,
        multimask_output=False,
    )
    count = logits.shape[0]
    ((d_logits[:count] * logits).sum() + (d_iou[:count] * iou).sum()).backward()
    result[f"out.{name}.d_embedding"] = embedding.grad[0].contiguous()
save_file(result, folder / "decoder_gradients.safetensors")

for module in (prompt_encoder, mask_decoder):
    module.requires_grad_(True)
named = {f"prompt_encoder.{n}": p for n, p in prompt_encoder.named_parameters()}
named |= {f"mask_decoder.{n}": p for n, p in mask_decoder.named_parameters()}
d_logits = torch.randn(boxes.shape[0], 4, 4 * side, 4 * side, generator=generator)
d_iou = 10 * torch.randn(boxes.shape[0], 4, generator=generator)
result = {"in.d_logits": d_logits, "in.d_iou": d_iou}
for name in ("boxes", "boxes_two", "points", "boxes_masks"):
    point, box, mask = prompts[name]
    for parameter in named.values():
        parameter.grad = None
    embedding = tensors["out.embedding"][:1].clone().requires_grad_(True)
    sparse, dense = prompt_encoder(points=point, boxes=box, masks=mask)
    logits, iou = mask_decoder.predict_masks(
        image_embeddings=embedding,
        image_pe=prompt_encoder.get_dense_pe().detach(),
        sparse_prompt_embeddings=sparse,
        dense_prompt_embeddings=dense,
    )
    count = logits.shape[0]
    ((d_logits[:count] * logits).sum() + (d_iou[:count] * iou).sum()).backward()
    result[f"out.{name}.d_embedding"] = embedding.grad[0].contiguous()
    for parameter_name, parameter in named.items():
        # Adding the same to all keys of a query changes no softmax: these gradients are rounding alone.
        if parameter.grad is not None and not parameter_name.endswith("k_proj.bias"):
            result[f"out.{name}.grad.{parameter_name}"] = parameter.grad.contiguous()
save_file(result, folder / "decoder_parameter_gradients.safetensors")
