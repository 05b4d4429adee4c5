"""Training steps as headtohead's engine takes them, in a process set up as its workers are."""

from stepping import SIZE, Clock, arguments, drawn  # first: it pins the process

# isort: split
import numpy as np
import torch

from headtohead.config.study import BackboneSpec, HeadSpec
from headtohead.heads.classifier import build_classifier
from headtohead.training.acceleration import fastest
from headtohead.training.device import set_up_worker
from headtohead.training.inputs import Pictures
from headtohead.training.optimizer import KerasAdam
from headtohead.training.step import EagerGradients, Step

if __name__ == "__main__":
    options = arguments()
    set_up_worker(None, torch.device("cpu"), deterministic=False)
    images, labels = drawn(options)
    pictures = Pictures(images, labels, torch.device("cpu"))
    model = build_classifier(
        BackboneSpec(), options.head, HeadSpec(), image_size=SIZE, classes=2, seed=0
    )
    model.backbone = fastest(model.backbone)
    model = model.to(memory_format=torch.channels_last).train()  # type: ignore[call-overload]
    step = Step(
        EagerGradients(model, pictures, None, "float32"), KerasAdam(model.parameters(), 1e-3, 0.0)
    )
    clock = Clock(options.steps)
    for rows in pictures.rows(np.arange(len(labels))).split(options.batch):
        step(rows, None)
        clock.step()
    clock.say()
