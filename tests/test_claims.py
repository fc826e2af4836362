"""Claims: their data are complete, and comparisons decide what they say, as surely as promised."""

import ast
import re
from collections import Counter
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import yaml

from fmnist_keras.evidence import contrasts, decisions, measures, sentence
from fmnist_keras.evidence.claims import Claim, claims
from fmnist_keras.evidence.contrasts import Contrast

SEEDS = range(5)


def results(curves=None, **arms):
    """Two frames: for each arm one value of ``accuracy`` (or several metrics) per seed, and curves:
    arm -> metric -> one list per seed."""
    rows = []
    for name, metrics in arms.items():
        metrics = metrics if isinstance(metrics, dict) else {"accuracy": metrics}
        n = len(next(iter(metrics.values())))
        for seed in range(n):
            values = {metric: values[seed] for metric, values in metrics.items()}
            rows.append({"recipe": name, "name": name, "seed": seed, "epochs": 10, **values})
    lines = [
        {"recipe": arm, "name": arm, "seed": seed, "metric": metric, "epoch": epoch, "value": value}
        for arm, metrics in (curves or {}).items()
        for metric, seeds in metrics.items()
        for seed, curve in enumerate(seeds)
        for epoch, value in enumerate(curve, start=1)
    ]
    return SimpleNamespace(runs=pd.DataFrame(rows), curves=pd.DataFrame(lines))


def decide(monkeypatch, frames, text, **fields):
    """The rows of one claim with the comparison(s) ``text``, YAML."""
    claim = Claim(
        id="K-C99", says="A is better.", kind=fields.pop("kind", "R"),
        compare=yaml.safe_load(text), **fields,
    )  # fmt: skip
    monkeypatch.setattr(decisions, "claims_of", lambda *_: [claim])
    return decisions.decide(frames, "02_baseline").to_dict("records")


# --- the data ---------------------------------------------------------------------------------


ALL = [claim for by_id in claims().values() for claim in by_id.values()]
LEDGER = {"K": 67, "P": 37, "D": 22, "M": 40, "I": 56, "X": 8}
OWN_RESULTS = {
    "K": [1, *range(3, 9), 12, *range(14, 19), *range(22, 28), 31, 32, 40, *range(42, 56),
          *range(63, 66)],
    "P": [*range(1, 8), 10, 11, 14, 15, *range(19, 23)],
    "D": [*range(1, 8), *range(9, 15), *range(17, 21), 22],
    "M": [1, 2, 4, 5, 7, *range(10, 23), *range(24, 34), *range(36, 40)],
    "I": [*range(1, 12), 15, 21, 25, 26, 30, 31, 33, 34, 35, 39, 40, 43, 44, 45, *range(48, 52),
          54, 55],
}  # fmt: skip
"""Numbers of the claims of kind R: those about a source's own results."""


def test_every_claim_about_own_results_is_there():
    ours = {claim.id for claim in ALL if claim.kind == "R"}
    ledger = {f"{s}-C{n:02}" for s, numbers in OWN_RESULTS.items() for n in numbers}
    assert len(ledger) == 135
    assert ours == ledger


def test_claims_have_ids_of_the_ledger_once():
    counts = Counter(claim.id for claim in ALL)
    assert [name for name, count in counts.items() if count > 1] == []
    for claim in ALL:
        if claim.kind == "ours":
            assert re.fullmatch(r"F-\d\d-\d+", claim.id), claim.id
        else:
            source, number = re.fullmatch(r"([KPDMIX])-C(\d\d)", claim.id).groups()
            assert 1 <= int(number) <= LEDGER[source], claim.id
            assert (claim.kind == "cross") == (source == "X"), claim.id
        assert claim.says.endswith("."), claim.id


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{measure: a, of: x}", "one of above, below, equal, rising, falling, varies is needed"),
        ("{measure: a, of: x, above: y, below: z}", "one of above, below"),
        ("{measure: a, above: y}", "above: needs `of`"),
        ("{measure: a, of: x, rising: [y, z]}", "rising: takes no `of`"),
        ("{of: x, above: y}", "valid dictionary or instance of Comparison"),
        ("{measure: a, of: x, abov: y}", "abov"),
        ("{measure: a, of: x, equal: y, margin: 0}", "margin"),
        ("[]", "List should have at least 1 item"),
    ],
)
def test_a_comparison_that_says_nothing_is_refused(text, message):
    with pytest.raises(ValueError, match="validation error") as error:
        Claim(id="K-C99", says="A.", kind="R", compare=yaml.safe_load(text))
    assert message in str(error.value)


