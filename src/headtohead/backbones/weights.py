"""Weights of a backbone from a file: matched by name or by order, whole or not at all.

Nothing but tensors is read: safetensors, or PyTorch's own format with `weights_only=True`.
"""

import hashlib
import pickle
import re
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeAlias

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from headtohead.backbones.base import Backbone
from headtohead.core.errors import UsageError, reason_of
from headtohead.core.files import see_readable, sha256_of

Match: TypeAlias = Literal["name", "order"]
State: TypeAlias = dict[str, Tensor]

PREFIXES = (
    *("module.", "backbone.", "model.", "network.", "encoder.", "state_dict.", "_orig_mod."),
    *("vision_model.", "vision_tower.", "visual.", "trunk.", "base_model."),
)
"""That other programs put before a network's names."""

NESTED = ("state_dict", "model", "model_state_dict", "state_dict_ema", "model_ema", "teacher")
"""Entries of a checkpoint that hold the network's state."""

CLASSIFIERS = re.compile(
    r"(^|\.)(fc|classifier|head|heads|head_dist|last_linear|logits|output|pre_logits|pooler|"
    r"_fc|head_drop|classification_head|bbox|decoder|lm_head|mask_token)(\.|$)"
)
"""Names of what stands after the feature maps."""

STATISTICS = ("running_", "moving_")
"""Begin the names of batch norm's buffers."""

KINDS = {
    **dict.fromkeys(("weight", "gamma"), "weight"),
    **dict.fromkeys(("bias", "beta"), "bias"),
    **dict.fromkeys(("running_mean", "moving_mean"), "mean"),
    **dict.fromkeys(("running_var", "moving_variance"), "variance"),
}
"""What the last parts of names say of tensors that may well be of one shape."""

COUNTERS = ("num_batches_tracked", "n_averaged")
"""End the names of batch norm's count of batches, and of an average's count of weights."""

SHOWN = 3
"""Mismatches that an error names."""


@dataclass(frozen=True)
class Loaded:
    """What was loaded: from which file, its SHA-256, and the file's tensors that were left over.

    `entries` are those of a checkpoint that hold a state, the one that was read first.
    """

    source: str
    sha256: str
    tensors: int
    passed_over: tuple[str, ...]
    prefix: str = ""
    entries: tuple[str, ...] = ()

    def notes(self) -> list[str]:
        """What a user should know, one line each."""
        found = []
        if len(self.entries) > 1:
            read, *others = self.entries
            found.append(
                f"{self.source}: its entry {read} was read, not {_few(others)}: save the one that "
                f"you want alone where that is another."
            )
        if self.prefix:
            found.append(f"{self.source}: names were matched without the prefix {self.prefix!r}.")
        if self.passed_over:
            found.append(
                f"{self.source}: {len(self.passed_over)} tensors of its classifier were "
                f"ignored ({_few(self.passed_over)})."
            )
        return found


def load_weights(backbone: Backbone, path: Path, match: Match = "name") -> Loaded:
    """Load the file's weights into `backbone`, all of them, and name them in its `identity`.

    By name, prefixes such as `module.` aside; a classifier left over is passed over. By order where
    the file has the same number of tensors of the same shapes in the same order, again but for a
    classifier at its end, and no name says that it is of another kind. Raises UsageError for a file
    that is missing, truncated, no weights, not finite, or those of another network; `backbone` is
    left as it was then.
    """
    content = _opened(path)
    found = _state_of(content, path)
    target = network_of(backbone)
    wanted = target.state_dict()
    own, passed_over, prefix = (
        _by_order(found, wanted, path) if match == "order" else _by_name(found, target, path)
    )
    _refuse_not_plain(own, wanted, path)
    refuse_not_finite(own, path.name, target)
    target.load_state_dict(own)
    digest = sha256_of(path)
    backbone.identity = with_weights(backbone.identity, digest)
    entries = tuple(name for name, _ in _entries(content))
    return Loaded(path.name, digest, len(own), tuple(passed_over), prefix, entries)


def with_weights(identity: str, sha256: str) -> str:
    """An architecture's identity with its weights'."""
    return f"{identity.partition(' weights=')[0]} weights={sha256}"


def network_of(backbone: Backbone) -> nn.Module:
    """What weights are those of: the network within that holds all of them, or the backbone."""
    network = getattr(backbone, "network", None)
    if isinstance(network, nn.Module) and len(network.state_dict()) == len(backbone.state_dict()):
        return network
    return backbone


