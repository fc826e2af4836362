"""Published numbers: their data are complete, and their verdicts follow from runs and readings."""

from collections import Counter
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from scipy import stats

from fmnist_keras.evidence import answers, judgment, numbers, readings
from fmnist_keras.recipe import Recipe

NOTEBOOKS = {
    "01_data", "02_baseline", "03_learning_rate", "04_optimizers", "05_batch_size",
    "06_architectures", "07_mlp_capacity", "08_dropout", "09_weight_penalties",
    "10_early_stopping", "11_normalization_and_initialization", "12_combined", "13_missing_pixels",
}  # fmt: skip
FIELDS = {*Recipe.model_fields, "train_size", "stopping", "rates"}
METRICS = {
    "test_loss", "test_accuracy", "test_accuracy_batch_mean", "restored_test_accuracy",
    "val_accuracy", "running_accuracy", "train_accuracy", "restored_train_accuracy",
    "running_loss", "first_running_loss", "first_val_loss", "lowest_val_loss", "stop_epoch",
    "best_epoch", "best_epoch_from_zero", "lead_epochs", "meet_epoch", "adam_epochs",
    "val_accuracy_lead", "test_accuracy_lead", "lowest_cnn_accuracy", "best_learning_rate", "fact",
}  # fmt: skip
ROW = """
- {id: K-X, report: K, section: section 1, quantity: test accuracy, condition: all, value: 0.82,
   rounding: 0.01, unit: fraction, metric: test_accuracy, where: {}, protocol: {epochs: 50},
   notebook: 02_baseline}
"""


@pytest.fixture
def row_file(tmp_path):
    """Write YAML text to a file and return its path."""

    def write(text):
        path = tmp_path / "rows.yaml"
        path.write_text(text)
        return path

    return write


def baseline(metric="test_accuracy", values=(0.82, 0.822, 0.821), **fields):
    """A runs frame of the Keras study's baseline, one row per value, with some fields changed."""
    recipe = {**Recipe().model_dump(), "recipe": "a", "train_images": 54_000}
    rows = [recipe | fields | {"seed": i, metric: value} for i, value in enumerate(values)]
    return pd.DataFrame(rows)


def answer(runs, pattern="K-F2.2-acc"):
    """The only row of a table."""
    (row,) = answers.table(runs, pattern).to_dict("records")
    return row


def changed(monkeypatch, name="K-F2.2-acc", **fields):
    """Make the number's row another one."""
    row = numbers.published()[name].model_copy(update=fields)
    monkeypatch.setattr(numbers, "published", lambda: {row.id: row})


# --- the data ---------------------------------------------------------------------------------


def test_every_published_number_is_there():
    rows = numbers.published()
    counts = Counter((row.report, row.fact) for row in rows.values())
    assert {report: counts[report, False] for report in "KPDMI"} == dict(K=46, P=19, D=5, M=22, I=6)
    assert {report: counts[report, True] for report in "KPDMI"} == dict(K=10, P=1, D=3, M=1, I=1)
    assert len(rows) == 114
    assert all(name == row.id and name[0] == row.report for name, row in rows.items())


def test_rows_use_the_vocabulary_of_recipes_and_runs():
    rows = numbers.published().values()
    assert {row.notebook for row in rows} == NOTEBOOKS
    assert {metric for row in rows for metric in row.metric} == METRICS
    for row in rows:
        fields = {*row.where, *row.protocol, *row.open, *row.fitted, row.each, row.ends} - {None}
        assert fields <= FIELDS, row.id
        assert set(row.fitted) <= set(row.open), row.id
        assert row.fact == (row.protocol == {}), row.id
        assert isinstance(row.value, float) or row.fact, row.id
        assert isinstance(row.where.get("name", ""), str), row.id
        assert row.unit != "fraction" or 0 < row.value < 1, row.id
        assert row.unit != "percent" or 50 < row.value < 100, row.id


def test_numbers_refer_to_numbers():
    rows = numbers.published()
    for row in rows.values():
        for other in filter(None, (row.than, row.same_as)):
            assert rows[other].unit == row.unit, row.id
            assert other != row.id
        if row.same_as:  # the same run, printed again, perhaps to another digit
            assert rows[row.same_as].value == pytest.approx(row.value, abs=row.rounding), row.id
    assert sum(bool(row.same_as) for row in rows.values()) == 5


