"""Folded batch norms: the same maps, and nothing is folded that something else depends on."""

import weakref
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeAlias

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from headtohead.backbones.folding import _KERNELS, folded, folding_of
from headtohead.training.device import lay_out

IMAGES = torch.rand(3, 3, 17, 15, generator=torch.Generator().manual_seed(0))

Together: TypeAlias = Callable[["Own", Tensor], Any]

ACTIVATIONS: dict[str, Callable[[], nn.Module]] = {
    "relu": nn.ReLU,
    "relu in place": lambda: nn.ReLU(inplace=True),
    "relu6": nn.ReLU6,
    "hardtanh": lambda: nn.Hardtanh(-0.5, 0.25, inplace=True),
    "silu": nn.SiLU,
    "silu in place": lambda: nn.SiLU(inplace=True),
    "hardswish": nn.Hardswish,
    "gelu": nn.GELU,
    "gelu by tanh": lambda: nn.GELU(approximate="tanh"),
}


def joined(own: "Own", images: Tensor) -> Any:
    return own.norm(own.first(images))


class Own(nn.Module):
    """Two convolutions and two batch norms that have seen images, and how they are put together."""

    channels = 6

    def __init__(self, together: Together = joined) -> None:
        super().__init__()
        with torch.random.fork_rng():
            torch.manual_seed(1)
            self.first = nn.Conv2d(3, 6, 3, stride=2, padding=(1, 0))
            self.second = nn.Conv2d(6, 6, 3, padding=2, dilation=2, groups=3, bias=False)
            self.norm, self.other = nn.BatchNorm2d(6), nn.BatchNorm2d(6, affine=False)
            for norm in (self.norm, self.other):
                norm.running_mean = torch.randn(6)
                norm.running_var = torch.rand(6) + 0.1
            nn.init.normal_(self.norm.weight)
            nn.init.normal_(self.norm.bias)
        self.together = together
        self.eval()

    def forward(self, images: Tensor) -> Any:
        return self.together(self, images)


def what(network: Own) -> set[str]:
    """The convolutions that are folded, after it was seen that the maps stay the same."""
    with torch.no_grad():
        expected = network(IMAGES)
        folding = folding_of(network, IMAGES)
        if folding is None:
            return set()
        found = folding(network, IMAGES)
    assert (found - expected).abs().max() <= 1e-5 * expected.abs().max()
    assert not torch.equal(found, expected), "nothing was computed otherwise"
    return {name for name in ("first", "second") if weight_of(network, name) in folding.folded}


def weight_of(network: Own, name: str) -> Tensor:
    return network.get_submodule(name).weight  # type: ignore[return-value]


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("name", ACTIVATIONS)
def test_batch_norm_and_activation_are_part_of_the_convolution(
    name: str, layout: torch.memory_format
) -> None:
    """Else features are another network's, or no sooner there."""
    activation = ACTIVATIONS[name]()

    def together(own: Own, images: Tensor) -> Any:
        maps = activation(own.norm(own.first(images)))
        return maps + activation(own.other(own.second(maps)))  # which a residual network does

    network = Own(together)
    lay_out(network, layout)
    images = IMAGES.contiguous(memory_format=layout)
    folding = folding_of(network, images)
    assert folding is not None
    assert len(folding.folded) == 2
    assert all(each.activation is not None for each in folding.folded.values())
    calls: list[object] = []
    with torch.no_grad():
        expected = network(images)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(torch, "batch_norm", lambda *given: calls.append(given))
            found = folding(network, images)
    assert calls == [], "batch norm was computed all the same"
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)


def twice(own: Own, images: Tensor) -> Any:
    maps = own.norm(own.first(images))
    return own.norm(own.second(maps))


def shared(own: Own, images: Tensor) -> Any:
    """One convolution at two sizes, each with a norm of its own, as detectors have it."""
    half = functional.avg_pool2d(images, 2)
    small = functional.interpolate(own.other(own.first(half)), (9, 7))
    return own.norm(own.first(images)) + small


def seen_before_the_norm(own: Own, images: Tensor) -> Any:
    """As in ResNet v2, whose first block adds what its norm is given."""
    maps = own.first(images)
    return maps + own.second(functional.relu(own.norm(maps)))


def changed_before_the_norm(own: Own, images: Tensor) -> Any:
    maps = own.first(images)
    maps += 1
    return own.norm(maps)


