"""A figure to choose from, over runs that are there already."""

import inspect
from collections.abc import Callable

from ..progress import is_interactive


def explore(draw: Callable, **choices: list) -> None:
    """Draw a figure by ``draw()``; in a live notebook with a slider for each of its arguments in
    ``choices``, over those values, that begins at the argument's default."""
    if not is_interactive():
        draw()
        return
    from ipywidgets import SelectionSlider, interact

    arguments = inspect.signature(draw).parameters
    sliders = {
        name: SelectionSlider(
            options=values, value=arguments[name].default, continuous_update=False
        )
        for name, values in choices.items()
    }
    interact(draw, **sliders)