# --- measures ---------------------------------------------------------------------------------


CURVES = {
    "a": {"val_loss": [[4, 2, 3, 1], [8, 4, 4, 4]], "val_accuracy": [[0.1, 0.5, 0.4, 0.6]] * 2}
}


@pytest.mark.parametrize(
    ("measure", "expected"),
    [
        ("train - test", [0.25, 0.5]),
        ("at(val_loss, 3)", [3, 4]),
        ("at(val_loss, 9)", [1, 4]),
        ("at(val_loss, 4) - at(val_loss, 1)", [-3, -4]),
        ("mean(val_loss, 2, 3)", [2.5, 4]),
        ("fluctuation(val_loss)", [np.std([-2, 1, -2], ddof=1), np.std([-4, 0, 0], ddof=1)]),
        ("drop(val_loss)", [3, 4]),
        ("ratio(val_loss)", [0.25, 0.5]),
        ("rise_from_best(val_loss)", [0, 0]),
        ("lowest(val_loss)", [1, 4]),
        ("lowest_at(val_loss)", [4, 2]),
        ("increases(val_loss)", [1, 0]),
        ("epochs_to(val_accuracy, 0.5)", [2, 2]),
        ("epochs_to(val_accuracy, 0.9)", [5, 5]),  # never: one more than it trained
        ("epochs_below(val_loss, 2)", [2, 5]),
        ("2 * train", [1, 2]),
    ],
)
def test_measures_by_hand(measure, expected):
    frames = results(CURVES, a={"train": [0.5, 1.0], "test": [0.25, 0.5]})
    found = measures.measured(frames, {"name": "a"}, measure)
    assert list(found) == pytest.approx(expected)
    assert list(found.index) == [0, 1]


def test_runs_that_stop_early_keep_their_last_value():
    curves = {"a": {"val_loss": [[4, 2, 3, 1], [8, 6]]}}
    frames = results(curves, a=[0, 0])
    for measure, expected in {
        "drop(val_loss)": [3, 2],
        "epochs_below(val_loss, 0)": [5, 3],
    }.items():
        assert list(measures.measured(frames, {"name": "a"}, measure)) == expected


@pytest.mark.parametrize(
    ("arm", "measure", "message"),
    [
        ({"name": "b"}, "accuracy", "no such runs"),
        ({"width": 3}, "accuracy", "no column width"),
        ({"name": "a"}, "precision", "no column precision"),
        ({"name": "a"}, "at(test_loss, 1)", "no curve of test_loss"),
        ({"name": "a"}, "sharpness(val_loss)", "is no measure"),
        ({"name": "a"}, "__import__('os')", "is no measure"),
        ({"epochs": 10}, "accuracy", "ambiguous, 4 runs of 2 recipes"),
    ],
)
def test_a_measure_that_cannot_be_taken_is_named(arm, measure, message):
    frames = results(CURVES, a=[0, 0], c=[0, 0])
    with pytest.raises(ValueError, match=re.escape(message)):
        measures.measured(frames, arm, measure)


def test_every_comparison_has_measures_that_exist():
    for claim in ALL:
        for readings in (claim.compare, claim.twin or {}):
            for comparison in (c for some in readings.values() for c in some):
                tree = ast.parse(comparison.measure, mode="eval")
                calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
                assert {node.func.id for node in calls} <= set(measures.OF_CURVES), claim.id


# --- decisions --------------------------------------------------------------------------------


LOW, HIGH = [0.80, 0.81, 0.82, 0.81, 0.80], [0.84, 0.85, 0.87, 0.85, 0.85]
LIKE_LOW = [0.801, 0.811, 0.819, 0.811, 0.800]
NOISY = [0.70, 0.95, 0.79, 0.85, 0.80]


