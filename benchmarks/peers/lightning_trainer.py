"""The article's comparison with PyTorch Lightning's Trainer, its defaults left as they are."""

import json
import tempfile
from pathlib import Path

import lightning
import torch
from torch import Tensor, nn
from torch_loop import arguments, build, loader


class Classifier(lightning.LightningModule):
    def __init__(self, head: str) -> None:
        super().__init__()
        self.model = build(head)
        self.loss = nn.BCEWithLogitsLoss()

    def training_step(self, batch: tuple[Tensor, Tensor], _: int) -> Tensor:
        images, labels = batch
        loss: Tensor = self.loss(self.model(images), labels)
        self.log("loss", loss)
        return loss

    def validation_step(self, batch: tuple[Tensor, Tensor], _: int) -> None:
        images, labels = batch
        right = (self.model(images) > 0) == (labels > 0.5)
        self.log("validation_accuracy", right.float().mean(), batch_size=len(labels))

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.Adam(self.parameters())


def fit(head: str, data: Path, epochs: int, seed: int, folder: str) -> float:
    lightning.seed_everything(seed, workers=True, verbose=False)
    trainer = lightning.Trainer(max_epochs=epochs, accelerator="cpu", default_root_dir=folder)
    trainer.fit(
        Classifier(head),
        loader(data / "train", shuffle=True),
        loader(data / "validation", shuffle=False),
    )
    return float(trainer.callback_metrics["validation_accuracy"])


if __name__ == "__main__":
    options = arguments()
    with tempfile.TemporaryDirectory() as root:
        results = {
            f"validation_accuracy_{head}": fit(
                head, options.data, options.epochs, options.seed, root
            )
            for head in options.heads.split(",")
        }
    print()  # the progress bar leaves its line open
    print(json.dumps(results))