@pytest.mark.parametrize(
    ("name", "printed"),
    [
        ("K-T3.1-4.617", "0.0990"),
        ("K-T6.1-DropoutCNN-acc", "0.900"),
        ("K-S6-VGG", "≈ 0.92"),
        ("K-S6-over0.9", "> 0.9"),
        ("P-3.2-second-train", "just below 92"),
        ("P-3.3-third-train", "92.20"),
        ("D-4-Adam-dval", "≈ 2.5"),
        ("D-4-early", "> 9"),
        ("M-T5-BN-train", "0.8816"),
        ("M-T2-shallow50-train", "0.893367"),
        ("K-DATA", "70000, 60000, 10000"),
    ],
)
def test_numbers_are_shown_as_printed(name, printed):
    assert numbers.published()[name].printed == printed


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("rounding:", "roundng:", "rows.yaml, row 1: rounding: Field required"),
        ("notebook:", "ntoe: x, notebook:", "row 1: ntoe = 'x': Extra inputs"),
        ("value: 0.82", "value: '0.82'", "row 1: value = '0.82': Input should be a valid number"),
        ("rounding: 0.01", "rounding: 1e-2", "row 1: rounding = '1e-2': Input should be a valid"),
        ("rounding: 0.01", "rounding: 0", "row 1: rounding = 0: Input should be greater than 0"),
        ("value: 0.82", "value: .nan", "row 1: value = nan: Input should be a finite number"),
        ("report: K", "report: Q", "row 1: report = 'Q'"),
        ("unit: fraction", "unit: pp", "row 1: unit = 'pp'"),
        ("epochs: 50", "epochs: true", "row 1: protocol"),
        ("02_baseline", "baseline", "row 1: notebook = 'baseline'"),
        (ROW, "- just text", "row 1: row = 'just text'"),
        (ROW, ROW + ROW, "row 2: the id K-X stands in the file twice"),
    ],
)
def test_a_bad_row_fails_in_one_line(row_file, old, new, message):
    assert list(numbers.load(row_file(ROW))) == ["K-X"]
    with pytest.raises(ValueError) as error:  # noqa: PT011
        numbers.load(row_file(ROW.replace(old, new)))
    assert message in str(error.value)
    assert "\n" not in str(error.value)


# --- selection --------------------------------------------------------------------------------


def test_select_by_id_and_by_prefix():
    def ids(pattern):
        return [row.id for row in numbers.select(pattern)]

    assert ids("K-T3.1-0.0219") == ["K-T3.1-0.0219"]
    assert ids("K-S6-VGG") == ["K-S6-VGG"]  # an exact id wins over a prefix
    assert len(ids("K-T3.1")) == 8
    assert ids("P-3") == [f"P-3.{i}-{s}" for i in ["1-simple", "2-second", "3-third"]
                          for s in ["train", "test"]]  # fmt: skip
    assert ids("D-4-Adam") == ["D-4-Adam-dval", "D-4-Adam-dtest"]  # not D-4-Adam1
    assert ids(("M-7", "K-T4.1-SGD", "K-T4.1"))[:3] == [
        "M-7-mix-epoch",
        "K-T4.1-SGD",
        "K-T4.1-Adadelta",
    ]
    assert len(ids(["K-T4.1-SGD", "K-T4.1"])) == 5


def test_a_prefix_ends_at_a_word(monkeypatch):
    template = numbers.published()["K-T3.1-0.0219"]
    names = ["K-T3.1-a", "K-T3.10-a", "K-T3.1x"]
    rows = {name: template.model_copy(update={"id": name}) for name in names}
    monkeypatch.setattr(numbers, "published", lambda: rows)
    assert [row.id for row in numbers.select("K-T3.1")] == ["K-T3.1-a"]
    assert [row.id for row in numbers.select("K-T3")] == names


@pytest.mark.parametrize("pattern", ["K-T3.2", "K-T3.", "", "T3.1", ["K-T4.1", "K-T3.2"]])
def test_an_unknown_pattern_is_named(pattern):
    with pytest.raises(ValueError, match="no published number") as error:
        numbers.select(pattern)
    if "K-T3.2" in pattern:
        assert "'K-T3.2'" in str(error.value)
        assert "K-T3.1" in str(error.value)


# --- readings and answers ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "low", "high"),
    [
        ("K-F2.2-acc", 0.8205, 0.8215),
        ("K-S3-loss", 0.25, 0.35),
        ("P-3.2-second-train", 91, 92),  # nearly 92
        ("K-S4-val", 0.845, 0.855),
        ("K-S6-over0.9", 0.9, np.inf),
        ("D-4-Adam-dval", 2, 3),
    ],
)
def test_what_would_be_printed_so(name, low, high):
    assert numbers.published()[name].range == pytest.approx((low, high))


