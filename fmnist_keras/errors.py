"""Errors that the user can put right. Each is printed as one line, without a traceback."""

import sys


class UserError(Exception):
    """An error that the user can put right; its text is one line with the cause and the remedy."""

    def _render_traceback_(self) -> list[str]:  # IPython prints this in the traceback's place
        return [f"{type(self).__name__}: {self}"]


class RecipeError(UserError, ValueError):
    """A parameter that cannot be used; the line gives its name, its value and what is allowed."""


class StorageError(UserError):
    """A folder, an Optuna storage or a scheduler that cannot be used, or a run not to be kept."""


class StaleError(UserError, RuntimeError):
    """This process no longer has the code or the settings that its runs would be stored under."""


def _print_one_line(kind: type, error: BaseException, trace: object) -> None:
    if not issubclass(kind, UserError):
        return sys.__excepthook__(kind, error, trace)
    print(f"{kind.__name__}: {error}", file=sys.stderr)


sys.excepthook = _print_one_line
