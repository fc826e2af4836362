"""A recipe: one condition of the study, complete, validated and immutable. Everything that a run
depends on, except its seed, is a field of :class:`Recipe`."""

import itertools
from collections.abc import Iterator
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from . import registry
from .checks import Count, Name, NotNegative, Positive, Rate, Widths, distinct, explain
from .errors import RecipeError
from .fingerprint import digest

TRAIN_IMAGES, TEST_IMAGES = 60_000, 10_000

MAX_WEIGHTS, MAX_UPDATES = 10**8, 10**8
"""The most that a run may cost: 400 MB of weights, and updates that take days at the fastest."""

ALWAYS_IN_KEY = {
    "task", "validation", "val_size", "train_size", "test_size", "scale", "column",
    "permuted_pixels", "label_noise", "model", "units", "activation", "framework_defaults",
    "dropout", "batch_norm", "initializer", "width_multiplier", "precision", "optimizer",
    "learning_rate", "momentum", "beta_1", "l1", "l2", "l2_squared", "penalty", "weight_decay",
    "lr_step_size", "patience", "min_delta", "batch_size", "epochs", "steps_per_epoch",
}  # fmt: skip
"""The fields that are part of the key even at their defaults, as they were for the first stored
runs. A newer field is part of the key only where it differs from its default, so that all keys stay
as they are."""


