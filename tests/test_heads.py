"""All heads: the harness over each of them, and the values that their formulas give."""

import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from headtohead.core.errors import UsageError
from headtohead.heads.base import ClosedFormHead, Head
from headtohead.heads.families import names_of
from headtohead.heads.pools import RegionMaxima, regions_of
from headtohead.heads.second_order import RootCovariance
from headtohead.heads.table import FAMILIES, HEADS, build_head, own_options
from headtohead.testing import SIZES, check_head

SMALL: dict[str, dict[str, Any]] = {
    "fc": {"hidden": [20, 20]},
    "fc_dropout": {"hidden": [20, 20]},
    "gap_fc": {"hidden": [20, 20]},
    "mlp": {"hidden": 20},
    "ml_decoder": {"width": 16, "hidden": 24, "heads": 4},
    "efficient_probing": {"queries": 4},
    "class_attention": {"blocks": 1},
    "netvlad": {"clusters": 4},
}
"""Options that keep the harness fast; the defaults' sizes are counted by another test."""

REFUSED: dict[str, list[tuple[int, int]]] = {
    "avgpool2x2": [(1, 1)],
    "isqrt_cov": [(1, 1)],
    "simpool": [(1, 1)],
}


def evaluated(head: Head, features: Tensor) -> Tensor:
    head.eval()
    with torch.no_grad():
        logits: Tensor = head(features)
    return logits


def weighed(name: str, size: tuple[int, int], **options: Any) -> Head:
    """A head on one feature map whose last layer hands the pooled value through."""
    head = build_head(name, 1, size, 1, **options)
    with torch.no_grad():
        head.get_parameter("linear.weight").fill_(1)
        head.get_parameter("linear.bias").zero_()
    return head


def pooled(name: str, values: list[list[float]], **options: Any) -> float:
    """What the head's pool makes of one feature map."""
    features = torch.tensor(values)[None, None]
    size = (len(values), len(values[0]))
    return float(evaluated(weighed(name, size, **options), features))


# All heads --------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", HEADS)
def test_every_shipped_head_has_every_property(name: str) -> None:
    """Else a study breaks at some image size, or a head's results are not what they seem."""
    found = check_head(name, channels=16, **SMALL.get(name, {}))
    assert list(found.refused) == REFUSED.get(name, [])
    assert found.passed == [size for size in SIZES if size not in found.refused]
    assert found.skipped == []


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("fc", {"hidden": [7, 3], "dropout": 0.5}),
        ("avgpool2x2", {"window": 1}),
        ("avgpool2x2", {"window": 3}),
        ("gap_fc", {"hidden": [7, 3], "dropout": 0.5}),
        ("fc_small", {"maps": 3}),
        ("mlp", {"hidden": 9, "dropout": 0.5}),
        ("gem", {"p": 8.0, "learn": False}),
        ("lse", {"r": 0.5, "learn": False}),
        ("kmax", {"k": 1}),
        ("spp", {"levels": [2, 3]}),
        ("rmac", {"levels": 1}),
        ("wildcat", {"maps": 2, "share": 0.5, "alpha": 0.0}),
        ("csra", {"heads": 4, "lam": 0.3}),
        ("simpool", {"gamma": 1.0}),
        ("attention", {"heads": 2}),
        ("efficient_probing", {"queries": 2}),
        ("class_attention", {"blocks": 1, "heads": 2, "ratio": 1, "scale": 1}),
        ("cbam_gap", {"kernel": 3, "reduction": 2}),
        ("bilinear", {"reduce": 3}),
        ("isqrt_cov", {"reduce": 3, "iterations": 5}),
        ("cosine", {"scale": 4.0, "learn": False}),
    ],
    ids=str,
)
def test_options_keep_the_properties(name: str, options: dict[str, Any]) -> None:
    """Else a study that tunes a head gets one that is broken."""
    assert check_head(name, channels=6, sizes=[(5, 4)], outputs=[2], **options).passed == [(5, 4)]


