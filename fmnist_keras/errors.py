"""Errors that the user can put right: printed in one line, wherever they are raised."""

import sys


class UserError(Exception):
    """Something that the user can put right; its text is one line that says what and how."""

    def _render_traceback_(self) -> list[str]:  # IPython prints this in the traceback's place
        return [f"{type(self).__name__}: {self}"]


class RecipeError(UserError, ValueError):
    """A parameter that cannot be used; one line says which, its value and what is allowed."""


class StorageError(UserError):
    """Storage that cannot be used; one line says which, why, and what is safe to do."""


def _print_one_line(kind: type, error: BaseException, trace: object) -> None:
    if not issubclass(kind, UserError):
        return sys.__excepthook__(kind, error, trace)
    print(f"{kind.__name__}: {error}", file=sys.stderr)


sys.excepthook = _print_one_line
