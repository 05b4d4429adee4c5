"""Training steps of the article's models as most people write them in PyTorch."""

from stepping import Clock, arguments, as_floats, drawn  # first: it pins the process

# isort: split
import torch
from torch import nn
from torch_loop import build

if __name__ == "__main__":
    options = arguments()
    torch.set_num_threads(1)
    pixels, classes = drawn(options)
    images = torch.from_numpy(as_floats(pixels)).permute(0, 3, 1, 2).contiguous()
    labels = torch.from_numpy(classes).float()[:, None]
    model = build(options.head).train()
    optimizer = torch.optim.Adam(model.parameters())
    loss_function = nn.BCEWithLogitsLoss()
    clock = Clock(options.steps)
    batches = zip(*(torch.split(every, options.batch) for every in (images, labels)), strict=True)
    for batch, truth in batches:
        optimizer.zero_grad()
        loss = loss_function(model(batch), truth)
        loss.backward()
        optimizer.step()
        clock.step()
    clock.say()
