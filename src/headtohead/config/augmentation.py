"""Augmentation as the command line writes it: `flip,crop=0.1,color=0.2`."""

from collections.abc import Mapping
from typing import Any

from headtohead.core.errors import UsageError


def read_augment(value: str | Mapping[str, Any]) -> dict[str, Any]:
    """`flip,crop=0.1,color=0.2` or `none` → all fields of `AugmentSpec`. Raises UsageError."""
    found: dict[str, Any] = {"flip": False, "crop": 0.0, "color": 0.0}
    if not isinstance(value, str):
        return {**found, **value}
    parts = [part.strip() for part in value.split(",")]
    for part in parts if parts != ["none"] else []:
        name, mark, amount = part.partition("=")
        try:
            if part == "flip":
                found["flip"] = True
            elif name in ("crop", "color") and mark:
                found[name] = float(amount)
            else:
                raise ValueError(part)
        except ValueError:
            raise UsageError(
                f"--augment takes flip, crop=SHARE and color=SHARE with commas between them, or "
                f"none; received {value!r}."
            ) from None
    return found


def augment_text(augment: Any) -> str:
    """What `read_augment` reads, of an `AugmentSpec`."""
    amounts = (("crop", augment.crop), ("color", augment.color))
    parts = ["flip"] * augment.flip + [f"{name}={amount:g}" for name, amount in amounts if amount]
    return ",".join(parts) or "none"
