"""Claims: their data are complete, and comparisons decide what they say, as surely as promised."""

import re
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import yaml

from fmnist_keras.evidence import decisions, measures, sentence
from fmnist_keras.evidence.claims import Claim, claims


def results(curves=None, metric="test_accuracy", **arms):
    """Two frames: for each arm one value of a metric (or several metrics) per seed, and curves:
    arm -> metric -> one list per seed."""
    rows = []
    for name, metrics in arms.items():
        metrics = metrics if isinstance(metrics, dict) else {metric: metrics}
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
    monkeypatch.setattr(decisions, "claims", lambda: {"02_baseline": {claim.id: claim}})
    return decisions.decide(frames, "02_baseline").to_dict("records")


# --- the data ---------------------------------------------------------------------------------


ALL = [claim for by_id in claims().values() for claim in by_id.values()]
LEDGER = {"K": 70, "P": 37, "D": 22, "M": 40, "I": 56, "X": 8}
OWN_RESULTS = {
    "K": [1, *range(3, 9), 12, *range(14, 19), *range(22, 28), 31, 32, 40, *range(42, 56),
          59, *range(63, 66), *range(68, 71)],
    "P": [*range(1, 8), 10, 11, 14, 15, *range(19, 23)],
    "D": [*range(1, 8), *range(9, 15), *range(17, 21), 22],
    "M": [1, 2, 4, 5, 7, *range(10, 23), *range(24, 34), *range(36, 40)],
    "I": [*range(1, 12), 15, 21, 25, 26, 30, 31, 33, 34, 35, 39, 40, 43, 44, 45, *range(48, 52),
          54, 55],
}  # fmt: skip
"""Numbers of the claims of kind R: those about a source's own results."""


def test_every_claim_about_own_results_is_there_and_every_id_is_one_of_the_ledger():
    ours = {claim.id for claim in ALL if claim.kind == "R"}
    ledger = {f"{s}-C{n:02}" for s, numbers in OWN_RESULTS.items() for n in numbers}
    assert ours <= ledger
    files = Path(decisions.__file__).with_name("claims").glob("*.yaml")
    ids = [row["id"] for path in files for row in yaml.safe_load(path.read_text("utf-8"))]
    assert sorted(ids) == sorted({claim.id for claim in ALL}), "an id stands twice"
    for claim in ALL:
        assert claim.says.endswith("."), claim.id
        if claim.kind == "ours":
            assert re.fullmatch(r"F-\d\d-\d+", claim.id), claim.id
        else:
            source, number = re.fullmatch(r"([KPDMIX])-C(\d\d)", claim.id).groups()
            assert 1 <= int(number) <= LEDGER[source], claim.id
            assert (claim.kind == "cross") == (source == "X"), claim.id


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
        ("fluctuation(val_loss)", [np.sqrt((9 + 9) / 2 / 6), np.sqrt((16 + 0) / 2 / 6)]),
        ("fluctuation(val_loss, 2)", [np.sqrt(9 / 6), 0]),
        ("drop(val_loss)", [3, 4]),
        ("ratio(val_loss)", [0.25, 0.5]),
        ("rise_from_best(val_loss)", [0, 0]),
        ("lowest(val_loss)", [1, 4]),
        ("lowest_at(val_loss)", [4, 2]),
        ("increases(val_loss)", [1, 0]),
        ("epochs_to(val_accuracy, 0.5)", [2, 2]),
        ("epochs_to(val_accuracy, 0.9)", [5, 5]),  # never: one more than it trained
        ("late_change(val_loss, 2)", [-1, 0]),
        ("late_change(val_loss, 9)", [-3, -4]),
        ("directness(val_loss)", [3 / 5, 1]),
        ("highest_at(val_accuracy) - 2", [2, 2]),
        ("(train - test) / train", [0.5, 0.5]),
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
    by_hand = {"drop(val_loss)": [3, 2], "epochs_to(val_loss, 9)": [5, 3]}
    for measure, expected in by_hand.items():
        assert list(measures.measured(frames, {"name": "a"}, measure)) == expected
    late = measures.measured(frames, {"name": "a"}, "late_change(val_loss, 1)")
    assert list(late) == [-2, -2]


@pytest.mark.parametrize(
    ("arm", "measure", "message"),
    [
        ({"name": "b"}, "accuracy", "no runs where {'name': 'b'}"),
        ({"name": "a"}, "epochs - ", "no measure 'epochs - ' of {'name': 'a'}: invalid syntax"),
        ({"name": "a"}, "__import__('os')", "'__import__' is not defined"),
        ({"epochs": 10}, "val_loss", "{'epochs': 10}: ambiguous, several runs of one seed"),
    ],
)
def test_a_measure_that_cannot_be_taken_is_named(arm, measure, message):
    frames = results(CURVES, a=[0, 0], c=[0, 0])
    with pytest.raises(ValueError, match=re.escape(message)):
        measures.measured(frames, arm, measure)


