"""A recipe: one condition of the study, complete, validated and immutable.

Everything a run depends on, except its seed, is a field of :class:`Recipe`. A bad field fails when
the recipe is made, in one line, long before anything trains.
"""

import hashlib
import itertools
import json
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    model_validator,
)  # fmt: skip

from . import registry
from .checks import Count, Name, NotNegative, Positive, Rate, Widths, distinct, explain
from .errors import RecipeError

TRAIN_IMAGES, TEST_IMAGES = 60_000, 10_000

MOST_WEIGHTS, MOST_UPDATES = 10**8, 10**8
"""What a run may cost at most: 400 MB of weights; at the fastest some days of updates."""


class Recipe(BaseModel):
    """One condition. Defaults are the Keras study's baseline except where a field says otherwise.

    ``name`` is a label for tables and figures and no part of the condition: two recipes that differ
    in name alone are the same recipe and share their stored runs.
    """

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid")

    name: Name = ""

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
    permuted_pixels: bool = False
    """Shuffle the pixels: in one order for all images and seeds."""
    label_noise: Rate = 0.0
    """Share of the training labels, held-out ones among them, that name another class: the same
    ones for all seeds. Test labels stay right."""

    # model
    model: Annotated[str, AfterValidator(registry.known_model)] = "mlp"
    """mlp, simple_cnn, dropout_cnn, deep_cnn, vgg16, or a registered architecture."""
    units: Widths = (32,)
    activation: Literal["sigmoid", "relu", "leaky_relu"] = "sigmoid"
    framework_defaults: Literal["keras", "torch"] = "keras"
    """Whose defaults hold for what no other field names: the optimizer's constants, batch
    normalization's momentum and epsilon, LeakyReLU's slope."""
    dropout: Rate = 0.0
    """MLP: rate after each hidden activation. The CNNs carry their own rates."""
    batch_norm: Literal["none", "before", "after", "input"] = "none"
    """MLP: before or after each hidden activation, or of the network's input alone. VGG-16: before
    or after, which both mean before."""
    initializer: Annotated[str, AfterValidator(registry.known_initializer)] = "glorot_uniform"
    """glorot_ or he_, uniform or normal; torch; normal_0.01; or a registered one."""
    width_multiplier: Annotated[float, Field(gt=0, le=4)] = 1.0
    """CNN: factor on every number of filters and dense units."""
    precision: Literal["float32", "bfloat16"] = "float32"
    """bfloat16: mixed, i.e. bfloat16 arithmetic on float32 weights."""

    # optimization
    optimizer: Literal["sgd", "adam", "nadam", "rmsprop", "adadelta"] = "sgd"
    learning_rate: Positive = 0.01
    momentum: Rate = 0.0
    beta_1: Rate | None = None
    """Adam's decay of its mean gradient (None: its default, 0.9; 0: no mean, so no momentum)."""
    l1: NotNegative = 0.0
    """Added to the loss: l1 · Σ|w|, summed over the weights that ``penalty`` names."""
    l2: NotNegative = 0.0
    """Added to the loss: l2 · Σw² (Keras' convention, no ½)."""
    l2_squared: bool = True
    """False: the norm itself, l2 · ‖w‖, a term for each kernel and bias that it acts on."""
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
        if self._available < 1:
            raise ValueError(f"val_size = {self.val_size}: must leave training images of 60000")
        if self.train_size and self.train_size > self._available:
            raise ValueError(
                f"train_size = {self.train_size}: only {self._available} images are left for "
                "training"
            )
        if self.batch_size > self.train_images:
            raise ValueError(
                f"batch_size = {self.batch_size}: must be at most the {self.train_images} "
                "training images"
            )
        if self.momentum and self.optimizer != "sgd":
            raise ValueError(f"momentum = {self.momentum}: only optimizer = 'sgd' takes one")
        if self.beta_1 is not None and self.optimizer != "adam":
            raise ValueError(f"beta_1 = {self.beta_1}: only optimizer = 'adam' takes one")
        registered = self.model in registry.architectures
        if self.convolutional and not registered and self.batch_norm == "input":
            raise ValueError("batch_norm = 'input': is for model = 'mlp'")
        if self.patience and self.validation == "none":
            raise ValueError(f"patience = {self.patience}: needs validation other than 'none'")
        if self.convolutional and self.initializer == "torch":
            raise ValueError("initializer = 'torch': is for model = 'mlp'")
        if self.task == "inpaint" and self.model != "mlp":
            raise ValueError(f"model = {self.model!r}: the inpaint task is for 'mlp'")
        for field, why in self._idle().items():
            if getattr(self, field) != type(self).model_fields[field].default:
                raise ValueError(f"{field} = {getattr(self, field)!r}: {why}")
        self._check_cost()
        return self

    def _idle(self) -> dict[str, str]:
        """Fields that would do nothing here, and why: a run has one recipe, not several."""
        for_cnn, for_mlp = "is for the CNNs", "is for model = 'mlp'"
        if self.model in registry.architectures:
            idle = {}  # only its function knows
        elif self.convolutional:
            mlp_only = ("units", "activation", "dropout", "l1", "l2", "l2_squared", "weight_decay")
            idle = dict.fromkeys(mlp_only, for_mlp)
            if self.model != "vgg16":
                idle["batch_norm"] = "is for 'mlp' and 'vgg16'"
        else:
            idle = {"width_multiplier": for_cnn}
        if self.task == "classify":
            idle["column"] = "is for task = 'inpaint'"
        else:
            idle |= dict.fromkeys(("permuted_pixels", "label_noise"), "is for task = 'classify'")
        if not self.patience:
            idle["min_delta"] = "needs patience"
        return idle

    def _check_cost(self) -> None:
        sizes = [784, *self.units, 28]
        weights = sum(a * b for a, b in itertools.pairwise(sizes))
        if weights > MOST_WEIGHTS:
            raise ValueError(
                f"units = {self.units!r}: makes {weights:,} weights; at most {MOST_WEIGHTS:,}"
            )
        if (updates := self.epochs * self.steps) > MOST_UPDATES:
            raise ValueError(
                f"epochs = {self.epochs}: makes {updates:,} weight updates; at most "
                f"{MOST_UPDATES:,}"
            )

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
            distinct(name, values)
        combinations = itertools.product(*choices.values())
        return [self.but(**dict(zip(choices, values, strict=True))) for values in combinations]

    @property
    def train_images(self) -> int:
        """How many images one epoch trains on."""
        return self.train_size or self._available

    @property
    def _available(self) -> int:
        """How many images validation leaves for training."""
        return TRAIN_IMAGES - (self.val_size if self.validation in {"last", "random"} else 0)

    @property
    def _steps_of_a_pass(self) -> int:
        return -(-self.train_images // self.batch_size)

    @property
    def steps(self) -> int:
        """Weight updates per epoch; the last batch of a pass over the images may be smaller."""
        return self.steps_per_epoch or self._steps_of_a_pass

    @property
    def key(self) -> str:
        """Twelve hex digits that identify the condition: all fields but ``name``, what follows
        from them here, and the code of registered functions. Two recipes that say the same in two
        ways have one key."""
        fields = self.model_dump(mode="json", exclude={"name"}) | self._plain()
        derived = [self.train_images, self.steps, self.convolutional]
        registered = [
            registry.architectures.get(self.model), registry.initializers.get(self.initializer)
        ]  # fmt: skip
        derived += [entry.code for entry in registered if entry]
        text = json.dumps([fields, derived], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:12]

    def _plain(self) -> dict[str, Any]:
        """Fields whose value says no more than the default, with the default."""
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

    @property
    def convolutional(self) -> bool:
        """Whether the model needs images rather than flat vectors."""
        return self.model != "mlp"