@pytest.mark.parametrize("name", HEADS)
def test_a_head_has_the_parameters_that_its_formula_says(name: str) -> None:
    """Else `headtohead heads` and the paper's table give a size that no model has."""
    entry = HEADS[name]
    for channels, size, outputs in [(64, (10, 10), 1), (32, (3, 5), 4)]:
        own = {option: p.default for option, p in own_options(entry.cls).items()}
        known = {
            "D": channels,
            "N": size[0] * size[1],
            "H": size[0],
            "W": size[1],
            "K": outputs,
            **own,
            **entry.options,
            "max": max,
            "min": min,
            "sum": sum,
            "int": int,
        }
        documented = eval(entry.parameters, {"__builtins__": {}}, known)  # noqa: S307
        head = build_head(name, channels, size, outputs)
        assert sum(p.numel() for p in head.parameters()) == documented


def test_every_head_is_documented() -> None:
    """Else `headtohead heads` lists a candidate without saying what it is."""
    assert sum(map(len, FAMILIES.values())) == len(HEADS)  # no name twice
    for name, entry in HEADS.items():
        assert all((entry.summary, entry.formula, entry.source, entry.when)), name
        assert entry.cls.__doc__, name


def test_a_familys_names_are_read_without_torch_as_they_are() -> None:
    """Else a pooling head that is added hides its claims, or must be listed a second time."""
    assert {family: names_of(family) for family in FAMILIES} == {
        family: frozenset(entries) for family, entries in FAMILIES.items()
    }


def test_the_controls_are_as_large_as_they_say() -> None:
    """Else pooling and the number of parameters are told apart by heads that match in neither."""
    sizes = {
        name: sum(p.numel() for p in build_head(name, 64, (10, 10), 1).parameters())
        for name in ("gap", "fc_small", "fc", "gap_fc")
    }
    assert sizes == {"gap": 65, "fc_small": 166, "fc": 663_301, "gap_fc": 662_349}


NORM = "gamma beta moving_mean moving_variance"


def fully_connected_keys(prefix: str, *layers: int) -> list[str]:
    """Keys of batch norm, dense, batch norm, dense, dense at these places of a sequence."""
    parts = [NORM, "weight bias", NORM, "weight bias", "weight bias"]
    return [
        f"{prefix}{layer}.{key}"
        for layer, keys in zip(layers, parts, strict=True)
        for key in keys.split()
    ]


@pytest.mark.parametrize(
    ("name", "keys", "total"),
    [
        ("fc", fully_connected_keys("layers.", 0, 1, 3, 4, 6), 623693.863946),
        ("fc_dropout", fully_connected_keys("layers.", 0, 1, 4, 5, 7), 623693.863946),
        ("gap_fc", fully_connected_keys("classifier.layers.", 0, 1, 3, 4, 6), 77305.236652),
        ("gap", ["linear.weight", "linear.bias"], -63.01554),
        ("avgpool2x2", ["linear.weight", "linear.bias"], 0.061043),
        (
            "gap_bn",
            [*(f"norm.{key}" for key in NORM.split()), "linear.weight", "linear.bias"],
            4086.435539,
        ),
        (
            "fc_small",
            ["squeeze.weight", "squeeze.bias", "linear.weight", "linear.bias"],
            -79.21,
        ),
    ],
)
def test_old_heads_keep_their_weights(name: str, keys: list[str], total: float) -> None:
    """Else weights in old ledgers load no more, and old runs cannot be repeated to the bit.

    The totals, of all weights by their place modulo 97, are those of version 0.1.
    """
    torch.manual_seed(0)
    state = build_head(name, 64, (10, 10), 1).state_dict()
    assert list(state) == keys
    flat = torch.cat([value.flatten().double() for value in state.values()])
    found = float((flat * torch.arange(len(flat)).double().remainder(97)).sum())
    assert found == pytest.approx(total, abs=1e-5)


# Values -----------------------------------------------------------------------------------------

MAP = [[0.0, 1.0, 2.0], [3.0, 4.0, 8.0]]


