"""How a model is trained, as data: a part of a study."""

import math
from typing import Annotated, Any, Literal, Self, TypeAlias

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator

BatchNormStatistics: TypeAlias = Literal["recomputed", "moving", "frozen"]
"""What evaluation normalises by: see `headtohead.training.batch_norm`."""

Schedule: TypeAlias = Literal["constant", "cosine"]
"""How the learning rate changes over a run: see `headtohead.training.schedule`."""

OptimizerName: TypeAlias = Literal["adam", "adamw", "sgd"]
"""How weights are moved by gradients: see `headtohead.training.optimizer`."""

Decayed: TypeAlias = Literal["all", "weights"]
"""What weight decay acts on: see `headtohead.training.optimizer`."""

ClassWeights: TypeAlias = Literal["none", "balanced"]
"""How much each class counts in the training loss: see `headtohead.training.class_weights`."""

Precision: TypeAlias = Literal["float32", "tf32", "bf16"]
"""What a training step's large sums are computed in: see `headtohead.training.step`."""


class Spec(BaseModel):
    """Base of all parts: immutable, and an unknown field is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class AugmentSpec(Spec):
    """Random changes to training images; all off by default, as in the article.

    `flip`: mirrored left to right, half of the time. `crop`: a window whose side is drawn
    between 1 - crop and 1 of the image's, resized back. `color`: brightness, contrast and
    saturation each scaled by a factor between 1 - color and 1 + color.
    """

    flip: bool = False
    crop: Annotated[float, Field(ge=0, lt=1)] = 0.0
    color: Annotated[float, Field(ge=0, lt=1)] = 0.0


MOMENTUM = 0.9
"""That of `sgd` where the recipe names none."""

_DEFAULTS = ("float32", "constant", "adam", "all", "none")


def _none_for_the_default(value: str | None) -> str | None:
    """Digests leave out what is None: the default, named or not, is one study."""
    return None if value in _DEFAULTS else value


def _none_for_false(value: Any) -> Any:
    return None if value is False else value


def _none_for_one(steps: int | None) -> int | None:
    """One step is what any run has: no least number at all."""
    return None if steps == 1 else steps


class RecipeSpec(Spec):
    """How a model is trained: Adam with the constants of Keras, the article's defaults.

    An epoch is one pass over the training split in an order drawn anew, and one over validation.
    `min_steps`: as many epochs more as give a run at least so many steps, on a small folder; a
    study's folder records the epochs that this comes to.
    The next three repeat what other programs did; None, the default, is whole passes in an order
    drawn anew, and the whole validation split.
    `steps_per_epoch`: so many batches are an epoch, and the next one begins where it stopped.
    `shuffle_buffer`: images are drawn from a window of so many that moves over the stored order
    (by a hash of their names), as `tf.data.Dataset.shuffle` does. `validation_pictures`: so many
    are taken from validation in stored order, over and over: the first count more often.
    `precision`: that of training steps, float32 unless `tf32` or `bf16` is named; evaluation is
    always in float32.
    `schedule`: `constant`, or `cosine`, which falls to 0 at the end of the run; either after
    `warmup`, the share of all steps in which the learning rate rises linearly to its value.
    `batch_norm`: `recomputed`, statistics of the training images by the weights as they stand,
    before each evaluation; `moving`, the averages that training left, as Keras evaluates; or
    `frozen`, where the backbone's own keep the statistics that it came with, in training too, and
    any others are recomputed.
    The rest is mostly for pretrained backbones; None is the default that stands with each.
    `optimizer`: `adam` as Keras computes it, the default; `adamw` and `sgd` as PyTorch does, sgd
    with `momentum`, 0.9 unless it is named. `backbone_learning_rate`: that of the backbone alone,
    by default `learning_rate`.
    `weight_decay_on`: `all` parameters, the default, or `weights`, which leaves out biases, scales
    of norms and all others of one axis. `clip_norm`: gradients of a step are scaled down to this
    norm at most; by default they are not.
    `checkpointing`: the backbone computes its activations again in the backward pass, which takes
    less memory and more time; off by default.
    `class_weights`: `none`, the default, or `balanced`, which weighs each training image's loss by
    n / (K · n_k), of n training images, K classes and n_k images of its class; evaluation losses
    stay unweighted. Heads that are computed, not trained, have no training loss: nothing changes
    for them.
    """

    epochs: Annotated[int, Field(ge=1, le=100_000)] = 10
    min_steps: Annotated[Annotated[int, Field(ge=1)] | None, AfterValidator(_none_for_one)] = None
    batch_size: Annotated[int, Field(ge=1, le=65_536)] = 64
    learning_rate: Annotated[float, Field(gt=0)] = 1e-3
    weight_decay: Annotated[float, Field(ge=0)] = 0.0
    augment: AugmentSpec = AugmentSpec()
    steps_per_epoch: Annotated[int, Field(ge=1)] | None = None
    shuffle_buffer: Annotated[int, Field(ge=1)] | None = None
    validation_pictures: Annotated[int, Field(ge=1)] | None = None
    precision: Annotated[Precision | None, AfterValidator(_none_for_the_default)] = None
    schedule: Annotated[Schedule | None, AfterValidator(_none_for_the_default)] = None
    warmup: Annotated[float, Field(ge=0, lt=1)] | None = None
    batch_norm: BatchNormStatistics = "recomputed"
    optimizer: Annotated[OptimizerName | None, AfterValidator(_none_for_the_default)] = None
    momentum: Annotated[float, Field(ge=0, lt=1)] | None = None
    backbone_learning_rate: Annotated[float, Field(gt=0)] | None = None
    weight_decay_on: Annotated[Decayed | None, AfterValidator(_none_for_the_default)] = None
    clip_norm: Annotated[float, Field(gt=0)] | None = None
    checkpointing: Annotated[Literal[True] | None, BeforeValidator(_none_for_false)] = None
    class_weights: Annotated[ClassWeights | None, AfterValidator(_none_for_the_default)] = None

    @model_validator(mode="after")
    def _momentum_is_of_sgd(self) -> Self:
        if self.momentum is not None and self.optimizer != "sgd":
            raise ValueError(
                f"momentum is of optimizer: sgd alone; received {self.momentum:g} for "
                f"{self.optimizer or 'adam'}"
            )
        return self

    def batch(self, pictures: int) -> int:
        """Images in each step, of so many to train on."""
        return min(self.batch_size, pictures)

    def steps(self, pictures: int) -> int:
        """Steps in an epoch: full batches only."""
        return self.steps_per_epoch or pictures // self.batch(pictures)

    def for_images(self, train: int) -> Self:
        """The recipe for `train` training images: with as many epochs as `min_steps` asks for."""
        if self.min_steps is None:
            return self
        epochs = max(self.epochs, math.ceil(self.min_steps / self.steps(train)))
        return self.model_copy(update={"epochs": epochs, "min_steps": None})

    def identity(self) -> dict[str, Any]:
        """What digests and run keys hold of the recipe.

        `moving` is left out: it is what every run before version 0.2 was evaluated with, and a
        study that asks for it is the same study.
        """
        content = self.model_dump(exclude_none=True)
        if self.batch_norm == "moving":
            del content["batch_norm"]
        return content

    @property
    def arithmetic(self) -> Precision:
        """The precision by its name."""
        return self.precision or "float32"

    @property
    def stored_order(self) -> bool:
        """Whether it matters in which order the images are stored."""
        return self.shuffle_buffer is not None or self.validation_pictures is not None