class Recipe(BaseModel):
    """One condition. The defaults are the Keras study's baseline. Raises RecipeError, in one line,
    for a field that is unknown, out of range, or at odds with the others.

    ``name`` is a label for tables and figures and no part of the condition: recipes that differ in
    name alone share their stored runs.
    """

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid")

    name: Name = ""

    # data
    task: Literal["classify", "inpaint"] = "classify"
    validation: Literal["last", "random", "test", "none"] = "last"
    """last: the last images, as Keras' validation_split; random: drawn by the seed; test: the test
    set serves as validation, as in reports that selected on it."""
    val_size: Count = 6_000
    train_size: Count | None = None
    """Use the first so many training images only (None: all that validation leaves)."""
    test_size: Annotated[int, Field(ge=1, le=TEST_IMAGES)] = TEST_IMAGES
    scale: Literal["unit", "symmetric", "standard", "mnist"] = "unit"
    """[0, 1]; [-1, 1]; by the training images' mean and SD; or by MNIST's, .1307 and .3081."""
    column: Annotated[int, Field(ge=0, le=27)] = 14
    """The hidden column of the inpaint task; 28 is even, so 13 and 14 are both central."""
    permuted_pixels: bool = False
    """Shuffle the pixels: in one order for all images and seeds."""
    label_noise: Rate = 0.0
    """Share of the training labels, held-out ones included, that name a wrong class: the same ones
    for all seeds. Test labels stay right."""

    # model
    model: str = "mlp"
    """mlp, simple_cnn, dropout_cnn, deep_cnn, vgg16, or a registered architecture."""
    units: Widths = (32,)
    activation: Literal["sigmoid", "relu", "leaky_relu"] = "sigmoid"
    framework_defaults: Literal["keras", "torch"] = "keras"
    """Whose defaults hold for the optimizer's other constants, batch normalization's momentum and
    epsilon, and LeakyReLU's slope."""
    dropout: Rate = 0.0
    """MLP: rate after each hidden activation. The CNNs carry their own rates."""
    batch_norm: Literal["none", "before", "after", "input"] = "none"
    """MLP: before or after each hidden activation, or on the network's input alone. VGG-16: before
    and after both mean before the activation."""
    initializer: str = "glorot_uniform"
    """glorot_ or he_, uniform or normal; torch; normal_0.01; or a registered one."""
    width_multiplier: Annotated[float, Field(gt=0, le=4)] = 1.0
    """CNN: factor on every number of filters and dense units."""
    precision: Literal["float32", "bfloat16"] = "float32"
    """bfloat16: mixed precision, bfloat16 arithmetic on float32 weights."""

    # optimization
    optimizer: Literal["sgd", "adam", "nadam", "rmsprop", "adadelta"] = "sgd"
    learning_rate: Positive = 0.01
    momentum: Rate = 0.0
    beta_1: Rate | None = None
    """Adam's decay of its mean gradient (None: 0.9; 0: no momentum)."""
    l1: NotNegative = 0.0
    """Added to the loss: l1 · Σ|w|, summed over the weights that ``penalty`` names."""
    l2: NotNegative = 0.0
    """Added to the loss: l2 · Σw² (Keras' convention, no ½)."""
    l2_squared: bool = True
    """False: the norm itself, l2 · ‖w‖, one term for each kernel and bias."""
    penalty: Literal["kernels", "all", "first"] = "kernels"
    """What l1 and l2 act on: all kernels; kernels and biases; the first layer's kernel."""
    weight_decay: NotNegative = 0.0
    """PyTorch's coupled decay: adds weight_decay · w to the gradient of every parameter."""
    lr_step_size: Count | None = None
    """Multiply the learning rate by 0.1 after every so many epochs."""
    patience: Count | None = None
    """Stop after so many epochs in a row whose validation loss is not more than ``min_delta`` below
    the best so far (None: train all epochs)."""
    min_delta: NotNegative = 0.0
    batch_size: Count = 128
    epochs: Count = 50
    steps_per_epoch: Count | None = None
    """Weight updates that count as an epoch (None: one pass over the training images)."""

    @field_validator("model", "initializer")
    @classmethod
    def _check_registered(cls, name: str, info) -> str:
        entries = registry.architectures if info.field_name == "model" else registry.initializers
        if name not in entries:
            raise ValueError(f"must be {registry.either(entries)}")
        return name

    @model_validator(mode="after")
    def _check_together(self) -> "Recipe":
        for field, wrong, why in [*self._impossible(), *self._idle()]:
            if wrong:
                raise ValueError(f"{field} = {getattr(self, field)!r}: {why}")
        return self

    def _impossible(self) -> list[tuple[str, bool, str]]:
        """Fields; whether the others rule out their value, or it costs too much; and why."""
        left, images, cnn = self._available, self.train_images, self.convolutional
        momentum, beta_1 = self.momentum, self.beta_1 is not None
        blind = self.patience and self.validation == "none"
        on_input = self.model == "vgg16" and self.batch_norm == "input"
        at_most = f"must be at most the {images} training images"
        weights = sum(a * b for a, b in itertools.pairwise([784, *self.units, 28]))
        updates = self.epochs * self.steps
        too_long = f"makes {updates:,} weight updates; at most {MAX_UPDATES:,}"
        return [
            ("val_size", left < 1, f"must leave training images of {TRAIN_IMAGES}"),
            ("train_size", images > left, f"only {left} images are left for training"),
            ("batch_size", self.batch_size > images, at_most),
            ("momentum", momentum and self.optimizer != "sgd", "only optimizer = 'sgd' takes one"),
            ("beta_1", beta_1 and self.optimizer != "adam", "only optimizer = 'adam' takes one"),
            ("patience", blind, "needs validation other than 'none'"),
            ("batch_norm", on_input, "is for model = 'mlp'"),
            ("initializer", cnn and self.initializer == "torch", "is for model = 'mlp'"),
            ("model", cnn and self.task == "inpaint", "the inpaint task is for 'mlp'"),
            ("units", weights > MAX_WEIGHTS, f"makes {weights:,} weights; at most {MAX_WEIGHTS:,}"),
            ("epochs", updates > MAX_UPDATES, too_long),
        ]

    def _idle(self) -> Iterator[tuple[str, bool, str]]:
        """The fields that have no effect here; whether they differ from their default all the same,
        which would give one run several recipes; and why."""
        idle = registry.unread(self.model)
        if self.task == "classify":
            idle["column"] = "is for task = 'inpaint'"
        else:
            idle |= dict.fromkeys(("permuted_pixels", "label_noise"), "is for task = 'classify'")
        if not self.patience:
            idle["min_delta"] = "needs patience"
        for field, why in idle.items():
            yield field, getattr(self, field) != type(self).model_fields[field].default, why

    def __init__(self, **fields: Any) -> None:
        try:
            super().__init__(**fields)
        except ValidationError as error:
            raise RecipeError(explain(error, list(type(self).model_fields))) from None

    def replace(self, **changes: Any) -> "Recipe":
        """A validated copy with some fields changed."""
        return type(self)(**{**self.model_dump(), **changes})

    def grid(self, **choices: list) -> list["Recipe"]:
        """One recipe for each combination of the listed values; the last name varies fastest.
        Raises RecipeError for an empty list, something else than a list, or a bad value."""
        for name, values in choices.items():
            if not isinstance(values, list | tuple) or not values:
                raise RecipeError(f"{name} = {values!r}: must be a list of at least one value")
            distinct(name, values)
        combinations = itertools.product(*choices.values())
        return [self.replace(**dict(zip(choices, values, strict=True))) for values in combinations]

    @property
    def convolutional(self) -> bool:
        """Whether the model takes images rather than flat vectors."""
        return self.model != "mlp"

    @property
    def train_images(self) -> int:
        """The number of training images."""
        return self.train_size or self._available

    @property
    def _available(self) -> int:
        """The number of images that validation leaves for training."""
        return TRAIN_IMAGES - (self.val_size if self.validation in {"last", "random"} else 0)

    @property
    def _steps_of_a_pass(self) -> int:
        """Batches of one pass over the training images; the last one may be smaller."""
        return -(-self.train_images // self.batch_size)

    @property
    def steps(self) -> int:
        """Weight updates per epoch."""
        return self.steps_per_epoch or self._steps_of_a_pass

    @property
    def key(self) -> str:
        """Twelve hex digits that identify the condition: all fields but ``name``, what follows
        from them, and the code of registered functions. Recipes that say the same in different
        ways have the same key."""
        fields = self.model_dump(mode="json", exclude={"name"}) | self._plain()
        defaults = type(self)().model_dump(mode="json")
        fields = {k: v for k, v in fields.items() if k in ALWAYS_IN_KEY or v != defaults[k]}
        derived = [self.train_images, self.steps, self.convolutional]
        used = registry.architectures[self.model], registry.initializers[self.initializer]
        derived += [entry.code for entry in used if entry.code]
        return digest([fields, derived])

    def _plain(self) -> dict[str, Any]:
        """The fields whose value has the same effect as the default, with the default."""
        same = {
            "penalty": not (self.l1 or self.l2),
            "l2_squared": not self.l2,
            "beta_1": self.beta_1 == 0.9,
            "val_size": self.validation in {"test", "none"},
            "train_size": self.train_size == self._available,
            "steps_per_epoch": self.steps_per_epoch == self._steps_of_a_pass,
            "lr_step_size": (self.lr_step_size or 0) >= self.epochs,
            **dict.fromkeys(("activation", "dropout"), not self.units),
            "batch_norm": not self.units and self.batch_norm != "input",
        }
        plain = {name: type(self).model_fields[name].default for name in same if same[name]}
        if self.model == "vgg16" and self.batch_norm == "after":
            plain["batch_norm"] = "before"
        return plain