@pytest.mark.parametrize(
    ("name", "options", "expected"),
    [
        ("gap", {}, 3),
        ("gmp", {}, 8),
        ("avg_max", {}, 5.5),
        ("concat_avg_max", {}, 11),
        ("mixed", {}, 5.5),
        ("gated", {}, 5.5),
        ("kmax", {"k": 1}, 8),
        ("kmax", {"k": 3}, 5),
        ("kmax", {"k": 6}, 3),
        ("kmax", {"k": 60}, 3),
        ("gem", {"p": 1.0}, 3),
        ("gem", {"p": 2.0}, math.sqrt(94 / 6)),
        ("gem", {}, (612 / 6) ** (1 / 3)),
        ("gem", {"p": 200.0}, 8 * 6 ** (-1 / 200)),
        ("lse", {"r": 1.0}, math.log(sum(map(math.exp, (0, 1, 2, 3, 4, 8))) / 6)),
        ("lse", {"r": 1000.0}, 8 - math.log(6) / 1000),
        ("stochastic", {}, 94 / 18),
        ("spp", {"levels": [1]}, 8),
        ("spp", {"levels": [1, 2]}, 8 + 1 + 2 + 4 + 8),
        ("rmac", {"levels": 1}, 3),
    ],
    ids=str,
)
def test_pools_by_hand(name: str, options: dict[str, Any], expected: float) -> None:
    """Else a pool is called by the name of another."""
    assert pooled(name, MAP, **options) == pytest.approx(expected, rel=1e-5)


def test_softpool_by_hand() -> None:
    """Else it is another pool's softness."""
    values = (0, 1, 2, 3, 4, 8)
    weights = [math.exp(value) for value in values]
    expected = sum(v * w for v, w in zip(values, weights, strict=True)) / sum(weights)
    assert pooled("softpool", MAP) == pytest.approx(expected, rel=1e-5)


def test_a_soft_log_sum_exp_is_the_mean() -> None:
    """Else learning r down does not lead to `gap`."""
    small = [[value / 100 for value in row] for row in MAP]
    assert pooled("lse", small, r=0.01) == pytest.approx(0.03, abs=1e-5)


def test_mixed_and_gated_follow_their_shares() -> None:
    """Else the learned share weighs the mean where the paper weighs the maximum."""
    features = torch.tensor(MAP)[None, None]
    mixed, gated = weighed("mixed", (2, 3)), weighed("gated", (2, 3))
    with torch.no_grad():
        mixed.get_parameter("share").fill_(math.log(3))  # a sigmoid of 3/4
        gated.get_parameter("mask")[1, 2] = math.log(3) / 8
    for head in (mixed, gated):
        assert float(evaluated(head, features)) == pytest.approx(0.75 * 8 + 0.25 * 3, rel=1e-5)


def test_stochastic_draws_in_proportion() -> None:
    """Else training sees other values than Zeiler and Fergus's pool shows it."""
    torch.manual_seed(0)
    head = weighed("stochastic", (2, 3)).train()
    drawn = head(torch.tensor(MAP).expand(20_000, 1, 2, 3)).flatten()
    for value in (0, 1, 2, 3, 4, 8):
        assert float((drawn == value).float().mean()) == pytest.approx(value / 18, abs=0.012)
    zeros_and_negatives = torch.tensor([[-1.0, 0.0]]).expand(50, 1, 1, 2)
    assert head(zeros_and_negatives).isfinite().all()


def test_rmac_takes_the_regions_of_its_source() -> None:
    """Else it is another pyramid: the numbers are those that cirtorch's `rmac` takes."""
    assert [len(regions_of((7, 7), levels)) for levels in (1, 2, 3)] == [2, 6, 15]
    rows = [(rows.start, rows.stop) for rows, _ in regions_of((7, 7), 3)]
    assert rows[:6] == [(0, 7), (0, 7), (0, 4), (0, 4), (3, 7), (3, 7)]
    assert sorted(set(rows[6:])) == [(0, 3), (2, 5), (4, 7)]
    wide = [columns.start for _, columns in regions_of((4, 8), 1)]
    assert wide == [0, 0, 2, 4]
    assert len(regions_of((1, 1), 3)) == 2
    # Where two overlaps are equally near to 40 %, float32 decides, as there.
    assert [len(regions_of(size, 1)) for size in ((5, 9), (9, 5))] == [3, 3]


