"""Makes names_*.txt: the state dictionaries of SAM ViT-B, one `name shape` a line.

Needs torch, torchvision, segment-anything and transformers (made with 2.13, 0.28, 1.0 and 5.23).
"""

from pathlib import Path

import torch
from segment_anything import sam_model_registry
from transformers import SamConfig, SamModel

here = Path(__file__).parent
with torch.device("meta"):
    models = {"segment_anything": sam_model_registry["vit_b"](), "hugging_face": SamModel(SamConfig())}
for dialect, model in models.items():
    lines = [f"{name} {list(tensor.shape)}\n" for name, tensor in model.state_dict().items()]
    (here / f"names_{dialect}_vit_b.txt").write_text("".join(lines))
