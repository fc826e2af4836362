"""The notebooks' parameters: what each may be, and the check that stops a study on a wrong one."""

import ast
import difflib
from pathlib import Path
from typing import Annotated, Any, Literal

import nbformat
from pydantic import Field

from ..checks import Count, NotNegative, Positive, Rate, Seeds, Trials, check
from ..errors import RecipeError
from ..recipe import TEST_IMAGES

NOTEBOOKS = Path(__file__).resolve().parents[2] / "notebooks"

Images = Annotated[int, Field(ge=1, le=TEST_IMAGES)]
Counts = Annotated[list[Count], Field(min_length=1)]
Positives = Annotated[list[Positive], Field(min_length=1)]
Scales = Annotated[list[Literal["unit", "symmetric", "standard"]], Field(min_length=1)]
Range = Annotated[list[Positive], Field(min_length=2, max_length=2)]

KINDS = {
    "profile": Literal["smoke", "quick", "paper"],
    "storage": str,
    "images_shown": Images,
    "seeds": Seeds,
    "cnn_seeds": Seeds,
    "search_seeds": Seeds,
    "comparison_seeds": Seeds,
    "reading_seeds": Seeds,
    "train_size": Count | None,
    "test_size": Count,
    "epochs": Count,
    "final_epochs": Count,
    "longest_epochs": Count,
    "final_batch_sizes": Counts,
    "simple_cnn_epochs": Count,
    "dropout_cnn_epochs": Count,
    "deep_cnn_epochs": Count,
    "vgg_epochs": Count,
    "comparison_epochs": Count,
    "comparison_images": Count,
    "assignment_epochs": Count,
    "assignment_cap": Count,
    "homework_epochs": Count,
    "mlp_epochs": Count,
    "mlp_cap": Count,
    "grid_epochs": Count,
    "long_epochs": Count,
    "early_stopping_epochs": Count,
    "depths": Counts,
    "widths": Counts,
    "homework_rates": Annotated[list[Rate], Field(min_length=1)],
    "strength": Positive,
    "mlp_strengths": Positives,
    "mlp_rates": Positives,
    "penalty_factor": Positive,
    "patience": Count,
    "min_delta": NotNegative,
    "column": Annotated[int, Field(ge=1, le=26)],
    "scale": Literal["unit", "symmetric"],
    "reading_scales": Scales,
    "csv_path": str,
    "updates": Count,
    "search_images": Count,
    "trials": Trials,
    "target_accuracy": Annotated[float, Field(gt=0, lt=1)],
    "vgg_width_multiplier": Positive,
    "precision": Literal["auto", "float32", "bfloat16"],
    "learning_rates": Positives,
    "other_rates": Positives,
    "homework_learning_rates": dict[str, Positives],
    "batch_sizes": Counts,
    "search_range": Range,
    "search_ranges": dict[str, Range],
    "figure_rates": Range,
    "figure_epochs": Annotated[list[Count], Field(min_length=2, max_length=2)],
}
"""One meaning per name in all notebooks. A name that is not here must be of its default's type."""

_PLAIN = (bool, int, float, str, list, tuple, dict, type(None))
_CHECKED = "_checked_parameters"


def defaults(notebook: str) -> dict[str, Any]:
    """Names and literals of the cell tagged ``parameters`` in ``notebooks/<notebook>.ipynb``."""
    tagged = [c.source for c in _code(notebook) if "parameters" in c.metadata.get("tags", [])]
    assignments = [node for source in tagged for node in ast.parse(source).body]
    return {node.targets[0].id: ast.literal_eval(node.value) for node in assignments}


def _code(notebook: str) -> list:
    cells = nbformat.read(NOTEBOOKS / f"{notebook}.ipynb", as_version=4).cells
    return [cell for cell in cells if cell.cell_type == "code"]


def check_parameters(notebook: str, values: dict[str, Any]) -> None:
    """Raise a one-line RecipeError unless ``values`` are parameters of ``notebook``, each of the
    kind that :data:`KINDS` says, or else of its default's type.

    In a notebook ``values`` is ``globals()``, right after the parameters: a plain value there whose
    name is no parameter is a misspelt one. In a second call in the same session (a cell run again)
    only a name that is like a parameter's is, and that the notebook itself never gives a value: the
    study's own variables are there by then.
    """
    allowed = defaults(notebook)
    given = _given(values, allowed) if "__name__" in values else values
    for name in given:
        if name not in allowed and (_CHECKED not in values or _misspelt(name, notebook)):
            known = ", ".join(allowed)
            raise RecipeError(
                f"{name} = {given[name]!r}: {notebook} has no such parameter: {known}"
            )
    for name, default in allowed.items():
        check(KINDS.get(name) or _type(default), name, given.get(name, default))
    if "__name__" in values:
        values[_CHECKED] = True


def _type(default: Any) -> Any:
    """The type of a default value, and of a list's items; floats may be integers, too."""
    if isinstance(default, list) and default:
        return list[_type(default[0])]
    return Any if default is None else type(default)


def _misspelt(name: str, notebook: str) -> bool:
    """Whether a name that the notebook never assigns is like a parameter's."""
    nodes = [node for cell in _code(notebook) for node in ast.walk(ast.parse(cell.source))]
    names = [node for node in nodes if isinstance(node, ast.Name)]
    assigned = {node.id for node in names if isinstance(node.ctx, ast.Store)}
    close = difflib.get_close_matches(name, defaults(notebook), cutoff=0.85)
    return bool(close) and name not in assigned


def _given(values: dict[str, Any], allowed: dict) -> dict[str, Any]:
    """Of a notebook's ``globals()`` those that are, or were meant to be, parameters: plain values,
    but not what IPython and imports put there (names in capitals or with an underscore) unless
    they are like a parameter's."""
    return {
        name: value
        for name, value in values.items()
        if isinstance(value, _PLAIN)
        and (name.strip("_").lower() in allowed or (name.islower() and not name.startswith("_")))
    }