def _refuse_not_plain(own: State, wanted: State, path: Path) -> None:
    """Raises UsageError where a tensor does not hold the numbers themselves, as quantised ones."""
    odd = [
        f"{name} {str(value.dtype).removeprefix('torch.')} {str(value.layout).rpartition('.')[2]}"
        for name, value in own.items()
        if value.layout != torch.strided
        or value.is_meta
        or value.is_quantized
        or value.is_complex()
        or (
            wanted[name].is_floating_point()
            and not (value.is_floating_point() and value.itemsize > 1)
        )
    ]
    if odd:
        raise UsageError(
            f"weights {path.name} hold {len(odd)} of {len(own)} tensors that are no plain numbers "
            f"of 16, 32 or 64 bits ({_few(odd)}): they are quantised, sparse, complex, whole "
            f"numbers or empty shells. Save the network's state_dict in float32."
        )


def refuse_not_finite(state: Mapping[str, Tensor], source: str, network: nn.Module) -> None:
    """Raises UsageError where a weight or a statistic of `network`'s state is NaN or infinite.

    Other buffers may hold infinity: masks of attention do.
    """
    weights = {name for name, _ in network.named_parameters()}
    named = [n for n in state if n in weights or n.rpartition(".")[2].startswith(STATISTICS)]
    wild = [n for n in named if state[n].is_floating_point() and not state[n].isfinite().all()]
    if wild:
        raise UsageError(
            f"weights {source} hold NaN or infinity in {len(wild)} of {len(state)} tensors "
            f"({_few(wild)}): their training diverged, or the file is damaged. Use others."
        )


