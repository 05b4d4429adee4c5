"""The article's comparison as most people write it in PyTorch: a Dataset, a DataLoader, a loop."""

import argparse
import json
import os
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

BATCH_SIZE = 64
IMAGE_SIZE = 100
CORES = len(os.sched_getaffinity(0))


class Photographs(Dataset[tuple[Tensor, Tensor]]):
    """A folder with a subfolder per class, decoded whenever an image is asked for."""

    def __init__(self, folder: Path) -> None:
        classes = sorted(path for path in folder.iterdir() if path.is_dir())
        self.items = [
            (path, label) for label, name in enumerate(classes) for path in sorted(name.iterdir())
        ]

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        path, label = self.items[index]
        with Image.open(path) as image:
            small = image.convert("RGB").resize((IMAGE_SIZE, IMAGE_SIZE), Image.Resampling.BILINEAR)
        pixels = torch.from_numpy(np.array(small)).permute(2, 0, 1).float() / 255
        return pixels, torch.tensor([float(label)])


def loader(folder: Path, *, shuffle: bool) -> DataLoader[tuple[Tensor, Tensor]]:
    return DataLoader(
        Photographs(folder),
        batch_size=BATCH_SIZE,
        shuffle=shuffle,
        drop_last=shuffle,
        num_workers=CORES,
        persistent_workers=True,
    )


def convolutions() -> list[nn.Module]:
    modules: list[nn.Module] = []
    for inputs, outputs in ((3, 32), (32, 32), (32, 64)):
        modules += [nn.Conv2d(inputs, outputs, 3), nn.BatchNorm2d(outputs), nn.ReLU()]
        modules += [nn.MaxPool2d(2)]
    return modules


def build(head: str) -> nn.Sequential:
    if head == "avgpool2x2":
        classifier: list[nn.Module] = [nn.AvgPool2d(2), nn.Flatten()]
    else:
        classifier = [nn.Flatten(), nn.LazyBatchNorm1d(), nn.LazyLinear(100), nn.ReLU()]
        classifier += [nn.Dropout(0.5)] if head == "fc_dropout" else []
        classifier += [nn.BatchNorm1d(100), nn.Linear(100, 100), nn.ReLU()]
    model = nn.Sequential(*convolutions(), *classifier, nn.LazyLinear(1))
    model.eval()(torch.zeros(1, 3, IMAGE_SIZE, IMAGE_SIZE))  # gives the lazy layers their sizes
    return model


def accuracy(model: nn.Module, pictures: DataLoader[tuple[Tensor, Tensor]]) -> float:
    model.eval()
    correct = total = 0
    with torch.no_grad():
        for images, labels in pictures:
            correct += int(((model(images) > 0) == (labels > 0.5)).sum())
            total += len(labels)
    return correct / total


def fit(head: str, data: Path, epochs: int, seed: int) -> float:
    torch.manual_seed(seed)
    train = loader(data / "train", shuffle=True)
    validation = loader(data / "validation", shuffle=False)
    model = build(head)
    optimizer = torch.optim.Adam(model.parameters())
    loss_function = nn.BCEWithLogitsLoss()
    found = 0.0
    for epoch in range(epochs):
        model.train()
        for images, labels in train:
            optimizer.zero_grad()
            loss = loss_function(model(images), labels)
            loss.backward()
            optimizer.step()
        found = accuracy(model, validation)
        print(f"{head} epoch {epoch + 1}: loss {loss.item():.4f}, validation {found:.4f}")
    return found


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--heads", default="fc,fc_dropout,avgpool2x2")
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--seed", type=int, default=0)
    return parser.parse_args()


if __name__ == "__main__":
    options = arguments()
    results = {
        f"validation_accuracy_{head}": fit(head, options.data, options.epochs, options.seed)
        for head in options.heads.split(",")
    }
    print(json.dumps(results))
