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
FIELDS = {*Recipe.model_fields, "train_size", "stopping", "rates"}


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


def test_rows_name_recipe_fields_and_other_numbers():
    rows = numbers.published()
    for row in rows.values():
        fields = {*row.where, *row.protocol, *row.open, row.each, row.ends} - {None}
        assert fields <= FIELDS, row.id
        assert set(row.added) <= {*row.open, "metric"}, row.id
        same_run = [other for other in rows.values() if row.run and other.run == row.run]
        assert {(other.report, other.notebook, *other.where) for other in same_run} <= {
            (row.report, row.notebook, *row.where)
        }, row.id
        assert row.fact == (row.protocol == {}), row.id
        assert isinstance(row.value, float) or row.fact, row.id
        assert row.unit != "fraction" or 0 < row.value < 1, row.id
        assert row.unit != "percent" or 50 < row.value < 100, row.id
        for other in filter(None, (row.than, row.same_as)):
            assert rows[other].unit == row.unit, row.id
            assert other != row.id
        if row.same_as:  # the same run, printed again, perhaps to another digit
            assert rows[row.same_as].value == pytest.approx(row.value, abs=row.rounding), row.id


@pytest.mark.parametrize(
    ("name", "printed", "low", "high"),
    [
        ("K-F2.2-acc", "0.821", 0.8205, 0.8215),
        ("K-T3.1-4.617", "0.0990", 0.09895, 0.09905),
        ("K-S4-val", "≈ 0.85", 0.845, 0.855),
        ("K-S6-over0.9", "> 0.9", 0.9, np.inf),
        ("P-3.2-second-train", "just below 92", 91, 92),
        ("D-4-Adam-dval", "≈ 2.5", 2, 3),
    ],
)
def test_how_a_number_is_printed_and_what_would_be_printed_so(name, printed, low, high):
    row = numbers.published()[name]
    assert (row.printed, *row.range) == (printed, pytest.approx(low), pytest.approx(high))


@pytest.mark.parametrize(
    "change", [{"roundng": 1}, {"value": "high"}, {"unit": "pp"}, {"protocol": {"units": {}}}]
)
def test_a_row_that_is_not_as_it_should_be_is_refused(change):
    row = numbers.published()["K-F2.2-acc"].model_dump()
    with pytest.raises(ValueError, match=next(iter(change))):
        numbers.Published.model_validate(row | change)


def test_select_by_id_and_by_prefix():
    def ids(pattern):
        return [row.id for row in evidence.select(pattern)]

    assert ids("K-S6-VGG") == ["K-S6-VGG"]  # an exact id wins over a prefix
    assert len(ids("K-T3.1")) == 8
    assert ids("P-3.1") == ["P-3.1-simple-train", "P-3.1-simple-test"]  # ends at "-" or "."
    assert ids("D-4-Adam") == ["D-4-Adam-dval", "D-4-Adam-dtest"]  # not D-4-Adam1
    assert ids(("K-T4.1-SGD", "K-T4.1"))[:2] == ["K-T4.1-SGD", "K-T4.1-Adadelta"]
    assert len(ids(["K-T4.1-SGD", "K-T4.1"])) == 5  # no row twice


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


def test_one_seed_neither_fits_nor_misses():
    assert list(readings(baseline(values=(0.821,)), "K-F2.2-acc")["fits"]) == ["–"]


def test_the_level_is_shared_among_a_runs_numbers():
    runs = baseline(values=(0.8165, 0.8175, 0.8185))  # p = .06 of the accuracy
    assert answer(runs.assign(test_loss=0.0))["outcome"] == "reproduced"
    runs["test_loss"] = (0.509, 0.510, 0.511)
    table = evidence.table(runs, "K-F2.2")
    assert table["joint p"].iloc[0] == pytest.approx(2 * evidence.readings(
        runs, "K-F2.2-acc")["joint p"].iloc[0])  # fmt: skip


def test_the_nearest_of_the_readings_that_fit_answers_where_the_first_does_not():
    values = {0.0: 0.70, 0.5: 0.8185, 0.9: 0.821}
    runs = pd.concat(
        baseline(values=(v, v + 2e-3, v - 2e-3), momentum=m, recipe=str(m))
        for m, v in values.items()
    )
    row = answer(runs)
    assert (row["outcome"], row["assumed"][:12]) == (
        "reproduced under another reading", "momentum 0.9",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("name", "metric", "value", "tolerance"),
    [("K-F2.2-acc", "test_accuracy", 0.821, 0.02), ("K-F2.2-loss", "test_loss", 0.51, 0.0765)],
)
def test_the_tolerance_is_two_points_of_accuracy_or_a_share_of_a_loss(
    name, metric, value, tolerance
):
    def outcome(half_width):
        sd = half_width / (4.302653 * np.sqrt(4 / 3))  # t for 2 degrees of freedom
        return answer(baseline(metric, (value - sd, value, value + sd)), name)["outcome"]

    assert (outcome(0.99 * tolerance), outcome(1.01 * tolerance)) == ("reproduced", "open")


def mlp(metric, values, **fields):
    """Runs of the PyTorch assignment's second model."""
    protocol = dict(name="128-128", units=(128, 128), epochs=15, train_images=50_000, batch_size=64)
    return baseline(
        metric, values, **protocol, optimizer="adam", **{"learning_rate": 0.001} | fields
    )