def state_sha256(module: nn.Module) -> str:
    """SHA-256 of a module's state: names, types, shapes and values, in order of names."""
    digest = hashlib.sha256()
    for name, value in sorted(module.state_dict().items()):
        whole = value.detach().cpu().contiguous()
        digest.update(f"{name} {whole.dtype} {tuple(whole.shape)}\n".encode())
        digest.update(whole.reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def _opened(path: Path) -> Any:
    """What is in a file of tensors.

    Raises UsageError for any other file, and StorageError where it may not be read.
    """
    if not path.is_file():
        raise UsageError(f"weights {str(path)!r} are not a file: name a .safetensors or .pth file.")
    see_readable(path)
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of formats that are refused below all the same
            return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise UsageError(
            f"weights {path.name} hold more than tensors, or are damaged, and were not opened "
            f"({_reason(error)}). Save its state_dict alone, best as safetensors."
        ) from None
    except Exception as error:  # damaged bytes may be read as anything
        raise UsageError(
            f"weights {path.name} cannot be read ({_reason(error)}): the file is truncated, or in "
            f"another format. Use .safetensors, or .pth of a state_dict; download it again."
        ) from None


def _state_of(content: Any, path: Path) -> State:
    try:
        state = _state_in(content)
    except RecursionError:  # a thousand entries within each other are no checkpoint
        state = {}
    if not state:
        raise UsageError(
            f"weights {path.name} hold no tensors by name; received a {type(content).__name__}: "
            f"save the network's state_dict."
        )
    return state


def _reason(error: Exception) -> str:
    """What was found, without what PyTorch says of how to open the file all the same."""
    if held := re.search(r"GLOBAL ([\w.]+)", str(error)):
        return f"found {held[1]}"
    return reason_of(error, 140).partition(" In PyTorch 2.6")[0]


def _state_in(content: Any) -> State:
    """The state within a checkpoint: the content itself, or one of its entries."""
    if not isinstance(content, Mapping):
        return {}
    for _, state in _entries(content):
        return state
    return {str(name): value for name, value in content.items() if isinstance(value, Tensor)}


def _entries(content: Any) -> Iterator[tuple[str, State]]:
    """The entries of a checkpoint that hold a state, by name, in the order of preference."""
    for key in NESTED if isinstance(content, Mapping) else ():
        if isinstance(content.get(key), Mapping) and (state := _state_in(content[key])):
            yield key, state


def _by_name(found: State, network: nn.Module, path: Path) -> tuple[State, list[str], str]:
    wanted = network.state_dict()
    prefix = max(_prefixes(found), key=lambda start: _matching(found, wanted, start))
    named = {name.removeprefix(prefix): value for name, value in found.items()}
    present = {_place(wanted[name]) for name in wanted if name in named}
    missing = [
        name
        for name in wanted
        if name not in named and not _is_counter(name) and _place(wanted[name]) not in present
    ]
    over = [name for name in named if name not in wanted and not _is_counter(name)]
    strange = [name for name in over if not CLASSIFIERS.search(name)]
    shapes = [
        f"{name} {_shape(named[name])} in the file, {_shape(wanted[name])} in the backbone"
        for name in wanted
        if name in named and named[name].shape != wanted[name].shape
    ]
    if missing or strange or shapes:
        raise UsageError(
            f"weights {path.name} are not this backbone's: "
            + "; ".join(
                f"{len(items)} {what} ({_few(items)})"
                for items, what in (
                    (shapes, "of another shape"),
                    (missing, "missing in the file"),
                    (strange, "unknown to the backbone"),
                )
                if items
            )
            + f". Name the backbone they belong to{_or_by_order(missing, strange, shapes)}."
        )
    own = {name: named.get(name, value) for name, value in wanted.items()}
    return own, over, prefix


def _or_by_order(missing: Sequence[str], strange: Sequence[str], shapes: Sequence[str]) -> str:
    """The way by order, where it is one: as many tensors under other names."""
    possible = len(missing) == len(strange) and not shapes
    return "; where only the names differ, --weights-match order" if possible else ""


def _few(names: Sequence[str]) -> str:
    return ", ".join(names[:SHOWN]) + (" …" if len(names) > SHOWN else "")


def _place(value: Tensor) -> tuple[object, ...]:
    """Where a tensor lies: tied ones, of which a file may hold but one, lie at one place."""
    return value.data_ptr(), value.shape, value.stride(), value.numel() or id(value)


def _prefixes(found: State) -> list[str]:
    """Prefixes that names of the file start with, one, two or three after another."""
    known, added = {""}, {""}
    for _ in range(3):
        added = {
            start + prefix
            for start in added
            for prefix in PREFIXES
            if any(name.startswith(start + prefix) for name in found)
        }
        known |= added
    return sorted(known, key=len)


def _matching(found: State, wanted: State, prefix: str) -> int:
    return sum(name.removeprefix(prefix) in wanted for name in found if name.startswith(prefix))


def _is_counter(name: str) -> bool:
    """Whether a tensor is a count, which no map depends on, and which older files lack."""
    return name.endswith(COUNTERS)


def _by_order(found: State, wanted: State, path: Path) -> tuple[State, list[str], str]:
    """The file's tensors one after the other; batch norm's counters aside where it has none."""
    if path.suffix == ".safetensors":
        raise UsageError(
            f"weights {path.name} cannot be matched by order: safetensors sort their tensors. Use "
            f"a .pth file, or --weights-match name."
        )
    counters = any(map(_is_counter, found))
    names = [name for name in wanted if counters or not _is_counter(name)]
    tensors = list(found.items())
    pairs = list(zip(names, tensors, strict=False))
    unlike = [
        f"number {number}: {theirs} {_shape(value)}, {mine} {_shape(wanted[mine])}"
        for number, (mine, (theirs, value)) in enumerate(pairs, start=1)
        if value.shape != wanted[mine].shape or _are_unlike(theirs, mine)
    ]
    over = [name for name, _ in tensors[len(names) :]]
    strange = [name for name in over if not CLASSIFIERS.search(name)]
    if unlike or strange or len(tensors) < len(names):
        raise UsageError(
            f"weights {path.name} do not fit in order: {len(tensors)} tensors for the backbone's "
            f"{len(names)}"
            + (f"; first of another shape or kind: {'; '.join(unlike[:SHOWN])}" if unlike else "")
            + (f"; left over: {', '.join(strange[:SHOWN])}" if strange and not unlike else "")
            + ". Name the backbone they belong to."
        )
    own = dict(wanted) | {mine: value for mine, (_, value) in pairs}
    return own, over, ""


def _are_unlike(theirs: str, mine: str) -> bool:
    """Whether two names say that one is, for example, a bias and the other a weight."""
    kinds = {KINDS.get(name.rpartition(".")[2]) for name in (theirs, mine)} - {None}
    return len(kinds) > 1


def _shape(value: Tensor) -> str:
    return "×".join(map(str, value.shape)) or "single"
