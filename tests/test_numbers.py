"""Published numbers: their data are complete, and their outcomes follow from runs and readings."""

from collections import Counter
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from scipy import stats

from fmnist_keras import evidence
from fmnist_keras.evidence import numbers, readings, statistics
from fmnist_keras.recipe import Recipe

FOLDER = Path(numbers.__file__).parent


def baseline(metric="test_accuracy", values=(0.82, 0.822, 0.821), **fields):
    """A runs frame of the Keras study's baseline, one row per value, with some fields changed."""
    recipe = {**Recipe().model_dump(), "recipe": "a", "train_images": 54_000}
    rows = [recipe | fields | {"seed": i, metric: value} for i, value in enumerate(values)]
    return pd.DataFrame(rows)


def answer(runs, pattern="K-F2.2-acc"):
    """The only row of a table."""
    (row,) = evidence.table(runs, pattern).to_dict("records")
    return row


def changed(monkeypatch, name="K-F2.2-acc", **fields):
    """Make the number's row another one."""
    row = numbers.published()[name].model_copy(update=fields)
    monkeypatch.setattr(numbers, "published", lambda: {row.id: row})


# --- the data ---------------------------------------------------------------------------------


def test_every_published_number_is_there():
    rows = numbers.published()
    counts = Counter((row.report, row.fact) for row in rows.values())
    assert {report: counts[report, False] for report in "KPDMI"} == dict(K=46, P=19, D=3, M=22, I=6)
    assert {report: counts[report, True] for report in "KPDMI"} == dict(K=10, P=1, D=3, M=1, I=1)
    assert all(name[0] == row.report for name, row in rows.items())
    ids = [row["id"] for row in yaml.safe_load((FOLDER / "numbers.yaml").read_text("utf-8"))]
    assert ids == list(rows), "an id stands in the file twice"
    sources = yaml.safe_load((FOLDER / "sources.yaml").read_text("utf-8"))
    assert {source["id"] for source in sources} == {row.report for row in rows.values()}


@pytest.mark.parametrize(
    "change", [{"roundng": 1}, {"value": "high"}, {"unit": "pp"}, {"protocol": {"units": {}}}]
)
def test_a_row_that_is_not_as_it_should_be_is_refused(change):
    row = numbers.published()["K-F2.2-acc"].model_dump()
    with pytest.raises(ValueError, match=next(iter(change))):
        numbers.Published.model_validate(row | change)


def test_an_unknown_pattern_is_named():
    for pattern in ("K-T3.2-0.0219", ["K-T4.1", "K-T3.2-0.0219"]):
        with pytest.raises(ValueError, match=r"number 'K-T3.2-0.0219'; close: K-T3.1-0.0219"):
            evidence.select(pattern)


# --- readings and answers ---------------------------------------------------------------------


def test_a_row_of_the_table():
    table = evidence.table(baseline(values=(0.82, 0.822, 0.824)), "K-F2.2-acc")
    t = stats.t.ppf(0.975, 2)
    half = t * 0.002 * np.sqrt(4 / 3)
    row = table.loc[0]
    assert row[table.attrs["shown"]].to_dict() == {
        "id": "K-F2.2-acc",
        "condition": "baseline: SGD, learning rate 0.01",
        "quantity": "test accuracy",
        "published": "0.821",
        "measured": f"0.8220 ± {t * 0.002 / np.sqrt(3):.4f}",
        "n": 3,
        "SD": "0.0020",
        "distance": "-0.2",  # (0.8215 − 0.822) / (0.002 · √(4/3))
        "outcome": "reproduced",
        "reason": "",
        "assumed": "momentum 0, initializer glorot_uniform",
    }
    assert row["new_run"] == pytest.approx((0.822 - half, 0.822 + half))
    assert row["p"] == pytest.approx(2 * stats.t.sf(0.0005 / (half / t), 2))
    assert row["limit"] == pytest.approx(t)
    assert table.attrs["rows"] == "numbers"


@pytest.mark.parametrize(
    ("values", "outcome", "reason"),
    [
        ((0.820, 0.822, 0.821), "reproduced", ""),
        ((0.850, 0.8502, 0.8501), "not reproduced", ""),
        ((0.790, 0.7902, 0.7901), "not reproduced", ""),
        ((0.850, 0.852, 0.851), "open", "borderline: one of so many numbers may lie as far off"),
        ((0.812, 0.820, 0.828), "open", "about 9 seeds would tell"),
        ((0.780, 0.820, 0.860), "open", "seeds differ too much"),  # for any number of them
        ((0.821,), "open", "one seed"),
        ((0.821, np.nan, 0.821), "open", "1 of 3 are undefined"),
    ],
)
def test_outcomes(values, outcome, reason):
    row = answer(baseline(values=values))
    assert (row["outcome"], row["n"]) == (outcome, len(values))
    assert row["reason"].startswith(reason)
    assert bool(row["reason"]) == (outcome == "open")


