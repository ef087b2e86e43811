"""Makes the files in this folder. Needs torch and safetensors (made with 2.13 and 0.8.0).

tiny.pth              torch.save of {"epoch": 3, "model": state dictionary with the prefix "module."}
legacy.pth            the same tensor in the format before PyTorch 1.6
reference.safetensors one tensor of each element type, written by the reference implementation
"""

from collections import OrderedDict
from pathlib import Path

import torch
from safetensors.torch import save_file

here = Path(__file__).parent


def counted(*shape, dtype=torch.float32):
    count = 1
    for extent in shape:
        count *= extent
    return (torch.arange(count, dtype=torch.float64) / 4 - 1).reshape(shape).to(dtype)


base = counted(4, 6)
state = OrderedDict()
state["module.plain"] = base
state["module.transposed"] = counted(2, 3).t()
state["module.window"] = base[1:3, 2:5]  # a strided view that shares the storage of "plain"
state["module.permuted"] = counted(2, 3, 4).permute(2, 0, 1)
state["module.parameter"] = torch.nn.Parameter(counted(5))
state["module.half"] = counted(3, dtype=torch.float16)
state["module.bfloat"] = counted(3, dtype=torch.bfloat16)
state["module.double"] = counted(3, dtype=torch.float64)
state["module.scalar"] = torch.tensor(123456789012, dtype=torch.int64)
state["module.int32"] = torch.tensor([-1, 2], dtype=torch.int32)
state["module.int16"] = torch.tensor([-3, 4], dtype=torch.int16)
state["module.int8"] = torch.tensor([-5, 6], dtype=torch.int8)
state["module.uint8"] = torch.tensor([7, 255], dtype=torch.uint8)
state["module.bool"] = torch.tensor([True, False, True])
state["module.empty"] = torch.zeros(0, 3)
state["module.rank5"] = counted(1, 2, 1, 2, 2)
state._metadata = OrderedDict({"": {"version": 1}, "layer": {"version": 2}})
torch.save({"epoch": 3, "model": state, "note": "tiny"}, here / "tiny.pth")

torch.save({"plain": base}, here / "legacy.pth", _use_new_zipfile_serialization=False)

save_file(
    {
        "b.float32": counted(2, 3),
        "a.int32": torch.tensor([1, -2], dtype=torch.int32),
        "half": counted(3, dtype=torch.float16),
        "bfloat": counted(3, dtype=torch.bfloat16),
        "int64": torch.tensor(-7, dtype=torch.int64),
        "double": counted(2, dtype=torch.float64),
        "bytes": torch.tensor([0, 1, 255], dtype=torch.uint8),
        "int8": torch.tensor([-8], dtype=torch.int8),
        "int16": torch.tensor([-9, 9], dtype=torch.int16),
        "bool": torch.tensor([True, False]),
        'é "quoted"\n\x01\\/': torch.zeros(0, 3),
    },
    here / "reference.safetensors",
    metadata={"format": "pt"},
)