@pytest.mark.parametrize(
    ("text", "verdict"),
    [
        ("{measure: accuracy, of: high, above: low}", "reproduced"),
        ("{measure: accuracy, of: low, above: high}", "not reproduced"),
        ("{measure: accuracy, of: low, below: high}", "reproduced"),
        ("{measure: accuracy, of: like, above: low}", "not reproduced"),  # too small to matter
        ("{measure: accuracy, of: noisy, above: low}", "undecided"),
        ("{measure: accuracy, of: like, equal: low}", "reproduced"),
        ("{measure: accuracy, of: high, equal: low}", "not reproduced"),
        ("{measure: accuracy, of: high, equal: low, margin: 0.1}", "reproduced"),
        ("{measure: accuracy, of: noisy, equal: low}", "undecided"),
        ("{measure: accuracy, of: high, above: 0.8}", "reproduced"),
        ("{measure: accuracy, of: high, above: low, by: 0.03}", "reproduced"),
        ("{measure: accuracy, of: high, above: low, by: 0.06}", "not reproduced"),
        ("{measure: accuracy, of: [high, top], above: [low, like]}", "reproduced"),
        ("{measure: accuracy, of: [high, low], above: low}", "not reproduced"),
        ("{measure: accuracy, rising: [low, high, top]}", "reproduced"),
        ("{measure: accuracy, rising: [low, top, high]}", "not reproduced"),
        ("{measure: accuracy, falling: [top, high, low]}", "reproduced"),
        ("{measure: accuracy, equal: [low, like]}", "reproduced"),
        ("{measure: accuracy, equal: [low, like, high]}", "not reproduced"),
        ("{measure: accuracy, varies: [low, like]}", "reproduced"),
        ("{measure: accuracy, varies: [low, high]}", "undecided"),
        ("{measure: accuracy, of: one, above: low}", "undecided"),
    ],
)
def test_verdicts_of_comparisons(monkeypatch, text, verdict):
    top = [value + 0.05 for value in HIGH]
    top[2] += 0.01
    frames = results(low=LOW, like=LIKE_LOW, high=HIGH, top=top, noisy=NOISY, one=[0.9])
    (row,) = decide(monkeypatch, frames, text)
    assert row["verdict"] == verdict


def test_effects_are_paired_and_in_points(monkeypatch):
    frames = results(low=LOW, high=HIGH)
    (row,) = decide(monkeypatch, frames, "{measure: accuracy, of: high, above: low}")
    differences = np.subtract(HIGH, LOW)
    half = 2.776445 * differences.std(ddof=1) / np.sqrt(5)
    low, high = 100 * (differences.mean() - half), 100 * (differences.mean() + half)
    expected = f"{100 * differences.mean():+.2f} points ({low:+.2f} to {high:+.2f})"
    assert row["effect"] == expected.replace("-", "−")
    assert (row["n"], row["rests on"]) == (5, "accuracy: high − low")
    measured = f"*accuracy, high − low: {row['effect']}, n = 5.*"
    assert sentence(row) == f"**Reproduced** (Keras study): A is better. {measured}"
    assert sentence(row | {"kind": "ours"}).startswith("**Holds** (our finding): A is better. ")


@pytest.mark.parametrize(("level", "held"), [(0.1, 2), (0.99, 1)])
def test_of_several_comparisons_a_sentence_says_how_many_hold(monkeypatch, level, held):
    text = f"{{measure: accuracy, called: val accuracy, of: high, above: [low, {level}]}}"
    (row,) = decide(monkeypatch, results(low=LOW, high=HIGH), text)
    assert sentence(row).endswith(f"n = 5; {held} of 2 comparisons hold.*")
    assert row["rests on"].startswith(f"{held} of 2 hold; val accuracy: high − ")
    assert "*validation accuracy, high − " in sentence(row)


@pytest.mark.parametrize(
    ("measure", "differences", "effect"),
    [("val_loss", [0.0, 0.0, 0.0], "0 of loss with every seed"),
     ("parameters", [40.0, 40.0], "+40.0 with every seed"),
     ("test_accuracy", [-0.0001, -0.00005, -0.00012], "−0.00900 points (−0.01796 to −0.00004)"),
     ("test_accuracy", [0.0241, 0.0199, 0.0251], "+2.30 points (+1.62 to +2.99)"),
     ("test_accuracy", [-0.02], "−2.00 points")],
)  # fmt: skip
def test_effects_show_digits_that_mean_something(measure, differences, effect):
    found = contrasts.Contrast(measure, "", "above", np.array(differences), None).effect
    assert found == effect


@pytest.mark.parametrize(
    ("differences", "outcome"),
    [([0.013, 0.014, 0.015], "fails"), ([-0.013, -0.014, -0.015], "fails"),
     ([0.006, 0.011, 0.016], "open"), ([0.001, -0.001, 0.002], "holds")],
)  # fmt: skip
def test_no_difference_fails_where_the_whole_interval_is_beyond_the_margin(differences, outcome):
    found = contrasts.Contrast("accuracy", "", "equal", np.array(differences), 0.01)
    assert found.outcome(found.p) == outcome


def test_only_seeds_that_both_arms_have_are_pairs(monkeypatch):
    frames = results(low=LOW, high=HIGH[:3])
    (row,) = decide(monkeypatch, frames, "{measure: accuracy, of: high, above: low}")
    assert row["n"] == 3


