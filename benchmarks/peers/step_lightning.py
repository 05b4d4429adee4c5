"""Training steps of the article's models under PyTorch Lightning's Trainer, its defaults kept."""

import tempfile

from stepping import Clock, arguments, as_floats, drawn  # first: it pins the process

# isort: split
import lightning
import torch
from lightning_trainer import Classifier
from torch.utils.data import DataLoader, TensorDataset


class Steps(lightning.Callback):
    """Tells the clock of every batch."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock

    def on_train_batch_end(self, *_: object) -> None:
        self.clock.step()


if __name__ == "__main__":
    options = arguments()
    torch.set_num_threads(1)
    pixels, classes = drawn(options)
    images = torch.from_numpy(as_floats(pixels)).permute(0, 3, 1, 2).contiguous()
    labels = torch.from_numpy(classes).float()[:, None]
    clock = Clock(options.steps)
    with tempfile.TemporaryDirectory() as root:
        trainer = lightning.Trainer(
            max_epochs=1, accelerator="cpu", default_root_dir=root, callbacks=[Steps(clock)]
        )
        trainer.fit(
            Classifier(options.head),
            DataLoader(TensorDataset(images, labels), batch_size=options.batch),
        )
    print()  # the progress bar leaves its line open
    clock.say()