def test_what_few_seeds_let_pass_is_open_if_it_is_farther_off_than_the_tolerance():
    """Three seeds, two numbers of a run: at the level that both share, 2.4 points pass."""
    runs = baseline(values=(0.8412, 0.845, 0.8488)).assign(test_loss=(0.509, 0.510, 0.511))
    loss, accuracy = evidence.table(runs, "K-F2.2").to_dict("records")
    assert (accuracy["fits"], accuracy["outcome"]) == ("yes", "open")
    assert loss["outcome"] == "reproduced"


def test_a_reading_must_give_all_numbers_of_its_run():
    """Loss under one reading and accuracy under another are no reproduction."""

    def run(loss, accuracy, momentum):
        runs = baseline(values=(accuracy, accuracy + 1e-3, accuracy - 1e-3), momentum=momentum,
                        recipe=str(momentum))  # fmt: skip
        return runs.assign(test_loss=(loss, loss + 1e-3, loss - 1e-3))

    apart = pd.concat([run(0.51, 0.70, 0.0), run(0.40, 0.821, 0.9)])
    table = evidence.table(apart, "K-F2.2")
    assert list(table["outcome"]) == ["open", "open"]
    assert set(table["reason"]) == {"it fits alone, but no reading gives all numbers of its run"}
    together = pd.concat([apart, run(0.51, 0.821, 0.5)])
    table = evidence.table(together, "K-F2.2")
    assert list(table["outcome"]) == ["reproduced under another reading"] * 2
    assert set(table["assumed"]) == {"momentum 0.5, initializer glorot_uniform"}
    assert set(table["readings"]) == {3}
    assert list(evidence.table(apart, "K-F2.2-acc")["outcome"]) == [
        "reproduced under another reading"  # alone it is a run of one number
    ]


def test_a_reading_that_was_stated_goes_before_a_nearer_one_that_was_found_by_looking(monkeypatch):
    changed(monkeypatch, added={"momentum": [0.9]})
    values = {0.0: 0.70, 0.5: 0.8185, 0.9: 0.821}
    runs = pd.concat(
        baseline(values=(v, v + 2e-3, v - 2e-3), momentum=m, recipe=str(m))
        for m, v in values.items()
    )
    assert answer(runs)["assumed"].startswith("momentum 0.5")
    far = runs.assign(test_accuracy=runs["test_accuracy"] - 0.1)  # none fits; 0.9 is the nearest
    assert answer(far)["assumed"].startswith("momentum 0.5")


def test_a_metric_that_was_found_by_looking_says_so():
    runs = baseline(learning_rate=0.0219, epochs=50).assign(train_accuracy=0.85)
    assumed = readings(runs, "K-F3.2-acc")["assumed"]
    assert ["training (chosen because it fits)" in text for text in assumed] == [False, True]


def test_one_seed_neither_fits_nor_misses():
    assert list(readings(baseline(values=(0.821,)), "K-F2.2-acc")["fits"]) == ["–"]


@pytest.mark.parametrize(
    ("fields", "protocol"),
    [
        ({"epochs": 8}, "epochs 8 (published 50)"),
        ({"train_images": 500, "epochs": 1}, "epochs 1 (published 50); train_size 500 (published"),
        ({"units": [16]}, "units (16,) (published (32,))"),
    ],
)
@pytest.mark.parametrize("values", [(0.821, 0.821), (np.nan, 0.8)])
def test_runs_off_the_protocol_get_no_other_outcome(fields, protocol, values):
    runs = baseline(values=values)
    for field, value in fields.items():
        runs[field] = [value] * len(runs)
    row = answer(runs)
    assert row["outcome"] == "open"
    assert row["reason"].startswith(f"not run as published: {protocol}")


@pytest.mark.parametrize(("epochs", "kept"), [(4, False), (5, True), (50, True)])
def test_a_protocol_may_give_a_least_number(epochs, kept):
    runs = baseline(optimizer="adam", batch_size=32, epochs=epochs, units=[32])
    runs["units"] = [[32]] * 3  # lists are as good as tuples
    row = answer(runs, "K-F5.2-acc")
    assert row["deviation"] == ("" if kept else "epochs 4 (published >= 5)")


@pytest.mark.parametrize(
    ("values", "outcome"),
    [
        ((0.893, 0.899, 0.899), "reproduced"),  # 0.9 lies within
        ((0.870, 0.8701, 0.8702), "not reproduced"),
        ((0.890, 0.900, 0.910), "open"),
        ((0.950, 0.960, 0.970), "reproduced"),  # wide, but above as a whole
    ],
)
def test_bounds(values, outcome):
    assert answer(baseline("lowest_cnn_accuracy", values), "K-S6-over0.9")["outcome"] == outcome


