"""Architectures and initializers by name: the built-in ones, and one's own. A function in a
notebook cell is enough, and its runs go through the same calls as all others.

    @registry.architecture(reads=["activation"])
    def wide_cnn(recipe):
        return [layers.Conv2D(64, 5, activation=recipe.activation), layers.Flatten()]

    Recipe(model="wide_cnn")

A run is stored under what the functions that it uses compute: once they, or what they use, are
edited, they train again.
"""

import importlib
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass

from .errors import RecipeError
from .identity import identity

DENSE = ("units", "activation", "dropout", "batch_norm", "l1", "l2", "l2_squared", "weight_decay")
READ_BY_SOME = (*DENSE, "width_multiplier")
"""Fields of a recipe that some architectures read and others do not."""
INITIALIZERS = (
    "glorot_uniform", "glorot_normal", "he_uniform", "he_normal", "torch", "normal_0.01",
)  # fmt: skip


@dataclass(frozen=True)
class Entry:
    """A registered function, and which of READ_BY_SOME it reads."""

    function: Callable
    reads: Collection[str] = READ_BY_SOME
    built_in: bool = False

    @property
    def code(self) -> str:
        """What identifies the function as it is now; "" if built in: the fingerprint does."""
        return "" if self.built_in else identity(self.function)


def _built_in(module: str, name: str, *reads: str) -> Entry:
    def function(recipe):  # Keras loads when something is built, not before
        return getattr(importlib.import_module(f".{module}", __package__), name)(recipe)

    return Entry(function, reads, built_in=True)


architectures: dict[str, Entry] = {
    "mlp": _built_in("models", "mlp", *DENSE),
    "simple_cnn": _built_in("cnns", "simple_cnn", "width_multiplier"),
    "dropout_cnn": _built_in("cnns", "dropout_cnn", "width_multiplier"),
    "deep_cnn": _built_in("cnns", "deep_cnn", "width_multiplier"),
    "vgg16": _built_in("cnns", "vgg16", "width_multiplier", "batch_norm"),
}
initializers: dict[str, Entry] = {
    name: Entry(lambda name=name: name, built_in=True) for name in INITIALIZERS
}


def architecture(function: Callable | None = None, *, reads: Collection[str] = READ_BY_SOME):
    """Register a function of a recipe that returns a list of Keras layers, under its own name, as a
    ``model``. They stand between the input, images (batch, 28, 28, 1), and the output layer.

    A recipe that sets one of READ_BY_SOME that ``reads`` does not name is refused. Raises
    RecipeError if a built-in model has the function's name.
    """
    if function is None:
        return lambda function: architecture(function, reads=reads)
    return _register(architectures, "model", function, reads)


def initializer(function: Callable) -> Callable:
    """Register a function without arguments that returns a Keras initializer, under its own name,
    as an ``initializer`` of kernels. Raises RecipeError if a built-in one has that name."""
    return _register(initializers, "initializer", function)


def _register(entries: dict, field: str, function: Callable, *reads) -> Callable:
    name = identity(function).rpartition("-")[0]  # refused here if it cannot be identified
    if name in entries and entries[name].built_in:
        raise RecipeError(f"{field} = {name!r}: is built in; give the function another name")
    entries[name] = Entry(function, *reads)
    return function


def unread(model: str) -> dict[str, str]:
    """The fields that a model does not read, each with a line that says which models do."""
    idle = [field for field in READ_BY_SOME if field not in architectures[model].reads]
    return {
        field: f"is for model = {_either(n for n, e in architectures.items() if field in e.reads)}"
        for field in idle
    }


def known_model(name: str) -> str:
    """Return the name of a model; raise ValueError if there is none of that name."""
    return _known(name, architectures)


def known_initializer(name: str) -> str:
    """Return the name of an initializer; raise ValueError if there is none of that name."""
    return _known(name, initializers)


def _known(name: str, entries: dict) -> str:
    if name not in entries:
        raise ValueError(f"must be {_either(entries)}")
    return name


def _either(names: Iterable[str]) -> str:
    *most, last = map(repr, names)
    return f"{', '.join(most)} or {last}" if most else last