# --- decisions --------------------------------------------------------------------------------


LOW, HIGH = [0.80, 0.81, 0.82, 0.81, 0.80], [0.84, 0.85, 0.87, 0.85, 0.85]
LIKE_LOW = [0.801, 0.811, 0.819, 0.811, 0.800]
NOISY = [0.70, 0.95, 0.79, 0.85, 0.80]
ABOVE = "{measure: test_accuracy, of: high, above: low}"


@pytest.mark.parametrize(
    ("comparison", "outcome"),
    [
        ("of: high, above: low", "reproduced"),
        ("of: low, above: high", "not reproduced"),
        ("of: low, below: high", "reproduced"),
        ("of: like, above: low", "not reproduced"),  # too small to matter
        ("of: noisy, above: low", "open"),
        ("of: like, equal: low", "reproduced"),
        ("of: high, equal: low", "not reproduced"),
        ("of: high, equal: low, margin: 0.1", "reproduced"),
        ("of: noisy, equal: low", "open"),
        ("of: high, above: 0.8", "reproduced"),
        ("of: high, above: low, by: 0.03", "reproduced"),
        ("of: high, above: low, by: 0.06", "not reproduced"),
        ("of: [high, top], above: [low, like]", "reproduced"),
        ("of: [high, low], above: low", "not reproduced"),
        ("of: [high, noisy], above: low", "open"),
        ("of: [high, noisy, like], above: low", "not reproduced"),  # one that fails is enough
        ("equal: [low, like]", "reproduced"),
        ("equal: [low, like, high]", "not reproduced"),
        ("of: like, above: low, printed: 0.0004", "open"),  # both 0 and the printed effect
        ("of: like, above: low, printed: 0.004", "not reproduced"),  # no difference comes first
        ("of: one, above: low", "open"),
    ],
)
def test_outcomes_of_comparisons(monkeypatch, comparison, outcome):
    top = [value + 0.05 for value in HIGH]
    frames = results(low=LOW, like=LIKE_LOW, high=HIGH, top=top, noisy=NOISY, one=[0.9])
    (row,) = decide(monkeypatch, frames, f"{{measure: test_accuracy, {comparison}}}")
    assert row["outcome"] == outcome


@pytest.mark.parametrize(
    ("comparison", "reason"),
    [("of: low, above: high", "on the other side"),
     ("of: like, above: low", "too small to matter"),
     ("of: high, above: low, by: 0.06", "on the other side of the limit"),
     ("of: high, equal: low", "they differ"),
     ("of: high, above: low", "")],
)  # fmt: skip
def test_a_claim_that_fails_says_why(monkeypatch, comparison, reason):
    frames = results(low=LOW, like=LIKE_LOW, high=HIGH)
    (row,) = decide(monkeypatch, frames, f"{{measure: test_accuracy, {comparison}}}")
    assert row["reason"] == reason


def test_effects_are_paired_and_in_points(monkeypatch):
    (row,) = decide(monkeypatch, results(low=LOW, high=HIGH), ABOVE)
    differences = np.subtract(HIGH, LOW)
    half = 2.776445 * differences.std(ddof=1) / np.sqrt(5)
    low, high = 100 * (differences.mean() - half), 100 * (differences.mean() + half)
    assert row["effect"] == f"{100 * differences.mean():+.2f} points ({low:+.2f} to {high:+.2f})"
    assert (row["n"], row["rests on"]) == (5, "test accuracy: high against low")
    measured = f"*test accuracy, high against low: {row['effect']}, n = 5.*"
    assert sentence(row) == f"**Reproduced** (Keras study): A is better. {measured}"
    assert sentence(row | {"source": "ours"}).startswith("**Holds** (our finding): A is better. ")


def test_of_several_comparisons_a_sentence_says_how_many_hold(monkeypatch):
    text = "{measure: val_accuracy, of: high, above: [low, 0.99]}"
    (row,) = decide(monkeypatch, results(metric="val_accuracy", low=LOW, high=HIGH), text)
    assert sentence(row).endswith("n = 5; 1 of 2 comparisons hold.*")
    assert row["rests on"].startswith("1 of 2 hold; val accuracy: high against ")
    assert "*validation accuracy, high against " in sentence(row)


