"""A recipe: one condition of the study, complete, validated and immutable.

Everything a run depends on, except its seed, is a field of :class:`Recipe`. A bad field fails when
the recipe is made, in one line, long before anything trains.
"""

import difflib
import hashlib
import itertools
import json
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    TypeAdapter,
    ValidationError,
    model_validator,
)

from .errors import RecipeError

TRAIN_IMAGES, TEST_IMAGES = 60_000, 10_000

Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
NotNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Rate = Annotated[float, Field(ge=0, lt=1)]
Count = Annotated[int, Field(ge=1)]
Widths = Annotated[tuple[Count, ...], BeforeValidator(lambda v: tuple(v) if type(v) is list else v)]
Seeds = Annotated[list[Annotated[int, Field(ge=0, lt=2**31)]], Field(min_length=1)]


def explain(error: ValidationError, allowed: list[str]) -> str:
    """One line for the first problem that pydantic found."""
    problem = error.errors()[0]
    name, value = ".".join(map(str, problem["loc"])), problem["input"]
    if problem["type"] == "extra_forbidden":
        close = difflib.get_close_matches(name, allowed, n=1)
        hint = f"did you mean {close[0]}?" if close else "known names: " + ", ".join(allowed)
        return f"{name} = {value!r}: no parameter has this name; {hint}"
    if problem["type"] == "value_error":  # raised by our own cross-field check, already complete
        return str(problem["ctx"]["error"])
    text = (
        problem["msg"]
        .replace("Input should be", "must be")
        .replace("a valid integer", "an integer")
        .replace("a valid", "a")
    )
    if isinstance(value, str) and problem["type"] in {"float_type", "int_type"}:
        text += " (this is a string; YAML reads 1e-3 as text: write 0.001 or 1.0e-3)"
    return f"{name} = {value!r}: {text}"


def check(kind: Any, name: str, value: Any) -> Any:
    """Return ``value`` if it is of the annotated type ``kind``; if not, raise a RecipeError."""
    try:
        return TypeAdapter(kind, config=ConfigDict(strict=True)).validate_python(value)
    except ValidationError as error:
        line = explain(error, [])
        place = f"{name}[{line.partition(' = ')[0]}]" if error.errors()[0]["loc"] else name
        raise RecipeError(f"{place} = {line.partition(' = ')[2]}") from None


def check_seeds(seeds: list[int]) -> list[int]:
    """Return the seeds; raise RecipeError unless they are distinct integers, at least one."""
    seeds = check(Seeds, "seeds", list(seeds) if isinstance(seeds, tuple | range) else seeds)
    if len(set(seeds)) < len(seeds):
        raise RecipeError(f"seeds = {seeds!r}: each seed may stand there once")
    return seeds