def test_a_row_of_the_table():
    table = answers.table(baseline(values=(0.82, 0.822, 0.824)), "K-F2.2-acc")
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
        "verdict": "reproduced",
        "assumed": "momentum 0, initializer glorot_uniform",
        "readings": 1,
    }
    assert row["new_run"] == pytest.approx((0.822 - half, 0.822 + half))
    assert row["p"] == pytest.approx(2 * stats.t.sf(0.0005 / (half / t), 2))
    assert row["as_extreme"] == pytest.approx(2 / 3)


@pytest.mark.parametrize(
    ("values", "verdict"),
    [
        ((0.820, 0.822, 0.821), "reproduced"),
        ((0.850, 0.852, 0.851), "not reproduced under any reading"),
        ((0.790, 0.792, 0.791), "not reproduced under any reading"),
        ((0.812, 0.820, 0.828), "undecided"),  # wide, as there are few seeds
        ((0.780, 0.820, 0.860), "compatible, but one run says little"),  # wide for any number
        ((0.500, 0.501, 0.600), "not reproduced under any reading"),  # wide, and yet it denies
        ((0.821,), "undecided"),
        ((0.821, np.nan, 0.821), "undecided"),
    ],
)
def test_verdicts(values, verdict):
    row = answer(baseline(values=values))
    assert (row["verdict"], row["n"]) == (verdict, len(values))


def test_nothing_left_open_means_not_reproduced(monkeypatch):
    changed(monkeypatch, open=())
    row = answer(baseline(values=(0.850, 0.852, 0.851)))
    assert (row["verdict"], row["assumed"]) == ("not reproduced", "nothing")


@pytest.mark.parametrize(("half_width", "verdict"), [(0.0199, "reproduced"), (0.0201, "undecided")])
def test_the_tolerance_of_an_accuracy_is_two_points(half_width, verdict):
    sd = half_width / (4.302653 * np.sqrt(4 / 3))  # t for 2 degrees of freedom
    assert answer(baseline(values=(0.821 - sd, 0.821, 0.821 + sd)))["verdict"] == verdict


def test_the_tolerance_of_a_loss_is_a_share_of_it():
    # published 0.51 ± 15 % = ± 0.0765; half-width 4.97 · spread
    def verdict(spread):
        values = (0.51 - spread, 0.51, 0.51 + spread)
        return answer(baseline("test_loss", values), "K-F2.2-loss")["verdict"]

    assert verdict(0.0153) == "reproduced"
    assert verdict(0.0155) == "undecided"


def test_an_undecided_number_says_how_many_seeds_would_decide():
    row = answer(baseline(values=(0.812, 0.820, 0.828)))
    n = row["seeds needed"]
    assert stats.t.ppf(0.975, n - 1) * 0.008 * np.sqrt(1 + 1 / n) <= 0.02
    assert stats.t.ppf(0.975, n - 2) * 0.008 * np.sqrt(1 + 1 / (n - 1)) > 0.02


def test_rounding_widens():
    def verdict(mean, name):
        runs = baseline("test_loss", [mean - 1e-4, mean, mean + 1e-4], learning_rate=0.0219)
        return answer(runs, name)["verdict"]

    assert verdict(0.3502, "K-S3-loss") == "reproduced"  # "0.3" may be anything up to 0.35
    assert verdict(0.3520, "K-S3-loss").startswith("not reproduced")
    assert verdict(0.4393, "K-F3.2-loss") == "reproduced"
    assert verdict(0.4410, "K-F3.2-loss").startswith("not reproduced")


def mlp(metric, values, **fields):
    """Runs of the PyTorch assignment's second model."""
    protocol = dict(name="128-128", units=(128, 128), epochs=15, train_images=50_000, batch_size=64)
    return baseline(
        metric, values, **protocol, optimizer="adam", **{"learning_rate": 0.001} | fields
    )


def test_percentages_compare_with_fractions():
    row = answer(mlp("test_accuracy", (0.871, 0.872, 0.873)), "P-3.2-second-test")
    assert (row["published"], row["verdict"]) == ("87.21", "reproduced")
    assert row["measured"] == f"87.20 ± {stats.t.ppf(0.975, 2) * 0.1 / np.sqrt(3):.2f}"


