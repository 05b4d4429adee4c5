"""What makes two studies different, as far as studies alone say it: before any image is read."""

from typing import Any

from headtohead.config.study import StudySpec
from headtohead.core.errors import brief


def differences(before: StudySpec, now: StudySpec) -> list[str]:
    """What digests are made of and is not alike: `recipe.epochs (8, received 4)`.

    `now` may not know its images yet, and with them the epochs that its `min_steps` asks for.
    """
    parts = {
        "pictures": _pictures(before, now),
        "split": (before.split.identity(), now.split.identity()),
        "backbone": _backbones(before, now),
        "recipe": _recipes(before, now),
    }
    found = []
    for part, (first, second) in parts.items():
        if first != second:
            old = getattr(before, part).model_dump(mode="json")
            new = getattr(now, part).model_dump(mode="json")
            found += [
                _in_words(f"{part}.{name}", old.get(name), new.get(name))
                for name in sorted(old.keys() | new.keys())
                if old.get(name) != new.get(name) and (part != "pictures" or name in first)
            ] or [part]
    return found


def _in_words(name: str, old: Any, new: Any) -> str:
    if name == "backbone.architecture_sha256":
        was, now = (f"{value[:12]}…" if value else "not recorded" for value in (old, new))
        return f"the source or configuration of the backbone ({was}, received {now})"
    return f"{name} ({brief(str(old))}, received {brief(str(new))})"


def head_with_other_settings(before: StudySpec, now: StudySpec) -> str | None:
    """A head that both have by one name and not with the same settings."""
    shared = (name for name in now.heads if name in before.heads)
    return next((name for name in shared if before.heads[name] != now.heads[name]), None)


def _pictures(before: StudySpec, now: StudySpec) -> tuple[dict[str, Any], dict[str, Any]]:
    """Only size and filter are sure to change the images: a limit may be above their number."""
    first, second = before.pictures, now.pictures
    return (
        {"image_size": first.image_size, "resize": first.resize},
        {"image_size": second.image_size, "resize": second.resize},
    )


def _backbones(before: StudySpec, now: StudySpec) -> tuple[Any, Any]:
    """By what they are where both studies know their weights, else by what they are called."""
    try:
        return before.backbone.identity(), now.backbone.identity()
    except ValueError:
        return before.backbone.unresolved(), now.backbone.unresolved()


def _recipes(before: StudySpec, now: StudySpec) -> tuple[dict[str, Any], dict[str, Any]]:
    first, second = before.recipe, now.recipe
    open_number = first.min_steps is None and second.min_steps is not None
    if open_number and first.epochs >= second.epochs:
        second = second.model_copy(update={"epochs": first.epochs, "min_steps": None})
    return first.identity(), second.identity()