def test_running_and_evaluated_accuracy_are_readings():
    runs = mlp("running_accuracy", (0.9236, 0.9237, 0.9238))
    runs["train_accuracy"] = (0.9150, 0.9151, 0.9152)
    row = answer(runs, "P-3.2-second-train")  # nearly 92
    assert row["outcome"] == "reproduced under another reading"
    assert row["assumed"].startswith("accuracy evaluated after training, activation sigmoid")
    assert list(readings(runs, "P-3.2-second-train")["fits"]) == ["no", "yes"]
    runs["train_accuracy"] += 0.02
    row = answer(runs, "P-3.2-second-train")
    assert (row["outcome"], row["readings"]) == ("not reproduced", 2)
    assert row["measured"].startswith("92.37")  # the nearer one
    assert row["p"] == readings(runs, "P-3.2-second-train")["joint p"].max()


def test_runs_that_differ_in_what_is_open_are_readings():
    def penalized(values, **fields):
        protocol = dict(name="L2", epochs=10, train_images=60_000, batch_size=32)
        recipe = str(fields)
        return baseline("test_accuracy_batch_mean", values, **protocol, recipe=recipe, **fields)

    misses, fits = (penalized((v, v + 0.001, v + 0.002), l2=l2) for v, l2 in
                    [(0.870, 1e-3), (0.850, 1e-2)])  # fmt: skip
    row = answer(pd.concat([misses, fits]), "M-T7-L2-test")
    assert (row["outcome"], row["readings"]) == ("reproduced under another reading", 2)
    assert "l2 0.01" in row["assumed"]
    assert answer(pd.concat([fits, misses]), "M-T7-L2-test")["outcome"] == "reproduced"
    assert answer(misses, "M-T7-L2-test")["fits"] == "no"
    third = penalized((0.870, 0.871, 0.872), l2=1e-3, learning_rate=0.1)
    assert len(readings(pd.concat([misses, fits, third]), "M-T7-L2-test")) == 3


def test_a_reading_that_was_chosen_because_it_fits_is_named():
    fields = dict(name="dropout", epochs=10, train_images=60_000, batch_size=32, dropout=0.2,
                  learning_rate=0.1)  # fmt: skip
    runs = pd.concat(
        baseline("test_accuracy_batch_mean", values, **fields, units=units, recipe=str(units))
        for units, values in {(50, 50): (0.867, 0.868, 0.869), (10, 10): (0.80, 0.81, 0.82)}.items()
    )
    first, second = readings(runs, "M-T3-dropout-test")["assumed"]
    assert "units 50-50 (chosen because it fits)" in first
    assert "units 10-10" in second
    assert "fits" not in second
    outcome = answer(runs, "M-T3-dropout-test")["outcome"]
    assert outcome == "reproduced under another reading", "not by what was stated alone"


def test_what_is_said_of_each_must_hold_for_each():
    def runs(**values):
        each = [
            baseline("test_loss", np.add(value, (0, 1e-4, 2e-4)), optimizer=name, recipe=name)
            for name, value in values.items()
        ]
        return pd.concat(each)

    row = answer(runs(adam=0.36, nadam=0.361, rmsprop=0.359), "K-S4-loss")
    assert (row["outcome"], row["readings"]) == ("reproduced", 1)
    row = answer(runs(adam=0.36, nadam=0.42, rmsprop=0.36), "K-S4-loss")
    assert row["outcome"] == "not reproduced"
    assert (row["measured"][:6], row["member"]) == ("0.4201", "nadam")


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


@pytest.mark.parametrize(("least", "sd"), [(0.0071, "0.0071"), (0.00005, "0.0001")])
def test_a_spread_that_is_small_by_luck_counts_as_the_least_one(least, sd):
    fields = dict(optimizer="adam", learning_rate=0.001, name="Dropout ANN", dropout=0.2)
    by_luck = baseline(values=(0.8709, 0.871, 0.8711), mlp_accuracy_sd=least, **fields)
    assert answer(by_luck, "K-T6.1-DropoutANN-acc")["SD"] == sd


def test_a_learning_rate_is_compared_on_a_log_scale():
    runs = baseline("best_learning_rate", (0.5, 1.0, 2.0), epochs=5, rates="grid")
    row = answer(runs, "K-S3-bestlr")
    half = stats.t.ppf(0.975, 2) * np.log10(2)
    new = half * np.sqrt(1 + 1 / 12) * np.sqrt(4 / 3)  # the best of a grid: uniform within a step
    assert row["new_run"] == pytest.approx((-new, new))
    assert row["measured"] == f"1.0000 ×÷ {10 ** (half / np.sqrt(3)):.1f}"


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


@pytest.mark.parametrize(("apart", "seeds"), [(0.0, 3), (0.02, 5)])
def test_the_simulated_rates_are_those_of_the_rules(monkeypatch, apart, seeds):
    """What the summary says of how often the rules err follows from the rules themselves."""
    random, draws, passed = np.random.default_rng(4), 300, 0
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


def test_facts():
    measured = {
        "K-F2.1-total": 25_450,
        "K-S2-steps": 422,
        "K-S2-sgdlr": np.float32(0.01),
        "I-ARCH": (256, 64, 28),
        "K-DATA": [70_000, 60_000],
        "D-DATA": [60_000, 10_000, 28, 27],
    }
    table = evidence.facts(measured).set_index("id")
    yes, no = "reproduced", "not reproduced"
    assert list(table["outcome"]) == [yes, no, yes, yes, no, no]
    assert list(table.loc["K-S2-steps", ["published", "ours"]]) == ["469", "422"]
    assert list(table.loc["I-ARCH", ["published", "ours"]]) == ["256, 64, 28"] * 2