def test_rmac_divides_each_region_by_its_norm_over_all_maps() -> None:
    """Else a region's strongest map counts as much as its weakest."""
    features = torch.rand(2, 3, 7, 7, generator=torch.Generator().manual_seed(0))
    expected = torch.zeros(2, 3)
    whole = [(slice(0, 7), slice(0, 7))] * 2  # the whole map, and the only region of scale 1
    corners = [(rows, columns) for rows in (0, 3) for columns in (0, 3)]
    for rows, columns in [*whole, *((slice(r, r + 4), slice(c, c + 4)) for r, c in corners)]:
        largest = features[:, :, rows, columns].flatten(2).max(dim=2).values
        expected += largest / (largest.square().sum(1, keepdim=True).sqrt() + 1e-6)
    torch.testing.assert_close(RegionMaxima((7, 7), 2)(features), expected)


def test_wildcat_by_hand() -> None:
    """Else tops and bottoms are weighed otherwise than in WILDCAT's code."""
    head = build_head("wildcat", 1, (2, 3), 1, maps=2, share=0.34, alpha=0.7)
    with torch.no_grad():
        head.get_parameter("convolution.weight").copy_(torch.tensor([0.5, 1.5]).reshape(2, 1, 1, 1))
        head.get_parameter("convolution.bias").zero_()
    found = float(evaluated(head, torch.tensor(MAP)[None, None]))
    assert found == pytest.approx(((8 + 4) / 2 + 0.7 * (0 + 1) / 2) / 2, rel=1e-5)


def test_csra_by_hand() -> None:
    """Else the residual attention has another base, scale or temperature than its paper's."""
    features = torch.tensor(MAP)[None, None] / 4
    soft = float((features * features.flatten().softmax(0).reshape(features.shape)).sum())
    for heads, expected in ((1, 0.75 + 0.2 * soft), (2, 2 * 0.75 + 0.2 * soft + 0.2 * 2)):
        head = build_head("csra", 1, (2, 3), 1, heads=heads, lam=0.2)
        with torch.no_grad():
            for weight in head.get_submodule("heads").parameters():
                weight.fill_(5)  # its norm is divided out
        assert float(evaluated(head, features)) == pytest.approx(expected, rel=1e-5)


def test_abmil_weighs_by_its_gated_score() -> None:
    """Else its attention is another formula than equation 9 of Ilse et al."""
    head = build_head("abmil", 1, (1, 2), 1, hidden=1)
    with torch.no_grad():
        for name in ("content", "gate", "linear"):
            head.get_parameter(f"{name}.weight").fill_(1)
        head.get_parameter("score.weight").fill_(3)
        head.get_parameter("linear.bias").zero_()
    scores = [3 * math.tanh(x) / (1 + math.exp(-x)) for x in (1, 2)]
    shares = [math.exp(score) for score in scores]
    expected = (shares[0] + 2 * shares[1]) / sum(shares)
    found = evaluated(head, torch.tensor([[[[1.0, 2.0]]]]))
    assert float(found) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("name", ["abmil", "efficient_probing", "simpool"])
def test_attention_without_a_query_is_an_average(name: str) -> None:
    """Else the attention does not start from the pool that it generalises."""
    options = {"queries": 2} if name == "efficient_probing" else {}
    options = {"gamma": 1} if name == "simpool" else options
    head = build_head(name, 4, (3, 5), 2, **options)
    queries = {"abmil": "score.weight", "efficient_probing": "queries", "simpool": "query.weight"}
    with torch.no_grad():
        head.get_parameter(queries[name]).zero_()
    features = torch.randn(3, 4, 3, 5)
    seen = features.flatten(2).transpose(1, 2)
    if name == "simpool":
        seen = head.get_submodule("norm")(seen)
    elif name == "efficient_probing":
        seen = head.get_submodule("value")(seen)
    expected = head.get_submodule("linear")(seen.mean(dim=1)).detach()
    torch.testing.assert_close(evaluated(head, features), expected)