class Recipe(BaseModel):
    """One condition. Defaults are the Keras study's baseline except where a field says otherwise.

    ``name`` is a label for tables and figures and no part of the condition: two recipes that differ
    in name alone are the same recipe and share their stored runs.
    """

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid")

    name: str = ""

    # data
    task: Literal["classify", "inpaint"] = "classify"
    validation: Literal["last", "random", "test", "none"] = "last"
    """last: the last images, as Keras' validation_split; random: drawn by the seed; none; or test:
    the *test* set serves as validation, the named variant for reports that selected on it."""
    val_size: Count = 6_000
    train_size: Count | None = None
    """Use the first so many training images only (None: all that validation leaves)."""
    test_size: Annotated[int, Field(ge=1, le=TEST_IMAGES)] = TEST_IMAGES
    scale: Literal["unit", "symmetric", "standard"] = "unit"
    column: Annotated[int, Field(ge=0, le=27)] = 14
    """The hidden column of the inpaint task; 28 is even, so 13 and 14 are both central."""

    # model
    model: Literal["mlp", "simple_cnn", "dropout_cnn", "deep_cnn", "vgg16"] = "mlp"
    units: Widths = (32,)
    activation: Literal["sigmoid", "relu", "leaky_relu"] = "sigmoid"
    framework_defaults: Literal["keras", "torch"] = "keras"
    """Whose defaults hold for what no other field names: the optimizer's constants, batch
    normalization's momentum and epsilon, LeakyReLU's slope."""
    dropout: Rate = 0.0
    """MLP: rate after each hidden activation. The CNNs carry their own rates."""
    batch_norm: Literal["none", "before", "after"] = "none"
    """MLP: before or after each hidden activation. VGG-16: anything but none means before."""
    initializer: Literal[
        "glorot_uniform", "glorot_normal", "he_uniform", "he_normal", "torch", "normal_0.01"
    ] = "glorot_uniform"
    width_multiplier: Annotated[float, Field(gt=0, le=4)] = 1.0
    """CNN: factor on every number of filters and dense units."""
    precision: Literal["float32", "bfloat16"] = "float32"
    """bfloat16: mixed, i.e. bfloat16 arithmetic on float32 weights."""

    # optimization
    optimizer: Literal["sgd", "adam", "nadam", "rmsprop", "adadelta"] = "sgd"
    learning_rate: Positive = 0.01
    momentum: Rate = 0.0
    l1: NotNegative = 0.0
    """Added to the loss: l1 · Σ|w|, summed over the weights that ``penalty`` names."""
    l2: NotNegative = 0.0
    """Added to the loss: l2 · Σw² (Keras' convention, no ½)."""
    penalty: Literal["kernels", "all", "first"] = "kernels"
    """What l1 and l2 act on: all kernels; kernels and biases; the first layer's kernel."""
    weight_decay: NotNegative = 0.0
    """PyTorch's coupled decay: adds weight_decay · w to the gradient of every parameter."""
    lr_step_size: Count | None = None
    """Multiply the learning rate by a tenth after every so many epochs."""
    patience: Count | None = None
    """Stop after so many epochs in a row whose validation loss did not fall by more than
    ``min_delta`` below the best so far (None: train all epochs)."""
    min_delta: NotNegative = 0.0
    batch_size: Count = 128
    epochs: Count = 50
    steps_per_epoch: Count | None = None
    """Weight updates that count as an epoch (None: one pass over the training images)."""

    @model_validator(mode="after")
    def _check_together(self) -> "Recipe":
        available = TRAIN_IMAGES - (self.val_size if self.validation in {"last", "random"} else 0)
        if available < 1:
            raise ValueError(f"val_size = {self.val_size}: must leave training images of 60000")
        if self.train_size and self.train_size > available:
            raise ValueError(
                f"train_size = {self.train_size}: only {available} images are left for training"
            )
        if self.batch_size > self.train_images:
            raise ValueError(
                f"batch_size = {self.batch_size}: must be at most the {self.train_images} "
                "training images"
            )
        if self.momentum and self.optimizer != "sgd":
            raise ValueError(f"momentum = {self.momentum}: only optimizer = 'sgd' takes one")
        if self.patience and self.validation == "none":
            raise ValueError(f"patience = {self.patience}: needs validation other than 'none'")
        if self.convolutional and (self.l1 or self.l2 or self.weight_decay or self.dropout):
            raise ValueError(
                f"model = {self.model!r}: l1, l2, weight_decay and dropout are for 'mlp'"
            )
        if self.convolutional and self.initializer == "torch":
            raise ValueError("initializer = 'torch': is for model = 'mlp'")
        if self.task == "inpaint" and self.model != "mlp":
            raise ValueError(f"model = {self.model!r}: the inpaint task is for 'mlp'")
        return self

    def __init__(self, **fields: Any) -> None:
        try:
            super().__init__(**fields)
        except ValidationError as error:
            raise RecipeError(explain(error, list(type(self).model_fields))) from None

    def but(self, **changes: Any) -> "Recipe":
        """A validated copy with some fields changed."""
        return Recipe(**{**self.model_dump(), **changes})

    def grid(self, **choices: list) -> list["Recipe"]:
        """One recipe for each combination of the listed values, the last name varying fastest.

        Raises RecipeError when a list is empty or not a list, or when a value is not allowed.
        """
        for name, values in choices.items():
            if not isinstance(values, list | tuple) or not values:
                raise RecipeError(f"{name} = {values!r}: must be a list of at least one value")
        combinations = itertools.product(*choices.values())
        return [self.but(**dict(zip(choices, values, strict=True))) for values in combinations]

    @property
    def train_images(self) -> int:
        """How many images one epoch trains on."""
        held_out = self.val_size if self.validation in {"last", "random"} else 0
        return self.train_size or TRAIN_IMAGES - held_out

    @property
    def steps(self) -> int:
        """Weight updates per epoch; the last batch of a pass over the images may be smaller."""
        return self.steps_per_epoch or -(-self.train_images // self.batch_size)

    @property
    def key(self) -> str:
        """Twelve hex digits that identify the condition: all fields but ``name``, and what follows
        from them here."""
        fields = self.model_dump(mode="json", exclude={"name"})
        derived = [self.train_images, self.steps, self.convolutional]
        text = json.dumps([fields, derived], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:12]

    @property
    def convolutional(self) -> bool:
        """Whether the model needs images rather than flat vectors."""
        return self.model != "mlp"