def test_running_and_evaluated_accuracy_are_readings():
    runs = mlp("running_accuracy", (0.9236, 0.9237, 0.9238))
    runs["train_accuracy"] = (0.9150, 0.9151, 0.9152)
    row = answer(runs, "P-3.2-second-train")  # nearly 92
    assert row["verdict"] == "reproduced under another reading"
    assert row["assumed"].startswith("accuracy evaluated after training, activation sigmoid")
    both = readings(runs, "P-3.2-second-train")
    assert list(both["verdict"]) == ["not reproduced", "reproduced"]
    runs["train_accuracy"] += 0.02
    row = answer(runs, "P-3.2-second-train")
    assert (row["verdict"], row["readings"]) == ("not reproduced under any reading", 2)
    assert row["measured"].startswith("92.37")  # the nearer one


def penalized(**fields):
    protocol = dict(name="L2", epochs=10, train_images=60_000, batch_size=32, recipe=str(fields))
    return baseline("test_accuracy_batch_mean", **protocol, **fields)


def test_runs_that_differ_in_what_is_open_are_readings():
    fits, misses = (0.850, 0.851, 0.852), (0.870, 0.871, 0.872)
    runs = [penalized(l2=1e-3, values=misses), penalized(l2=1e-2, values=fits)]
    row = answer(pd.concat(runs), "M-T7-L2-test")
    assert (row["verdict"], row["readings"]) == ("reproduced under another reading", 2)
    assert "l2 0.01" in row["assumed"]
    assert answer(pd.concat(runs[::-1]), "M-T7-L2-test")["verdict"] == "reproduced"
    row = answer(runs[0], "M-T7-L2-test")
    assert row["verdict"] == "not reproduced under any reading"
    three = pd.concat([*runs, penalized(l2=1e-3, learning_rate=0.1, values=misses)])
    assert len(readings(three, "M-T7-L2-test")) == 3


def test_the_p_value_is_that_of_the_reading_that_comes_nearest():
    runs = [penalized(l2=rate, values=np.add((0.870, 0.871, 0.872), 10 * rate))
            for rate in (1e-3, 1e-4)]  # fmt: skip
    each = readings(pd.concat(runs), "M-T7-L2-test")
    assert answer(pd.concat(runs), "M-T7-L2-test")["p"] == each["p"].max()


def test_a_reading_that_was_chosen_because_it_fits_is_named():
    fields = dict(name="dropout", epochs=10, train_images=60_000, batch_size=32, dropout=0.2,
                  learning_rate=0.1)  # fmt: skip
    runs = pd.concat(
        baseline("test_accuracy_batch_mean", values, **fields, units=units, recipe=str(units))
        for units, values in {(50, 50): (0.867, 0.868, 0.869), (10, 10): (0.80, 0.81, 0.82)}.items()
    )
    row = answer(runs, "M-T3-dropout-test")
    assert row["verdict"] == "reproduced"
    assert "units 50-50 (chosen because it fits)" in row["assumed"]
    assert "fits" not in readings(runs, "M-T3-dropout-test")["assumed"][1]


def test_what_is_said_of_each_must_hold_for_each():
    def runs(**values):
        each = [
            baseline("test_loss", np.add(value, (0, 1e-4, 2e-4)), optimizer=name, recipe=name)
            for name, value in values.items()
        ]
        return pd.concat(each)

    row = answer(runs(adam=0.36, nadam=0.361, rmsprop=0.359), "K-S4-loss")
    assert (row["verdict"], row["readings"]) == ("reproduced", 1)
    row = answer(runs(adam=0.36, nadam=0.42, rmsprop=0.36), "K-S4-loss")
    assert row["verdict"] == "not reproduced under any reading"
    assert row["measured"].startswith("0.4201")


@pytest.mark.parametrize(
    ("fields", "protocol"),
    [
        ({"epochs": 8}, "epochs 8 (published 50)"),
        ({"train_images": 500, "epochs": 1}, "epochs 1 (published 50); train_size 500 (published"),
        ({"units": [16]}, "units (16,) (published (32,))"),
        ({"learning_rate": 0.1}, "learning_rate 0.1 (published 0.01)"),
    ],
)
@pytest.mark.parametrize("values", [(0.821, 0.821), (0.1, 0.1), (0.821,), (np.nan, 0.8)])
def test_runs_off_the_protocol_get_no_other_verdict(fields, protocol, values):
    runs = baseline(values=values)
    for field, value in fields.items():
        runs[field] = [value] * len(runs)
    row = answer(runs)
    assert row["verdict"] == "not run at full protocol"
    assert row["protocol"].startswith(protocol)


