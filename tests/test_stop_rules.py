"""Stop rules end a run where the epochs say, and as the rule that stops runs while they train."""

import numpy as np
import pandas as pd
import pytest

from fmnist_keras.evidence.stop_rules import where_it_stops
from fmnist_keras.training.history import EarlyStopping

LOSSES = [1.0, 0.8, 0.795, 0.79, 0.6, 0.595, 0.596, 0.58]
ACCURACIES = [0.60, 0.70, 0.705, 0.72, 0.71, 0.725, 0.72, 0.80]
CURVE = pd.DataFrame(
    {"val_loss": LOSSES, "val_accuracy": ACCURACIES}, index=pd.RangeIndex(1, 9, name="epoch")
)


@pytest.mark.parametrize(
    ("rule", "stop", "best"),
    [
        (("val_loss", "best"), 7, 5),  # .79 is just .01 below .8; then .6, and no more
        (("val_loss", "before"), 4, 2),
        (("val_accuracy", "best"), 6, 4),
        (("val_accuracy", "before"), 8, 8),
        (3, 3, 3),
        (100, 8, 8),
    ],
)
def test_where_a_run_stops(rule, stop, best):
    assert where_it_stops(CURVE, rule, patience=2, min_delta=0.01) == (stop, best)


def test_the_loss_rule_is_that_of_training():
    random = np.random.default_rng(4)
    for _ in range(200):
        losses = np.cumsum(random.normal(-0.01, 0.03, 30)) + 1
        training = EarlyStopping(patience=3, min_delta=0.01)
        for loss in losses:
            training.improved(loss)
            if training.done:
                break
        curve = pd.DataFrame({"val_loss": losses}, index=range(1, 31))
        stop, best = where_it_stops(curve, ("val_loss", "best"), patience=3, min_delta=0.01)
        assert (stop, best) == (training.epoch, training.best_epoch)