def test_all_must_hold_each_at_the_level_and_one_fails_only_after_holm(monkeypatch):
    near = np.add(LOW, 0.017 + 0.015 * np.array([-1, -0.5, 0, 0.5, 1]))  # p = .033
    frames = results(low=LOW, like=LIKE_LOW, high=HIGH, near=near, also=near)
    for of in ("near", "[near, also]"):
        (row,) = decide(monkeypatch, frames, ABOVE.replace("high", of))
        assert row["outcome"] == "reproduced"
    below = ABOVE.replace("above", "below")
    for of, outcome in {"near": "not reproduced", "[near, also]": "open"}.items():
        (row,) = decide(monkeypatch, frames, below.replace("high", of))
        assert row["outcome"] == outcome
    assert row["reason"] == "borderline: one of so many comparisons may fail by chance"
    both = f"[{ABOVE.replace('high', 'like')}, {{measure: test_accuracy, of: low, above: high}}]"
    (row,) = decide(monkeypatch, frames, both)
    # The clearer one of those that fail decides.
    assert row["decisive"] == "test accuracy: like against low"


def test_a_difference_within_the_margin_does_not_hold_where_holm_keeps_it_from_failing(monkeypatch):
    spread = np.array([-1, -0.5, 0, 0.5, 1]) / 0.790569  # SD 1
    near = np.add(LOW, 0.005 + 0.005 / 3 * np.sqrt(5) * spread)  # 3 errors from 0 and from a point
    frames = results(low=LOW, near=near, also=near)
    outcomes = []
    for of in ("near", "[near, also]"):
        (row,) = decide(monkeypatch, frames, ABOVE.replace("high", of))
        outcomes.append((row["outcome"], row["held"]))
    assert outcomes == [("not reproduced", 0), ("open", 0)]


def test_readings_and_twins(monkeypatch):
    frames = results(low=LOW, like=LIKE_LOW, high=HIGH, noisy=NOISY)

    def outcomes(first, second, **fields):
        text = f"""
            first: {{measure: test_accuracy, of: {first}, above: low}}
            second: {{measure: test_accuracy, of: {second}, above: low}}"""
        return [row["outcome"] for row in decide(monkeypatch, frames, text, **fields)]

    assert outcomes("high", "like") == ["reproduced"]
    assert outcomes("like", "high") == ["reproduced under another reading"]
    assert outcomes("like", "like") == ["not reproduced"]
    assert outcomes("like", "noisy") == ["open"]
    comparison = yaml.safe_load("{measure: test_accuracy, of: like, above: low}")
    twin = {"says": "Of equal size, A is better.", "compare": comparison}
    assert outcomes("high", "high", twin=twin) == ["reproduced", "not reproduced"]
    found = "seen (chosen because it fits): {measure: test_accuracy, of: high, above: low}"
    claim, fair = decide(monkeypatch, frames, found, twin=twin, note="only the claim's")
    assert claim["outcome"] == "reproduced under another reading"
    assert "only the claim's" in claim["rests on"]
    assert "only the claim's" not in fair["rests on"]


def test_runs_off_the_protocol_decide_nothing(monkeypatch):
    frames = results(low=LOW, high=HIGH)
    (row,) = decide(monkeypatch, frames, ABOVE, protocol={"epochs": 50})
    assert (row["outcome"], row["reason"]) == (
        "open", "not run as published: epochs 10 (published 50)",
    )  # fmt: skip
    (row,) = decide(monkeypatch, frames, ABOVE, protocol={"epochs": 10})
    assert row["outcome"] == "reproduced"


def test_what_diverged_decides_nothing_and_only_seeds_of_both_arms_are_pairs(monkeypatch):
    (row,) = decide(monkeypatch, results(low=LOW, high=[*HIGH[:3], np.nan]), ABOVE)
    assert (row["outcome"], row["n"]) == ("open", 4)
    assert row["effect"] == "undefined in 1 of 4 seeds"


def test_false_outcomes_are_as_rare_as_promised():
    """Without a difference a direction is rarely reproduced, with one at the margin equality is."""
    random, n = np.random.default_rng(2), 1500

    def share(what, kind, mean, margin):
        draws = random.normal(mean, 0.014, size=(n, 5))
        contrasts = [decisions.Contrast("", "", kind, draw, margin) for draw in draws]
        return sum(what(contrast) for contrast in contrasts) / n

    def holds(contrast):
        return contrast.holds

    def fails(contrast):
        return contrast.p_against < 0.05

    assert share(holds, "above", 0, None) == pytest.approx(0.025, abs=0.012)
    assert share(fails, "above", 0, None) == pytest.approx(0.025, abs=0.012)
    assert share(holds, "equal", 0.02, 0.02) <= 0.037
