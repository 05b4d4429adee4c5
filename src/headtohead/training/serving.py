"""A model as other programs take it: prepared uint8 images in, calibrated probabilities out."""

import torch
from torch import Tensor, nn

from headtohead.heads.classifier import Classifier


class Shipped(nn.Module):
    """(N, side, side, 3) uint8 → (N, K) float32 probabilities; `temperature` divides the logits.

    Scaling to [0, 1], the backbone's normalisation and the sigmoid or softmax are in it.
    """

    def __init__(self, model: Classifier, temperature: float) -> None:
        super().__init__()
        self.model, self.temperature = model.eval(), temperature

    def forward(self, images: Tensor) -> Tensor:
        """Probabilities, columns in the order of the classes."""
        inputs = images.permute(0, 3, 1, 2).to(torch.float32) / 255
        logits = self.model(inputs) / self.temperature
        if logits.shape[1] == 1:
            return torch.cat([torch.sigmoid(-logits), torch.sigmoid(logits)], dim=1)
        return torch.softmax(logits, dim=1)
