"""How models were trained, in words: what two studies, or two heads of one, may differ in."""

from collections.abc import Iterator

from headtohead.config.recipe import MOMENTUM, RecipeSpec
from headtohead.config.study import StudySpec
from headtohead.core.text import names
from headtohead.report.page.setting import backbone_text, epochs_text, split_text
from headtohead.store.ledger import StudyFile

BATCH_NORM = {
    "recomputed": "statistics recomputed before each evaluation",
    "moving": "moving averages that training left, for evaluation",
    "frozen": "the backbone keeps the statistics it came with; any others are recomputed",
}
"""What evaluation normalises by, by `batch_norm`."""

WHERE_SET = ("gradient clipping", "class weights", "precision", "validation", "checkpointing")
"""Rows of a recipe that are left out where it has the default."""


def recipe_facts(file: StudyFile) -> tuple[tuple[str, str], ...]:
    """The backbone, the recipe and the split, each (title, text); then heads with their own."""
    study = file.study
    usual = recipe_rows(RecipeSpec())
    rows = recipe_rows(study.recipe) | {"epochs": epochs_text(study).split(" epoch")[0]}
    shown = [row for row in rows.items() if row[0] not in WHERE_SET or row[1] != usual[row[0]]]
    own = ((head, "; ".join(_own(study, head))) for head in study.heads)
    return (
        ("backbone", _backbone(study)),
        *shown,
        ("split", split_text(file)),
        *((head, text) for head, text in own if text),
    )


def recipe_rows(recipe: RecipeSpec) -> dict[str, str]:
    """Title → text of everything that a recipe says; the same titles for each."""
    rate = f"{recipe.learning_rate:g}"
    if recipe.backbone_learning_rate is not None:
        rate += f", of the backbone {recipe.backbone_learning_rate:g}"
    decay = f"{recipe.weight_decay:g}"
    if recipe.weight_decay and recipe.weight_decay_on == "weights":
        decay += ", not of biases and scales"
    limited = recipe.validation_pictures
    return {
        "optimiser": optimizer_text(recipe),
        "learning rate": rate,
        "schedule": _schedule(recipe),
        "weight decay": decay,
        "gradient clipping": f"to a norm of {recipe.clip_norm:g}" if recipe.clip_norm else "none",
        "batches": ", ".join(_batches(recipe)),
        "epochs": str(recipe.epochs),
        "batch norm": BATCH_NORM[recipe.batch_norm],
        "class weights": (
            f"{recipe.class_weights}, in the training loss alone"
            if recipe.class_weights
            else "none"
        ),
        "precision": f"training steps in {recipe.arithmetic}, evaluation in float32",
        "augmentation": _augmentation(recipe),
        "validation": f"{limited} images of the repeating split" if limited else "the whole split",
        "checkpointing": "activations of the backbone" if recipe.checkpointing else "none",
    }


def optimizer_text(recipe: RecipeSpec) -> str:
    """`Adam`, `AdamW` or `SGD with momentum 0.9`: what a recipe's steps are taken by."""
    if recipe.optimizer != "sgd":
        return "AdamW" if recipe.optimizer == "adamw" else "Adam"
    momentum = MOMENTUM if recipe.momentum is None else recipe.momentum
    return f"SGD with momentum {momentum:g}"


def recipe_text(study: StudySpec) -> str:
    """How heads were trained, in a line: `10 epochs, batches of 64, adam at 0.001, mirrored`."""
    recipe = study.recipe
    parts = [
        epochs_text(study),
        f"batches of {recipe.batch_size}",
        f"{recipe.optimizer or 'adam'} at {recipe.learning_rate:g}",
    ]
    parts += [recipe.schedule] if recipe.schedule else []
    parts += [f"warm-up {100 * recipe.warmup:g} %"] if recipe.warmup else []
    parts += [f"weight decay {recipe.weight_decay:g}"] if recipe.weight_decay else []
    parts += [f"gradients clipped at {recipe.clip_norm:g}"] if recipe.clip_norm else []
    parts += [f"class weights {recipe.class_weights}"] if recipe.class_weights else []
    parts += [recipe.precision] if recipe.precision else []
    change = recipe.augment
    parts += ["mirrored"] if change.flip else []
    parts += [f"crop {change.crop:g}"] if change.crop else []
    parts += [f"color {change.color:g}"] if change.color else []
    parts += [f"batch norm {recipe.batch_norm}"] if recipe.batch_norm != "recomputed" else []
    own = [head for head, spec in study.heads.items() if spec.recipe]
    parts += [f"{names(own)} otherwise"] if own else []
    return ", ".join(parts)


def _backbone(study: StudySpec) -> str:
    backbone = study.backbone
    told = [backbone_text(study), *(f"{key} {value}" for key, value in backbone.options.items())]
    told += ["with its class token"] if backbone.class_token else []
    told += ["its channels normalised before each head"] if backbone.norm else []
    return ", ".join(told)


def _schedule(recipe: RecipeSpec) -> str:
    shape = "half a cosine down to 0" if recipe.schedule == "cosine" else "constant"
    if not recipe.warmup:
        return shape
    return f"{shape}, after a linear warm-up over {100 * recipe.warmup:g} % of the steps"


def _batches(recipe: RecipeSpec) -> Iterator[str]:
    yield f"of {recipe.batch_size}"
    if recipe.steps_per_epoch:
        yield f"{recipe.steps_per_epoch} steps to an epoch"
    if recipe.shuffle_buffer:
        yield f"a shuffle buffer of {recipe.shuffle_buffer} over the stored order"


def _augmentation(recipe: RecipeSpec) -> str:
    change = recipe.augment
    found = ["mirrored"] if change.flip else []
    found += [f"crop {change.crop:g}"] if change.crop else []
    found += [f"colour {change.color:g}"] if change.color else []
    return ", ".join(found) or "none"


def _own(study: StudySpec, name: str) -> Iterator[str]:
    """What a head has that the study's others have not."""
    head = study.heads[name]
    if head.head is not None and head.head != name:
        yield f"the head {head.head}"
    if head.after:
        yield f"starts from the backbone that {head.after} left, not from its own"
    for key, value in head.options.items():
        yield f"{key} {value}"
    usual = recipe_rows(study.recipe)
    for title, text in recipe_rows(study.recipe_for(name)).items():
        if text != usual[title]:
            yield f"{title} {text}"