def test_efficient_probing_pools_each_slice_by_its_query() -> None:
    """Else queries are averaged, as its README says, where its code sets slices side by side."""
    head = build_head("efficient_probing", 4, (1, 2), 4, queries=2)
    with torch.no_grad():
        head.get_parameter("queries").copy_(torch.tensor([[100.0, 0, 0, 0], [-100.0, 0, 0, 0]]))
        head.get_parameter("value.weight").copy_(torch.eye(4))
        head.get_parameter("linear.weight").copy_(torch.eye(4))
        head.get_parameter("linear.bias").zero_()
    features = torch.tensor([[5.0, 1, 2, 3], [0.0, 6, 7, 8]]).T.reshape(1, 4, 1, 2)
    expected = torch.tensor([[5.0, 1, 7, 8]])  # place 0 for the first slice, 1 for the second
    torch.testing.assert_close(evaluated(head, features), expected)


def test_bilinear_by_hand() -> None:
    """Else it is not mean x·xᵀ, signed root and unit length."""
    head = build_head("bilinear", 2, (1, 2), 4)
    with torch.no_grad():
        head.get_parameter("linear.weight").copy_(torch.eye(4))
        head.get_parameter("linear.bias").zero_()
    features = torch.tensor([[1.0, 3.0], [-2.0, 1.0]]).reshape(1, 2, 1, 2)
    products = torch.tensor([[5.0, 0.5, 0.5, 2.5]])
    expected = nn.functional.normalize(products.sqrt(), dim=1)
    torch.testing.assert_close(evaluated(head, features), expected, rtol=1e-4, atol=1e-5)