def test_the_protocol_counts_the_images_trained_on_and_takes_units_as_lists():
    runs = baseline(train_size=None)
    runs["units"] = [[32]] * 3
    assert answer(runs)["protocol"] == "as published"


def test_narrow_networks_are_off_the_protocol():
    runs = baseline(name="VGG-16", width_multiplier=0.25)
    row = answer(runs, "K-T6.1-VGG16-acc")
    assert row["protocol"] == "width_multiplier 0.25 (published 1.0)"
    full = answer(runs.assign(width_multiplier=1.0), "K-T6.1-VGG16-acc")
    assert full["protocol"] == "as published"


@pytest.mark.parametrize(("epochs", "kept"), [(4, False), (5, True), (50, True)])
def test_a_least_number_of_epochs(epochs, kept):
    runs = baseline(values=(0.855, 0.855, 0.856), optimizer="adam", batch_size=32, epochs=epochs)
    row = answer(runs, "K-F5.2-acc")
    assert row["protocol"] == ("as published" if kept else "epochs 4 (published >= 5)")
    assert (row["verdict"] == "not run at full protocol") != kept


@pytest.mark.parametrize(
    ("values", "verdict"),
    [
        ((0.905, 0.906, 0.907), "reproduced"),
        ((0.893, 0.899, 0.899), "reproduced"),  # 0.9 lies within
        ((0.870, 0.871, 0.872), "not reproduced under any reading"),
        ((0.890, 0.900, 0.910), "undecided"),
        ((0.950, 0.960, 0.970), "reproduced"),  # wide, but above as a whole
    ],
)
def test_bounds(values, verdict):
    assert answer(baseline("lowest_cnn_accuracy", values), "K-S6-over0.9")["verdict"] == verdict


@pytest.mark.parametrize(
    ("values", "measured", "verdict"),
    [
        ((50, 50, 50, 50, 50), "5 of 5 at the end, 50", "undecided"),
        ((9, 10, 50, 11, 12), "10.5, 1 of 5 at the end, 50", "undecided"),
        ((50,) * 40, "40 of 40 at the end, 50", "not reproduced under any reading"),
        ((9, 9, 9, 10, 9), "9.2 ± 0.6", "reproduced"),
        ((30, 31, 33, 30, 31), "31.0 ± 1.5", "not reproduced under any reading"),
    ],
)
def test_a_value_at_the_cap_is_only_known_to_lie_beyond(monkeypatch, values, measured, verdict):
    changed(monkeypatch, "M-4-earlystop-epoch", value=9.0)
    fields = dict(name="early stopping", train_images=60_000, batch_size=32, learning_rate=0.1)
    runs = baseline("stop_epoch", values, **fields, stopping="a rule")
    row = answer(runs, "M-4-earlystop-epoch")
    assert row["measured"] == measured
    assert row["verdict"] == verdict


def test_where_all_seeds_lie_beyond_a_bound_it_holds(monkeypatch):
    runs = baseline("lead_epochs", (9, 50, 50), batch_size=512, activation="relu", momentum=0.0)
    assert answer(runs, "D-4-early")["verdict"] == "reproduced"
    assert answer(runs.assign(lead_epochs=(8, 50, 50)), "D-4-early")["verdict"] == "undecided"


def test_a_family_shares_its_spread(monkeypatch):
    by_luck, usual = (0.8709, 0.871, 0.8711), (0.86, 0.87, 0.88)
    fields = dict(optimizer="adam", learning_rate=0.001)
    runs = pd.concat(
        [
            baseline(values=by_luck, name="Dropout ANN", dropout=0.2, recipe="d", **fields),
            baseline(values=usual, name="Deep ANN", units=(32, 32, 32), recipe="e", **fields),
        ]
    )
    table = answers.table(runs, "K-T6.1-DropoutANN-acc", "K-T6.1-DeepANN-acc")
    assert list(table["SD"]) == ["0.0071", "0.0100"]


def test_points_are_hundredths():
    runs = baseline("test_accuracy_lead", (0.024, 0.025, 0.026), batch_size=512, units=(128,))
    row = answer(runs, "D-4-Adam-dtest")
    assert (row["measured"][:4], row["verdict"]) == ("2.50", "reproduced")


