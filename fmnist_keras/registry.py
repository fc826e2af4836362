"""Architectures and initializers of one's own, by name: a function in a notebook cell is enough,
and its runs go through the same calls as all others.

    @registry.architecture
    def wide_cnn(recipe):
        return [layers.Conv2D(64, 5, activation="relu"), layers.Flatten()]

    Recipe(model="wide_cnn")

A run is stored with the code of the functions that it uses: once edited, they train again.
"""

from collections.abc import Callable
from dataclasses import dataclass

from .errors import RecipeError
from .identity import identity

MODELS = ("mlp", "simple_cnn", "dropout_cnn", "deep_cnn", "vgg16")
INITIALIZERS = (
    "glorot_uniform", "glorot_normal", "he_uniform", "he_normal", "torch", "normal_0.01",
)  # fmt: skip
"""The built-in names."""


@dataclass(frozen=True)
class Entry:
    """A registered function and what identifies its code."""

    function: Callable
    code: str


architectures: dict[str, Entry] = {}
initializers: dict[str, Entry] = {}


def architecture(function: Callable) -> Callable:
    """Register a function of a recipe that returns a list of Keras layers, under its own name, as a
    ``model``. They stand between the input, images (batch, 28, 28, 1), and the output layer.

    Raises RecipeError if a built-in model has that name.
    """
    return _register(architectures, "model", MODELS, function)


def initializer(function: Callable) -> Callable:
    """Register a function without arguments that returns a Keras initializer, under its own name,
    as an ``initializer`` of kernels. Raises RecipeError if a built-in one has that name."""
    return _register(initializers, "initializer", INITIALIZERS, function)


def _register(entries: dict, field: str, built_in: tuple, function: Callable) -> Callable:
    name = function.__name__
    if name in built_in:
        raise RecipeError(f"{field} = {name!r}: is built in; give the function another name")
    entries[name] = Entry(function, identity(function))
    return function


def known_model(name: str) -> str:
    """Return the name of a model; raise ValueError if there is none of that name."""
    return _known(name, (*MODELS, *architectures))


def known_initializer(name: str) -> str:
    """Return the name of an initializer; raise ValueError if there is none of that name."""
    return _known(name, (*INITIALIZERS, *initializers))


def _known(name: str, names: tuple[str, ...]) -> str:
    if name not in names:
        *most, last = map(repr, names)
        raise ValueError(f"must be {', '.join(most)} or {last}")
    return name