def test_isqrt_cov_approaches_the_matrix_square_root() -> None:
    """Else its vector is some other function of the covariance."""
    torch.manual_seed(0)
    head = build_head("isqrt_cov", 3, (4, 4), 6, iterations=10)
    with torch.no_grad():
        head.get_parameter("linear.weight").copy_(torch.eye(6))
        head.get_parameter("linear.bias").zero_()
    features = torch.randn(1, 3, 4, 4)
    triangle = evaluated(head, features)[0]
    root = torch.zeros(3, 3)
    root[tuple(torch.triu_indices(3, 3))] = triangle
    root = root + root.triu(1).T
    covariance = torch.cov(features.flatten(2)[0], correction=0)
    torch.testing.assert_close(root @ root, covariance, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("size", [(2, 3), (5, 5)])
def test_the_root_is_that_of_fast_mpn_cov(size: tuple[int, int]) -> None:
    """Else maps of fewer places than channels (6 of 8) get another root than others (25 of 8)."""
    torch.manual_seed(0)
    head = build_head("isqrt_cov", 8, size, 2).double()
    x = torch.randn(3, 8, *size, dtype=torch.float64)
    values = x.flatten(2)
    values = values - values.mean(2, keepdim=True)
    covariance = values @ values.transpose(1, 2) / values.shape[2]
    trace = covariance.diagonal(dim1=1, dim2=2).sum(1)[:, None, None] + 1e-6
    y, identity = covariance / trace, torch.eye(8, dtype=torch.float64)
    z = 0.5 * (3 * identity - y)
    y = y @ z
    step = 0.5 * (3 * identity - z @ y)
    y, z = y @ step, step @ z
    root = 0.5 * y @ (3 * identity - z @ y) * trace.sqrt()
    expected = head.get_submodule("linear")(
        torch.stack([m[*torch.triu_indices(8, 8)] for m in root])
    )
    torch.testing.assert_close(head(x), expected)


@pytest.mark.parametrize("iterations", [4, 7, 10])
def test_more_iterations_keep_the_root(iterations: int) -> None:
    """Else more of them, asked for a better root, drown it in rounding errors, or give NaN."""
    torch.manual_seed(0)
    spread = torch.logspace(-2, 2, 32)[:, None]
    x = (torch.randn(2, 32, 49).relu() * spread).requires_grad_()
    head = build_head("isqrt_cov", 32, (7, 7), 2, iterations=iterations)
    assert isinstance(head, RootCovariance)
    weights = torch.randn(32, 32)
    found = {}
    for given in (x, x.detach().double().requires_grad_()):
        root = head._root(given)
        (root * weights.to(root.dtype)).sum().backward()
        assert given.grad is not None
        found[given.dtype] = (root.detach().double(), given.grad.double())
    for single, double in zip(found[torch.float32], found[torch.float64], strict=True):
        assert float((single - double).norm() / double.norm()) < 1e-3


def test_netvlad_by_hand() -> None:
    """Else residuals are not those to the assigned centre."""
    head = build_head("netvlad", 2, (1, 2), 4, clusters=2)
    with torch.no_grad():
        head.get_parameter("assign.weight").copy_(100 * torch.eye(2).reshape(2, 2, 1, 1))
        head.get_parameter("assign.bias").zero_()
        head.get_parameter("centres").copy_(torch.tensor([[1.0, 1.0], [0.0, 0.0]]))
        head.get_parameter("linear.weight").copy_(torch.eye(4))
        head.get_parameter("linear.bias").zero_()
    features = torch.tensor([[9.0, 0.0], [0.0, 2.0]]).T.reshape(1, 2, 1, 2)
    # Place 0 is (1, 0) and belongs to centre 0: residual (0, -1); place 1 is (0, 1), centre 1.
    expected = torch.tensor([[0.0, -1.0, 0.0, 1.0]]) / math.sqrt(2)
    torch.testing.assert_close(evaluated(head, features), expected, rtol=1e-4, atol=1e-4)


def test_cosine_by_hand() -> None:
    """Else the scale is missing, or the length of the features counts."""
    head = build_head("cosine", 2, (1, 1), 3)
    with torch.no_grad():
        head.get_parameter("weight").copy_(torch.tensor([[2.0, 0], [0, 5.0], [-1.0, -1.0]]))
    logits = evaluated(head, torch.tensor([[3.0, 4.0]]).reshape(1, 2, 1, 1))
    expected = 16 * torch.tensor([[0.6, 0.8, -1.4 / math.sqrt(2)]])
    torch.testing.assert_close(logits, expected)
    one = build_head("cosine", 2, (1, 1), 1)
    with torch.no_grad():
        one.get_parameter("weight").copy_(torch.tensor([[2.0, 0], [0, 5.0]]))
    found = evaluated(one, torch.tensor([[3.0, 4.0]]).reshape(1, 2, 1, 1))
    assert float(found) == pytest.approx(16 * 0.2)


@pytest.mark.parametrize("classes", [2, 4])
def test_class_mean_is_the_nearest_centroid_of_scikit_learn(classes: int) -> None:
    """Else the floor that other heads must beat is another classifier."""
    neighbors = pytest.importorskip("sklearn.neighbors")
    torch.manual_seed(1)
    labels = torch.arange(80) % classes
    features = torch.randn(80, 5, 3, 4) + labels[:, None, None, None] * torch.randn(5, 1, 1)
    head = build_head("class_mean", 5, (3, 4), 1 if classes == 2 else classes)
    assert isinstance(head, ClosedFormHead)
    head.fit(features[:33], labels[:33])
    head.fit(features[33:], labels[33:])
    logits = evaluated(head, features)
    found = (logits[:, 0] > 0).long() if classes == 2 else logits.argmax(1)
    pooled = features.mean(dim=(2, 3)).numpy()
    theirs = neighbors.NearestCentroid().fit(pooled, labels.numpy()).predict(pooled)
    assert found.tolist() == theirs.tolist()
    assert len(set(found.tolist())) == classes


def test_a_class_without_images_is_never_chosen() -> None:
    """Else an empty class wins where all others are far."""
    head = build_head("class_mean", 2, (1, 1), 3)
    assert isinstance(head, ClosedFormHead)
    head.fit(torch.tensor([[9.0, 9], [8.0, 9]]).reshape(2, 2, 1, 1), torch.tensor([0, 2]))
    assert int(evaluated(head, torch.zeros(1, 2, 1, 1)).argmax()) != 1


# The same function ------------------------------------------------------------------------------


def test_nin_is_gap() -> None:
    """Else the two names stand for different functions, and guidance is wrong."""
    gap, nin = build_head("gap", 4, (3, 5), 3), build_head("nin", 4, (3, 5), 3)
    nin.load_state_dict(
        {
            "convolution.weight": gap.get_parameter("linear.weight")[:, :, None, None],
            "convolution.bias": gap.get_parameter("linear.bias"),
        }
    )
    features = torch.randn(2, 4, 3, 5)
    torch.testing.assert_close(evaluated(nin, features), evaluated(gap, features))


def test_conv_is_linear() -> None:
    """Else a convolution as large as the maps is taken for something new."""
    linear, conv = build_head("linear", 4, (3, 5), 3), build_head("conv", 4, (3, 5), 3)
    weight = linear.get_parameter("linear.weight").reshape(3, 3, 5, 4).permute(0, 3, 1, 2)
    conv.load_state_dict(
        {"convolution.weight": weight, "convolution.bias": torch.tensor([1.0, 2, 3])}
    )
    with torch.no_grad():
        linear.get_parameter("linear.bias").copy_(torch.tensor([1.0, 2, 3]))
    features = torch.randn(2, 4, 3, 5)
    torch.testing.assert_close(evaluated(conv, features), evaluated(linear, features))
    torch.testing.assert_close(conv.class_maps(features), linear.class_maps(features))


def test_the_small_control_is_gap_with_places() -> None:
    """Else it differs from `gap` in more than the pooling that it is the control for."""
    features = torch.rand(3, 4, 6, 5)
    gap, control = build_head("gap", 4, (6, 5), 1), build_head("fc_small", 4, (6, 5), 1)
    weights = gap.state_dict()
    control.load_state_dict(
        {
            "squeeze.weight": weights["linear.weight"][:, :, None, None],
            "squeeze.bias": torch.zeros(1),
            "linear.weight": torch.full((1, 30), 1 / 30),
            "linear.bias": weights["linear.bias"],
        }
    )
    torch.testing.assert_close(evaluated(control, features), evaluated(gap, features))


def test_dropout_acts_in_training_alone() -> None:
    """Else `fc_dropout` is `fc` under another name, or dropout blurs what is measured."""
    torch.manual_seed(0)
    features = torch.rand(8, 4, 6, 6)
    differs = {}
    for name in ("fc", "fc_dropout", "ml_decoder"):
        head = build_head(name, 4, (6, 6), 1, **SMALL[name]).train()
        differs[name] = not torch.equal(head(features), head(features))
    assert differs == {"fc": False, "fc_dropout": True, "ml_decoder": True}


# Mistakes ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "size", "options", "words"),
    [
        ("gapp", (4, 4), {}, r"no head 'gapp'\. Did you mean 'gap'\? There are fc, fc_"),
        ("gap", (4, 4), {"window": 2}, "gap cannot take the option 'window'; it takes none"),
        ("gem", (4, 4), {"q": 2}, "gem cannot take the option 'q'; it takes p, learn"),
        ("fc", (4, 4), {"dropout": 1.0}, r"dropout is a share in \[0, 1\); received 1.0"),
        ("fc", (4, 4), {"dropout": "half"}, "dropout is .* received 'half'"),
        ("fc", (4, 4), {"hidden": [100]}, r"two dense .* received \[100\]"),
        ("fc", (4, 4), {"hidden": [0, 100]}, r"from 1 to .* received \[0, 100\]"),
        ("fc", (4, 4), {"hidden": [True, 100]}, r"hidden .* received \[True, 100\]"),
        ("fc", (4, 4), {"hidden": [10**19, 100]}, r"hidden .* received \[1000"),
        ("fc", (4, 4), {"dropout": math.nan}, "dropout .* received nan"),
        ("fc", (4, 4), {"hidden": 100}, "two .* received 100"),
        ("avgpool2x2", (1, 4), {}, "2 × 2; received 1 × 4: use larger"),
        ("avgpool2x2", (4, 4), {"window": 5}, "5 × 5; received 4 × 4"),
        ("avgpool2x2", (4, 4), {"window": 0}, "window .* from 1 to 1,000,000; received 0"),
        ("avgpool2x2", (4, 4), {"window": 1.5}, "window .* received 1.5"),
        ("fc_small", (4, 4), {"maps": 0}, "maps .* from 1 to 1,000,000; received 0"),
        ("mlp", (4, 4), {"hidden": 0}, "hidden .* from 1 to 1,000,000; received 0"),
        ("mlp", (4, 4), {"hidden": 10**19}, "hidden .* from 1 to 1,000,000; received 1000"),
        ("gem", (4, 4), {"p": 0.5}, "p is a number from 1 to 1,000,000; received 0.5"),
        ("gem", (4, 4), {"p": math.inf}, "p is a number .* received inf"),
        ("gem", (4, 4), {"p": 1e39}, r"p is a number .* received 1e\+39"),
        ("gem", (4, 4), {"p": 10**400}, "p is a number .* received 1000.*…"),
        ("gem", (4, 4), {"p": "three"}, "p is a number .* received 'three'"),
        ("gem", (4, 4), {"p": math.nan}, "p is a number .* received nan"),
        ("gem", (4, 4), {"learn": 1}, "learn is true or false; received 1"),
        ("lse", (4, 4), {"r": 0}, "r is a number from 0.01 to 1,000,000; received 0"),
        ("lse", (4, 4), {"r": math.inf}, "r is a number .* received inf"),
        ("kmax", (4, 4), {"k": True}, "k is a whole number .* received True"),
        ("spp", (4, 4), {"levels": []}, r"levels takes .* received \[\]"),
        ("spp", (4, 4), {"levels": [1, True]}, r"levels takes .* received \[1, True\]"),
        ("rmac", (4, 4), {"levels": [1]}, r"levels .* received \[1\]"),
        ("wildcat", (4, 4), {"share": 1.5}, "share is a number from 0 to 1; received 1.5"),
        ("wildcat", (4, 4), {"alpha": math.inf}, "alpha is a number .* received inf"),
        ("csra", (4, 4), {"heads": 3}, "heads is one of 1, 2, 4, 6, 8; received 3"),
        ("csra", (4, 4), {"heads": [2]}, r"heads is a whole number .* received \[2\]"),
        ("csra", (4, 4), {"heads": 2.0}, r"heads is a whole number .* received 2\.0"),
        ("csra", (4, 4), {"lam": math.inf}, "lam is a number .* received inf"),
        ("class_attention", (4, 4), {"heads": 2, "blocks": 10**9}, "blocks .* 1 to 100; rec"),
        ("class_attention", (4, 4), {"heads": 2, "scale": 1e39}, r"scale .* received 1e\+39"),
        ("attention", (4, 4), {"heads": 3}, "heads must divide the 4 .* received 3: .* 1, 2, 4"),
        ("efficient_probing", (4, 4), {}, "queries must divide the 4 .* received 32"),
        ("ml_decoder", (4, 4), {"width": 9}, "heads must divide the 9 values of a query"),
        ("isqrt_cov", (1, 1), {}, "isqrt_cov needs .* received 1 × 1"),
        ("simpool", (1, 1), {}, "simpool with gamma 2 needs .* received 1 × 1"),
        ("simpool", (4, 4), {"gamma": 0.5}, "gamma is a number from 1 to 5; received 0.5"),
        ("cbam_gap", (4, 4), {"kernel": 4}, "kernel is odd.* received 4"),
        ("isqrt_cov", (4, 4), {"iterations": 1}, "iterations .* from 2 to 10; received 1"),
        ("isqrt_cov", (4, 4), {"iterations": 11}, "iterations .* from 2 to 10; received 11"),
        ("cosine", (4, 4), {"scale": -1}, "scale is a number .* received -1"),
        ("no_such_module:Head", (4, 4), {}, "cannot be imported: No module named"),
        (":Head", (4, 4), {}, "cannot be imported"),
        ("headtohead.heads.base:Nothing", (4, 4), {}, "cannot be imported.*Nothing"),
        ("headtohead.heads.base:Head", (4, 4), {}, "cannot take .*abstract"),
        ("headtohead.heads.table:HEADS", (4, 4), {}, "not a subclass of"),
    ],
)
def test_mistakes_are_named(
    name: str, size: tuple[int, int], options: dict[str, Any], words: str
) -> None:
    """Else a slip in a study file ends in a traceback."""
    with pytest.raises(UsageError, match=words) as caught:
        build_head(name, 4, size, 1, **options)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "words"),
    [("class Head(", "was never closed"), ("raise ValueError('not today')", "not today")],
)
def test_a_module_that_does_not_run_is_named(
    text: str, words: str, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else a typing error in the user's own head ends in headtohead's traceback."""
    (tmp_path / "half_written_head.py").write_text(text, encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(UsageError, match=f"half_written_head:Mine.*{words}"):
        build_head("half_written_head:Mine", 4, (4, 4), 1)