def test_rows_are_picked_by_where_and_stand_in_order():
    rates = {0.00015: 0.10, 0.0005: 0.21, 0.0008: 0.43, 0.0032: 0.61,
             0.006: 0.70, 0.0219: 0.76, 1.62: 0.09, 4.617: 0.10}  # fmt: skip
    frames = [
        baseline("val_accuracy", (value, value), learning_rate=rate, recipe=str(rate), epochs=5)
        for rate, value in rates.items()
    ]
    table = answers.table(pd.concat(reversed(frames)), "K-T3.1")
    assert list(table.index) == list(range(8))
    assert list(table["measured"]) == [f"{value:.4f} ± 0.0000" for value in rates.values()]


def test_ambiguous_runs_are_refused():
    two = pd.concat([baseline(recipe="a"), baseline(recipe="b", batch_size=256)])
    with pytest.raises(ValueError, match=r"K-F2.2-acc: ambiguous, 6 runs of 2 recipes"):
        answers.table(two, "K-F2.2-acc")
    with pytest.raises(ValueError, match=r"K-F2.2-acc: ambiguous, 6 runs of 1 recipes"):
        answers.table(pd.concat([baseline(), baseline()]), "K-F2.2-acc")


def test_where_may_have_several_fields(monkeypatch):
    changed(monkeypatch, where={"optimizer": "adam", "epochs": 50, "units": (32,)})
    assert answer(baseline(optimizer="adam"))["n"] == 3
    with pytest.raises(ValueError, match=r"no runs where .*adam.*epochs"):
        answers.table(baseline(), "K-F2.2-acc")


def test_missing_runs_and_columns_are_named():
    with pytest.raises(ValueError, match=r"K-T3.1-0.0219: no runs where .*0.0219"):
        answers.table(baseline("val_accuracy"), "K-T3.1-0.0219")
    with pytest.raises(ValueError, match=r"K-F2.2-acc: no runs"):
        answers.table(baseline().iloc[:0], "K-F2.2-acc")
    with pytest.raises(ValueError, match=r"K-F2.2-loss: the runs have no column test_loss"):
        answers.table(baseline(), "K-F2.2-loss")
    with pytest.raises(ValueError, match=r"K-F2.2-acc: the runs have no column units"):
        answers.table(baseline().drop(columns="units"), "K-F2.2-acc")
    with pytest.raises(ValueError, match="only facts"):
        answers.table(baseline(), "K-F2.1")


def test_false_refutations_are_as_rare_as_promised():
    """Where one more of our own runs was published, one in twenty is called not reproduced."""
    random, refuted = np.random.default_rng(3), 0
    for *values, new in random.normal(0.821, 0.004, size=(600, 6)):
        row = numbers.published()["K-F2.2-acc"].model_copy(update={"value": round(new, 3)})
        judged = judgment._judged(row, baseline(values=values), np.array(values), 0.0)
        refuted += judged["verdict"] == "not reproduced"
    assert refuted / 600 == pytest.approx(0.05, abs=0.02)


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
    table = answers.facts(measured).set_index("id")
    yes, no = "reproduced", "not reproduced"
    assert list(table["verdict"]) == [yes, no, yes, yes, no, no]
    assert list(table.loc["K-S2-steps", ["published", "ours"]]) == ["469", "422"]
    assert table.loc["I-ARCH", "ours"] == "256, 64, 28"


@pytest.mark.parametrize("name", ["K-F2.2-acc", "K-F2.1", "K-F2.1-x"])
def test_only_facts_are_facts(name):
    with pytest.raises(ValueError, match=r"not the id of a fact|no published number"):
        answers.facts({name: 1})


def test_a_learning_rate_is_compared_on_a_log_scale():
    row = answer(
        baseline("best_learning_rate", (0.5, 1.0, 2.0), epochs=5, rates="grid"), "K-S3-bestlr"
    )
    half = stats.t.ppf(0.975, 2) * np.log10(2)
    new = half * np.sqrt(1 + 1 / 12) * np.sqrt(4 / 3)  # the best of a grid: uniform within a step
    assert row["new_run"] == pytest.approx((-new, new))
    assert row["measured"] == f"1.0000 ×÷ {10 ** (half / np.sqrt(3)):.1f}"
    near = answer(
        baseline("best_learning_rate", (0.021, 0.022, 0.022, 0.022, 0.023), epochs=5, rates="grid"),
        "K-S3-bestlr",
    )
    assert near["verdict"] == "reproduced"


# --- the sources ------------------------------------------------------------------------------


def test_every_number_has_its_source():
    path = Path(numbers.__file__).with_name("sources.yaml")
    sources = yaml.safe_load(path.read_text("utf-8"))
    assert all(source["name"] and source["kind"] for source in sources)
    assert {source["id"] for source in sources} == {r.report for r in numbers.published().values()}