def standardized(own: Own, images: Tensor) -> Any:
    """By a weight that is computed at each call: the other convolution is folded all the same."""
    weight = functional.batch_norm(own.first.weight.view(1, 6, -1), None, None, training=True)
    maps = own.norm(functional.conv2d(images, weight.view(6, 3, 3, 3), stride=2))
    return own.other(own.second(maps))


def by_the_batch(own: Own, images: Tensor) -> Any:
    """A norm of the batch's own statistics, though the network is in evaluation mode."""
    statistics = own.norm.running_mean, own.norm.running_var
    maps = functional.batch_norm(own.first(images), *statistics, training=True, momentum=0.0)
    return own.other(own.second(maps))


@pytest.mark.parametrize("together", [standardized, by_the_batch])
def test_a_norm_or_weight_of_the_moment_stays_and_the_rest_is_folded(together: Together) -> None:
    """Else one unusual layer would cost the whole network its speed."""
    assert what(Own(together)) == {"second"}


@pytest.mark.parametrize("together", [twice, shared, seen_before_the_norm, changed_before_the_norm])
def test_what_something_else_depends_on_is_not_folded(together: Together) -> None:
    """Else maps are wrong, in silence."""
    assert what(Own(together)) == set()


def test_what_can_be_folded_beside_what_cannot_is() -> None:
    def together(own: Own, images: Tensor) -> Any:
        maps = own.first(images)
        return maps + own.other(own.second(own.norm(maps)))

    assert what(Own(together)) == {"second"}


def test_an_activation_is_not_folded_where_its_input_is_used_again() -> None:
    """x · sigmoid(x) and the like: the input itself is needed."""

    def together(own: Own, images: Tensor) -> Any:
        maps = own.norm(own.first(images))
        return functional.relu(maps) + maps

    network = Own(together)
    assert what(network) == {"first"}
    folding = folding_of(network, IMAGES)
    assert folding is not None
    assert folding.folded[weight_of(network, "first")].activation is None


def test_a_use_that_pytorch_does_not_see_is_found_by_the_maps() -> None:
    """A network may hand its maps to NumPy; what differs is refused, and computed as before."""

    def together(own: Own, images: Tensor) -> Any:
        maps = own.first(images)
        copied = torch.from_numpy(maps.numpy().copy())
        return own.norm(maps) + copied

    network = Own(together)
    assert what(network) == set()
    with torch.no_grad():
        expected = network(IMAGES)
        assert torch.equal(folded(network, IMAGES)(IMAGES), expected)


def test_a_kernel_that_pytorch_has_not_costs_speed_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Builds of PyTorch differ: a study must not end where the network itself can be computed."""
    network = Own(lambda own, images: functional.relu(own.norm(own.first(images))))
    assert what(network) == {"first"}
    monkeypatch.setitem(_KERNELS, functional.relu, lambda _, inplace: ("unheard of", [], ""))
    assert what(network) == set()


def test_an_activation_of_named_arguments_is_computed_after() -> None:
    def together(own: Own, images: Tensor) -> Any:
        return functional.relu(input=own.norm(own.first(images)))

    assert what(Own(together)) == {"first"}


def test_padding_by_name_is_kept() -> None:
    def together(own: Own, images: Tensor) -> Any:
        maps = functional.conv2d(images, own.first.weight, padding="same")
        return functional.relu(own.norm(maps))

    assert what(Own(together)) == {"first"}


def of_other_norms(own: Own, images: Tensor) -> Any:
    maps = own.first(images)
    return own.norm(maps) if images.mean() < 1 else own.other(maps)


def of_no_norm(own: Own, images: Tensor) -> Any:
    maps = own.first(images)
    return own.norm(maps) if images.mean() < 1 else maps


def of_a_second_use(own: Own, images: Tensor) -> Any:
    maps = own.first(images)
    return own.norm(maps) if images.mean() < 1 else maps.abs() + own.norm(maps)


def of_no_activation(own: Own, images: Tensor) -> Any:
    maps = own.norm(own.first(images))
    return functional.relu(maps) if images.mean() < 1 else maps


def of_a_norm_elsewhere(own: Own, images: Tensor) -> Any:
    maps = own.first(images)
    return own.norm(maps) if images.mean() < 1 else own.norm(maps * 1)


@pytest.mark.parametrize(
    "together",
    [of_other_norms, of_no_norm, of_a_second_use, of_no_activation, of_a_norm_elsewhere],
)
def test_images_that_take_another_way_are_computed_by_the_network_itself(
    together: Together,
) -> None:
    """Else maps are wrong, in silence, of all images that the first two did not stand for."""
    network = Own(together)
    assert what(network) == {"first"}
    computed = folded(network, IMAGES)
    with torch.no_grad():
        assert torch.equal(computed(IMAGES + 2), network(IMAGES + 2))
        torch.testing.assert_close(computed(IMAGES), network(IMAGES), rtol=1e-5, atol=1e-5)


def test_a_batch_larger_than_the_examples_may_take_another_way() -> None:
    def together(own: Own, images: Tensor) -> Any:
        return (own.norm if len(images) < 3 else own.other)(own.first(images))

    network = Own(together)
    with torch.no_grad():
        assert torch.equal(folded(network, IMAGES)(IMAGES), network(IMAGES))


def biased_by_the_images(own: Own, images: Tensor) -> Any:
    bias = images.mean((0, 2, 3)).repeat(2)
    return own.norm(functional.conv2d(images, own.first.weight, bias))


def scaled_by_the_images(own: Own, images: Tensor) -> Any:
    statistics = own.norm.running_mean, own.norm.running_var
    return functional.batch_norm(own.first(images), *statistics, images.mean((0, 2, 3)).repeat(2))


@pytest.mark.parametrize("together", [biased_by_the_images, scaled_by_the_images])
def test_what_is_computed_of_the_images_is_no_constant(together: Together) -> None:
    """Else every image is computed by the numbers of the first two."""
    assert what(Own(together)) == set()


def test_maps_that_are_zero_throughout_prove_nothing() -> None:
    """The first two images may be black: a use that is not seen would pass."""

    def together(own: Own, images: Tensor) -> Any:
        maps = own.first(images)
        return (own.norm(maps) + torch.from_numpy(maps.numpy().copy())) * images.amax()

    assert folding_of(Own(together), torch.zeros_like(IMAGES)) is None


def test_reading_a_weights_shape_is_no_use_of_it() -> None:
    """TensorFlow's padding does, in five convolutions of EfficientNet-Lite0."""

    def together(own: Own, images: Tensor) -> Any:
        height, width = own.first.weight.shape[2:]
        return own.norm(own.first(functional.pad(images, (0, width, 0, height))))

    assert what(Own(together)) == {"first"}


