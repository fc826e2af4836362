"""The history of a run, without Keras: its curves, when it ends, and its scores."""

from collections.abc import Callable

import numpy as np
from scipy.special import log_softmax

from ..recipe import Recipe

BATCH_MEAN_SIZE = 32
"""Batch size of the MLP report, which averaged its test accuracy over batches, unweighted."""


class EarlyStopping:
    """Counts the epochs since the validation loss last fell by more than ``min_delta`` below the
    best so far, like Keras' callback of that name; ``done`` once they reach ``patience``."""

    def __init__(self, patience: int | None, min_delta: float) -> None:
        self.patience, self.min_delta = patience, min_delta
        self.best, self.epoch, self.best_epoch = float("inf"), 0, 0

    def improved(self, val_loss: float) -> bool:
        """Add an epoch; return whether it is the best so far."""
        self.epoch += 1
        better = val_loss < self.best - self.min_delta
        if better:
            self.best, self.best_epoch = val_loss, self.epoch
        return better

    @property
    def done(self) -> bool:
        return self.patience is not None and self.epoch - self.best_epoch >= self.patience


class History:
    """The curves of a run while it trains, and, with early stopping, the best epoch's weights."""

    def __init__(self, recipe: Recipe) -> None:
        self.recipe, self.curves = recipe, {}
        self.stopping = EarlyStopping(recipe.patience, recipe.min_delta)
        self.best_weights: list[np.ndarray] | None = None

    @property
    def diverged(self) -> bool:
        """Whether the loss is no longer finite."""
        return bool(self.curves) and not np.isfinite(self.curves["train_loss"][-1])

    @property
    def ended(self) -> bool:
        """Whether the run ends here, however many epochs its recipe has."""
        return self.diverged or self.stopping.done

    def add(self, row: dict[str, float], seconds: float, weights: Callable[[], list]) -> None:
        """Add an epoch's metrics and training time."""
        seconds += self.curves.get("seconds", [0.0])[-1]
        for name, value in {**row, "seconds": seconds}.items():
            self.curves.setdefault(name, []).append(value)
        if self.recipe.patience and not self.diverged and self.stopping.improved(row["val_loss"]):
            self.best_weights = weights()

    def resume(self, curves: dict[str, list[float]], best_weights: list | None) -> None:
        """Go on from these curves."""
        self.curves, self.best_weights = curves, best_weights
        if self.recipe.patience:
            for val_loss in curves["val_loss"]:
                self.stopping.improved(val_loss)

    def metrics(self, model, scores: dict, restored: dict) -> dict[str, float]:
        """The metrics of a finished run: the last value of each curve, the number of updates, the
        epochs at which it stopped and was best (by early stopping, or else by the lowest validation
        loss), its final ``scores``, and those of the best epoch's weights (``restored_``)."""
        stop_epoch = best = len(self.curves["running_loss"])
        if self.best_weights:
            best = self.stopping.best_epoch
        elif np.isfinite(val_loss := self.curves.get("val_loss", [])).any():
            best = int(np.nanargmin(val_loss)) + 1
        return {
            **{name: values[-1] for name, values in self.curves.items()},
            "steps": stop_epoch * self.recipe.steps,
            "stop_epoch": stop_epoch,
            "best_epoch": best,
            "diverged": float(self.diverged),
            **scores,
            **{f"restored_{name}": value for name, value in restored.items()},
            "train_images": self.recipe.train_images,
            "parameters": model.count_params(),
        }


def score(logits: np.ndarray, targets: np.ndarray, part: str) -> dict[str, float]:
    """Mean cross-entropy (nats) and accuracy of ``logits`` (n, 10) for labels (n,), or the mean
    squared error for pixels (n, 28), in the recipe's scale. The names begin with ``part``; for the
    test set, ``test_accuracy_batch_mean`` is the accuracy as a mean over batches."""
    if targets.ndim == 2:
        return {f"{part}_loss": float(np.mean(np.square(logits - targets)))}
    loss = -log_softmax(logits, axis=1)[np.arange(len(targets)), targets].mean()
    right = logits.argmax(axis=1) == targets
    scores = {f"{part}_loss": float(loss), f"{part}_accuracy": float(np.mean(right))}
    if part == "test":
        starts = range(0, len(right), BATCH_MEAN_SIZE)
        batches = [right[start : start + BATCH_MEAN_SIZE].mean() for start in starts]
        scores["test_accuracy_batch_mean"] = float(np.mean(batches))
    return scores