def test_readings_and_twins(monkeypatch):
    frames = results(low=LOW, like=LIKE_LOW, high=HIGH, noisy=NOISY)

    def verdicts(first, second, **fields):
        text = f"""
            first: {{measure: accuracy, of: {first}, above: low}}
            second: {{measure: accuracy, of: {second}, above: low}}"""
        return [row["verdict"] for row in decide(monkeypatch, frames, text, **fields)]

    assert verdicts("high", "like") == ["reproduced"]
    assert verdicts("like", "high") == ["reproduced under another reading"]
    assert verdicts("like", "like") == ["not reproduced under any reading"]
    assert verdicts("like", "noisy") == ["undecided"]
    twin = yaml.safe_load("{measure: accuracy, of: like, above: low}")
    assert verdicts("high", "high", twin=twin) == ["reproduced", "not reproduced"]


def test_runs_off_the_protocol_decide_nothing(monkeypatch):
    frames, text = results(low=LOW, high=HIGH), "{measure: accuracy, of: high, above: low}"
    (row,) = decide(monkeypatch, frames, text, protocol={"epochs": 50})
    assert row["verdict"] == "not run at full protocol"
    (row,) = decide(monkeypatch, frames, text, protocol={"epochs": 10})
    assert row["verdict"] == "reproduced"


def test_what_diverged_decides_nothing(monkeypatch):
    frames = results(low=LOW, high=[*HIGH[:4], np.nan])
    (row,) = decide(monkeypatch, frames, "{measure: accuracy, of: high, above: low}")
    assert (row["verdict"], row["effect"]) == ("undecided", "undefined in 1 of 5 seeds")


def test_an_undecided_claim_says_how_many_seeds_it_would_take(monkeypatch):
    frames = results(low=[0.0] * 5, high=[0.01, 0.03, -0.01, 0.02, 0.00])
    (row,) = decide(monkeypatch, frames, "{measure: accuracy, of: high, above: low, margin: 0.001}")
    assert row["verdict"] == "undecided"
    assert row["seeds needed"] == 13  # t · 0.0158 / √13 = 0.00955 < 0.01, and not with 12


def test_false_verdicts_are_as_rare_as_promised(monkeypatch):
    """Without a difference a direction is rarely reproduced, with one at the margin equality is,
    and Holm keeps that for the worst of several comparisons."""
    random = np.random.default_rng(2)
    claim = yaml.safe_load("{measure: accuracy, of: a, above: b, margin: 1.0e-9}")
    equal = yaml.safe_load("{measure: accuracy, of: a, equal: b, margin: 0.02}")
    wrong = Counter()
    for _ in range(1500):
        b = random.normal(0.8, 0.01, 5)
        a, apart = random.normal(0.8, 0.01, 5), b + random.normal(0.02, 0.01, 5)
        wrong["direction"] += _outcome(claim, a - b) == "holds"
        wrong["other way"] += _outcome(claim, a - b) == "fails"
        wrong["equality"] += _outcome(equal, apart - b) == "holds"
    assert wrong["direction"] / 1500 == pytest.approx(0.025, abs=0.012)
    assert wrong["other way"] / 1500 == pytest.approx(0.025, abs=0.012)
    assert wrong["equality"] / 1500 <= 0.037


def _outcome(comparison, differences):
    kind = "above" if "above" in comparison else "equal"
    contrast = Contrast("accuracy", "", kind, np.asarray(differences), comparison["margin"])
    return contrast.outcome(contrast.p)


@pytest.mark.parametrize(
    ("measure", "unit"),
    [("val_accuracy - test_accuracy", " points"), ("epochs_to(val_accuracy, 0.85)", " epochs"),
     ("highest_at(val_accuracy) - lowest_at(val_loss)", " epochs"), ("stop_epoch", " epochs"),
     ("at(val_loss, 1) - at(val_loss, 10)", " of loss"), ("test_loss", " of loss"),
     ("psnr", " dB"), ("ratio(val_loss)", ""), ("increases(val_loss)", ""),
     ("epochs_to(val_accuracy, 0.85) * updates_per_epoch", ""), ("near_zero", "")],
)  # fmt: skip
def test_an_effect_says_what_it_is_counted_in(measure, unit):
    contrast = Contrast(measure, "", "above", np.array([2.0, 3.0]), None)
    mean, _, rest = contrast.effect.partition(" (")
    assert re.fullmatch(rf"\+[\d.]+{unit}", mean)
    assert rest
