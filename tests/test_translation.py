"""What a model says as the window moves over larger images."""

import numpy as np
import pytest
import torch

from headtohead.probes.probe_images import ProbeImages
from headtohead.probes.translation import collect_translation, windows
from test_class_maps import SIDE, classifier

MARGIN = 5


@pytest.mark.parametrize(("stride", "margin"), [(8, 12), (8, 8), (4, 5)])
def test_windows_go_through_a_stride_and_never_leave_the_picture(stride: int, margin: int) -> None:
    """Else black borders, not content, decide how robust a head seems."""
    shifts, fine = windows(stride, margin)
    assert shifts[0].tolist() == [0, 0]
    assert fine[0]
    assert np.abs(shifts).max() == margin
    assert {tuple(shift) for shift in shifts[fine].tolist()} == {
        (0, 0),
        *((0, k) for k in range(1, stride + 1)),
        *((k, 0) for k in range(1, stride + 1)),
    }
    assert len(shifts[~fine]) == len({tuple(shift) for shift in shifts[~fine].tolist()}) == 8


@pytest.mark.parametrize("outputs", [1, 3])
def test_each_window_is_what_is_seen_there(outputs: int) -> None:
    """Else shifts are swapped, mirrored or off by one, and curves are of other windows."""
    rng = np.random.default_rng(1)
    side = SIDE + 2 * MARGIN
    wide = rng.integers(0, 256, (9, side, side, 3), dtype=np.uint8)
    rows = np.arange(9)
    labels = rows % max(2, outputs)
    shown = ProbeImages(rows, labels, np.empty((9, SIDE, SIDE, 3), np.uint8), wide)
    model = classifier("fc", outputs)
    found = collect_translation(model, shown, torch.device("cpu"))
    assert found.predicted.shape == (len(found.shifts), 9)
    for (down, right), predicted in zip(found.shifts, found.predicted, strict=True):
        top, left = MARGIN + down, MARGIN + right
        window = torch.from_numpy(wide[:, top : top + SIDE, left : left + SIDE])
        logits = model(window.permute(0, 3, 1, 2) / 255).detach()
        named = (logits[:, 0] > 0).long() if outputs == 1 else logits.argmax(1)
        assert named.tolist() == predicted.tolist()
    assert found.predicted.std(axis=0).any()  # some answers change, or nothing was tested
