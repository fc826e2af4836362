"""Architectures and initializers by name: the built-in ones, and the user's own. A run is stored
under the code of the functions that it uses: after an edit to them, or to anything that they use,
it trains again.
"""

import importlib
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass

from .errors import RecipeError
from .identity import identity, name_of

DENSE = ("units", "activation", "dropout", "batch_norm", "l1", "l2", "l2_squared", "weight_decay")
READ_BY_SOME = (*DENSE, "width_multiplier")
"""Fields of a recipe that some architectures read and others do not."""
INITIALIZERS = (
    "glorot_uniform", "glorot_normal", "he_uniform", "he_normal", "torch", "normal_0.01",
)  # fmt: skip


@dataclass(frozen=True)
class Entry:
    """A registered function, and the fields of READ_BY_SOME that it reads."""

    function: Callable
    reads: Collection[str] = READ_BY_SOME
    built_in: bool = False

    @property
    def code(self) -> str:
        """The identity of the function's code; "" if built in, as the fingerprint covers it."""
        return "" if self.built_in else identity(self.function)


def _built_in(module: str, name: str, *reads: str) -> Entry:
    def function(recipe):  # imports Keras only when a model is built
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
    """Register a function as a ``model`` under its own name. It takes a recipe and returns a list
    of Keras layers, which stand between the input, images (batch, 28, 28, 1), and the output layer.

    ``reads`` names the fields of READ_BY_SOME that the function reads; a recipe that sets another
    one is refused. Raises RecipeError if a built-in model has the function's name.
    """
    if function is None:
        return lambda function: architecture(function, reads=reads)
    return _register(architectures, "model", function, reads)


def initializer(function: Callable) -> Callable:
    """Register a function as an ``initializer`` of kernels under its own name. It takes nothing and
    returns a Keras initializer. Raises RecipeError if a built-in one has that name."""
    return _register(initializers, "initializer", function)


def _register(entries: dict, field: str, function: Callable, *reads) -> Callable:
    identity(function)  # refused here if it cannot be identified
    name = name_of(function)
    if name in entries and entries[name].built_in:
        raise RecipeError(f"{field} = {name!r}: is built in; give the function another name")
    entries[name] = Entry(function, *reads)
    return function


def unread(model: str) -> dict[str, str]:
    """The fields that a model does not read, each with a text that says which models do."""
    return {
        field: f"is for model = {either(n for n, e in architectures.items() if field in e.reads)}"
        for field in READ_BY_SOME
        if field not in architectures[model].reads
    }


def either(names: Iterable[str]) -> str:
    """The names in quotes, with "or" before the last."""
    *most, last = map(repr, names)
    return f"{', '.join(most)} or {last}" if most else last