def test_a_value_set_by_its_place_is_a_use() -> None:
    """Else the activation moves in front of it, and gives another map."""

    def together(own: Own, images: Tensor) -> Any:
        maps = own.norm(own.first(images))
        maps[:, 0] = -1
        return functional.relu(maps)

    network = Own(together)
    assert what(network) == {"first"}
    folding = folding_of(network, IMAGES)
    assert folding is not None
    assert folding.folded[weight_of(network, "first")].activation is None


def test_finding_what_can_be_folded_keeps_no_maps() -> None:
    """Else ResNet-50 takes four gigabytes at 1,024 pixels."""
    alive: list[int] = []
    made: list[weakref.ref[Tensor]] = []

    def together(own: Own, images: Tensor) -> Any:
        maps = own.norm(own.first(images))
        for _ in range(10):
            maps = maps + 1
            made.append(weakref.ref(maps))
        alive.append(sum(each() is not None for each in made))
        return maps

    assert folding_of(Own(together), IMAGES) is not None
    assert alive[0] == 1


def test_two_threads_may_compute_by_one_folding() -> None:
    """Else one sees what the other waits for."""
    network = Own(lambda own, images: functional.relu(own.norm(own.first(images))))
    folding = folding_of(network, IMAGES)
    assert folding is not None

    def maps(number: int) -> Tensor:
        with torch.no_grad():
            return folding(network, IMAGES + number / 100)

    with ThreadPoolExecutor(4) as threads:
        found = list(threads.map(maps, range(100)))
    assert all(torch.equal(each, maps(number)) for number, each in enumerate(found))


def test_an_error_of_the_network_leaves_nothing_behind() -> None:
    """Else one image that cannot be computed spoils all that come after it."""

    def together(own: Own, images: Tensor) -> Any:
        maps = own.norm(own.first(images))
        if images.mean() > 1:
            raise ValueError("too bright")
        return functional.relu(maps)

    network = Own(together)
    folding = folding_of(network, IMAGES)
    assert folding is not None
    with torch.no_grad():
        before = folding(network, IMAGES)
        with pytest.raises(ValueError, match="too bright"):
            folding(network, IMAGES + 2)
        assert torch.equal(folding(network, IMAGES), before)
        assert not torch.equal(network(IMAGES), before), "the network itself is changed"


def test_no_images_fold_nothing() -> None:
    """An evaluation of no rows is not an error."""
    assert folding_of(Own(), IMAGES[:0]) is None
