"""Writes automatic_masks.json: what SAM's own automatic mask generator finds with the small model of model.safetensors.

Uses the official package (pip install segment-anything torch torchvision opencv-python-headless safetensors numpy). The
image is a formula of whole numbers, so the test makes the same one. Every case is a set of arguments of
SamAutomaticMaskGenerator; masks are stored in its order with their run lengths.

Random weights give much the same noise for every point. So some are scaled, by powers and whole numbers that are exact,
until masks depend on the point, and upscaling is made to repeat one value over each position of the image embedding, less
a constant: masks then are a few blobs. The test does the same to the weights.

    python generate_automatic_masks.py
"""

import json
import pathlib

import numpy
import torch
from safetensors import safe_open
from segment_anything import SamAutomaticMaskGenerator
from segment_anything.modeling import ImageEncoderViT, MaskDecoder, PromptEncoder, Sam, TwoWayTransformer

folder = pathlib.Path(__file__).parent
torch.set_num_threads(1)
with safe_open(folder / "model.safetensors", "pt") as file:
    config = json.loads(file.metadata()["config"])
    weights = {name[8:]: file.get_tensor(name) for name in file.keys() if name.startswith("weights.")}

width, side = config["ed"], config["img"] // 16
model = Sam(
    image_encoder=ImageEncoderViT(
        img_size=config["img"], patch_size=16, embed_dim=config["dim"], depth=config["depth"],
        num_heads=config["heads"], mlp_ratio=4, out_chans=width, qkv_bias=True, use_rel_pos=True,
        window_size=config["window"], global_attn_indexes=config["glob"],
        norm_layer=lambda size: torch.nn.LayerNorm(size, eps=1e-6),
    ),
    prompt_encoder=PromptEncoder(
        embed_dim=width, image_embedding_size=(side, side), input_image_size=(config["img"], config["img"]),
        mask_in_chans=16,
    ),
    mask_decoder=MaskDecoder(
        transformer_dim=width,
        transformer=TwoWayTransformer(
            depth=2, embedding_dim=width, num_heads=config["dheads"], mlp_dim=config["mlp_dim"]
        ),
        iou_head_hidden_dim=weights["mask_decoder.iou_prediction_head.layers.0.weight"].shape[0],
    ),
)
decoder = "mask_decoder."
scales = {f"{decoder}iou_prediction_head.layers.{layer}.weight": 4 for layer in range(3)}
for layer in range(2):
    for attention in ("cross_attn_image_to_token", "cross_attn_token_to_image"):
        name = f"{decoder}transformer.layers.{layer}.{attention}."
        scales |= {name + "out_proj.weight": 3, name + "q_proj.weight": 8, name + "k_proj.weight": 8}
for mask in range(4):
    scales |= {f"{decoder}output_hypernetworks_mlps.{mask}.layers.{layer}.weight": 3 for layer in range(2)}
    scales[f"{decoder}output_hypernetworks_mlps.{mask}.layers.2.weight"] = 10
scales[decoder + "output_upscaling.3.weight"] = 10
for name, scale in scales.items():
    weights[name] = weights[name] * scale
for layer in (0, 3):
    name = f"{decoder}output_upscaling.{layer}.weight"
    weights[name] = weights[name][:, :, :1, :1].expand_as(weights[name]).clone()
# Channel 0 is GELU(1) everywhere, and each hypernetwork multiplies it by -1.
weights[decoder + "output_upscaling.3.weight"][:, 0] = 0
weights[decoder + "output_upscaling.3.bias"][0] = 1
for mask in range(4):
    weights[f"{decoder}output_hypernetworks_mlps.{mask}.layers.2.weight"][0] = 0
    weights[f"{decoder}output_hypernetworks_mlps.{mask}.layers.2.bias"][0] = -1

missing = model.load_state_dict(weights, strict=False)
assert not missing.unexpected_keys and set(missing.missing_keys) <= {"pixel_mean", "pixel_std"}, missing
model.eval()


def picture(width, height):
    """Blocks of 23 x 19 pixels in different colours, with a fine pattern on them."""
    x, y = numpy.meshgrid(numpy.arange(width), numpy.arange(height))
    block = (x // 23) * 5 + (y // 19) * 3
    channels = [(block * (37 + 20 * c) + (x * (c + 1) + y * (3 - c)) % 7 * 6) % 256 for c in range(3)]
    return numpy.stack(channels, -1).astype(numpy.uint8)


cases = [
    {
        "name": "grid",
        "image": [140, 90],
        "arguments": {
            "points_per_side": 9, "pred_iou_thresh": 0.88, "stability_score_thresh": 0.8,
            "stability_score_offset": 0.25,
        },
    },
    {
        "name": "small batches, loose suppression",
        "image": [90, 140],
        "arguments": {
            "points_per_side": 7, "points_per_batch": 5, "pred_iou_thresh": 0.0, "stability_score_thresh": 0.8,
            "stability_score_offset": 0.125, "box_nms_thresh": 0.9,
        },
    },
    {
        "name": "crops",
        "image": [200, 150],
        "arguments": {
            "points_per_side": 8, "pred_iou_thresh": 0.0, "stability_score_thresh": 0.8,
            "stability_score_offset": 0.125, "crop_n_layers": 1, "crop_n_points_downscale_factor": 2,
        },
    },
    {
        "name": "regions",
        "image": [90, 140],
        "arguments": {
            "points_per_side": 7, "pred_iou_thresh": -2.0, "stability_score_thresh": 0.6,
            "stability_score_offset": 0.125, "box_nms_thresh": 0.9, "min_mask_region_area": 200,
        },
    },
]

results = []
for case in cases:
    image = picture(*case["image"])
    generator = SamAutomaticMaskGenerator(model, output_mode="uncompressed_rle", **case["arguments"])
    masks = [
        {
            "counts": mask["segmentation"]["counts"],
            "area": int(mask["area"]),
            "bbox": mask["bbox"],
            "predicted_iou": round(mask["predicted_iou"], 6),
            "stability_score": round(mask["stability_score"], 6),
            "point": [round(value, 6) for value in mask["point_coords"][0]],
            "crop_box": mask["crop_box"],
        }
        for mask in generator.generate(image)
    ]
    print(case["name"], len(masks))
    results.append({**case, "masks": masks})
with open(folder / "automatic_masks.json", "w") as file:
    json.dump({"scales": scales, "cases": results}, file, separators=(",", ":"))
    file.write("\n")