@pytest.mark.parametrize(
    ("values", "measured", "outcome"),
    [
        ((50, 50, 50, 50, 50), "5 of 5 at the end, 50", "open"),
        ((9, 10, 50, 11, 12), "10.5, 1 of 5 at the end, 50", "open"),
        ((50,) * 40, "40 of 40 at the end, 50", "not reproduced"),
        ((9, 9, 9, 10, 9), "9.2 ± 0.6", "reproduced"),
        ((30, 31, 33, 30, 31), "31.0 ± 1.5", "not reproduced"),
    ],
)
def test_a_value_at_the_cap_is_only_known_to_lie_beyond(monkeypatch, values, measured, outcome):
    changed(monkeypatch, "M-4-earlystop-epoch", value=9.0)
    fields = dict(name="early stopping", train_images=60_000, batch_size=32, learning_rate=0.1)
    row = answer(baseline("stop_epoch", values, **fields, stopping="a rule"), "M-4-earlystop-epoch")
    assert (row["measured"], row["outcome"]) == (measured, outcome)


def test_where_all_seeds_lie_beyond_a_bound_it_holds(monkeypatch):
    name = "M-4-earlystop-epoch"
    changed(monkeypatch, name, value=9.0, bound="lower")
    fields = dict(name="early stopping", train_images=60_000, batch_size=32, learning_rate=0.1)
    runs = baseline("stop_epoch", (9, 50, 50), **fields, stopping="a rule")
    assert answer(runs, name)["outcome"] == "reproduced"
    assert answer(runs.assign(stop_epoch=(8, 50, 50)), name)["outcome"] == "open"


TWO = pd.concat([baseline(recipe="a"), baseline(recipe="b", batch_size=256)])


@pytest.mark.parametrize(
    ("runs", "name", "message"),
    [
        (TWO, "K-F2.2-acc", "K-F2.2-acc: ambiguous, several runs of one seed"),
        (baseline("val_accuracy"), "K-T3.1-0.0219", "no runs where .*0.0219"),
    ],
)
def test_runs_that_answer_nothing_are_named(runs, name, message):
    with pytest.raises(ValueError, match=message):
        evidence.table(runs, name)


def test_false_refutations_are_as_rare_as_promised(monkeypatch):
    """Where one more of our own runs was published, one in twenty fits no more."""
    random, refuted = np.random.default_rng(3), 0
    frame, row = baseline(values=[0.0] * 5), numbers.published()["K-F2.2-acc"]
    for *values, new in random.normal(0.821, 0.004, size=(400, 6)):
        drawn = row.model_copy(update={"value": round(new, 3)})
        monkeypatch.setattr(numbers, "published", lambda drawn=drawn: {drawn.id: drawn})
        found = readings(frame.assign(test_accuracy=values), "K-F2.2-acc")
        refuted += found["fits"][0] == "no"
    assert refuted / 400 == pytest.approx(0.05, abs=0.022)


@pytest.mark.slow
def test_the_simulated_rates_are_those_of_the_rules(monkeypatch):
    """What the summary says of how often the rules err follows from the rules themselves."""
    random, draws, passed, apart, seeds = np.random.default_rng(4), 300, 0, 0.02, 5
    row = numbers.published()["K-F2.2-acc"]
    frame = baseline(values=[0.0] * seeds)
    for _ in range(draws):
        first = 0.5 + random.normal(0, apart)
        drawn = row.model_copy(update={"value": first + 0.02 + random.normal(0, 0.004)})
        monkeypatch.setattr(numbers, "published", lambda drawn=drawn: {drawn.id: drawn})
        readings = [first, 0.5 + random.normal(0, apart)]
        runs = [
            frame.assign(test_accuracy=random.normal(mean, 0.004, seeds), momentum=i / 10)
            for i, mean in enumerate(readings)
        ]
        passed += answer(pd.concat(runs))["outcome"].startswith("reproduced")
    _, expected = statistics.false_outcomes(2, seeds, apart=apart)
    assert passed / draws == pytest.approx(expected, abs=0.08)


def test_a_true_number_is_hardly_ever_refused_and_more_readings_let_more_pass():
    rates = {k: statistics.false_outcomes(k, 10) for k in (1, 4, 12)}
    assert max(refused for refused, _ in rates.values()) < 0.01
    assert rates[1][1] < 0.05 < rates[4][1] < rates[12][1]
    assert statistics.false_outcomes(1, 1) == (0.0, 0.0), "one seed leaves all open"


# --- facts ------------------------------------------------------------------------------------
