"""The ledger: its data are complete, and its arithmetic and verdicts are those it promises."""

from collections import Counter
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from scipy import stats

from fmnist_keras.evidence import numbers, statistics, verdicts

NOTEBOOKS = {
    "01_data", "02_baseline", "03_learning_rate", "04_optimizers", "05_batch_size",
    "06_architectures", "07_mlp_capacity", "08_dropout", "09_weight_penalties",
    "10_early_stopping", "11_normalization_and_initialization", "12_combined", "13_missing_pixels",
}  # fmt: skip
FIELDS = {
    "task", "train_size", "test_size", "units", "activation", "dropout", "batch_norm",
    "width_multiplier", "optimizer", "learning_rate", "momentum", "batch_size", "epochs",
    "patience", "min_delta", "name",
}  # fmt: skip
METRICS = {
    "test_loss", "test_accuracy", "test_accuracy_batch_mean", "val_accuracy", "train_loss",
    "running_accuracy", "stop_epoch", "best_epoch", "derived", "fact",
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
    recipe = {
        "recipe": "a", "name": "", "epochs": 50, "train_size": None, "train_images": 54_000,
        "test_size": 10_000, "batch_size": 128, "units": (32,), "activation": "sigmoid",
        "optimizer": "sgd", "learning_rate": 0.01, "width_multiplier": 1.0,
    }  # fmt: skip
    rows = [recipe | fields | {"seed": i, metric: value} for i, value in enumerate(values)]
    return pd.DataFrame(rows)


def answer(runs, pattern="K-F2.2-acc", values=None):
    """The only row of a table."""
    (row,) = verdicts.table(runs, pattern, values=values).to_dict("records")
    return row


# --- the data ---------------------------------------------------------------------------------


def test_every_published_number_is_there():
    rows = numbers.published()
    counts = Counter((row.report, row.metric == "fact") for row in rows.values())
    assert {report: counts[report, False] for report in "KPDMI"} == dict(K=46, P=19, D=5, M=22, I=6)
    assert {report: counts[report, True] for report in "KPDMI"} == dict(K=10, P=1, D=3, M=1, I=1)
    assert len(rows) == 114
    assert all(name == row.id and name[0] == row.report for name, row in rows.items())


def test_rows_use_the_vocabulary_of_recipes_and_runs():
    rows = numbers.published().values()
    assert {row.notebook for row in rows} == NOTEBOOKS
    assert {row.metric for row in rows} == METRICS
    assert {field for row in rows for field in (*row.where, *row.protocol)} == FIELDS
    for row in rows:
        assert (row.metric == "fact") == (row.protocol == {}), row.id
        assert isinstance(row.value, float) or row.metric == "fact", row.id
        assert isinstance(row.where.get("name", ""), str), row.id
        assert row.unit != "fraction" or 0 < row.value < 1, row.id
        assert row.unit != "percent" or 50 < row.value < 100, row.id


@pytest.mark.parametrize(
    ("name", "printed"),
    [
        ("K-T3.1-4.617", "0.0990"),
        ("K-T6.1-DropoutCNN-acc", "0.900"),
        ("K-S6-VGG", "≈ 0.92"),
        ("K-S6-over0.9", "> 0.9"),
        ("P-3.2-second-train", "≈ 92"),
        ("P-3.3-third-train", "92.20"),
        ("D-4-Adam-dval", "≈ 2.5"),
        ("D-4-early", "< 10"),
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


# --- intervals --------------------------------------------------------------------------------


def test_intervals_by_hand():
    values = [1.0, 2.0, 3.0, 6.0]  # mean 3, variance (4 + 1 + 0 + 9) / 3
    s, t = np.sqrt(14 / 3), 3.182446305
    assert t == pytest.approx(stats.t.ppf(0.975, 3), abs=1e-9)
    assert statistics.interval(values) == pytest.approx((3, 3 - t * s / 2, 3 + t * s / 2))
    half = t * s * np.sqrt(1.25)
    assert statistics.prediction_interval(values) == pytest.approx((3 - half, 3 + half))
    rounded = statistics.prediction_interval(values, rounding=0.5)
    assert rounded == pytest.approx((3 - half - 0.25, 3 + half + 0.25))


def test_interval_levels_agree_with_scipy():
    values, level = np.array([0.81, 0.83, 0.85]), 0.8
    expected = stats.t.interval(level, 2, loc=values.mean(), scale=stats.sem(values))
    assert statistics.interval(values, level)[1:] == pytest.approx(expected)
    half = stats.t.ppf(0.9, 2) * values.std(ddof=1) * np.sqrt(4 / 3)
    low, high = statistics.prediction_interval(values, level=level)
    assert (low, high) == pytest.approx((0.83 - half, 0.83 + half))


def test_a_prediction_interval_covers_new_values_at_its_level():
    draws = np.random.default_rng(0).normal(size=(4000, 6))
    bounds = [statistics.prediction_interval(draw[:5]) for draw in draws]
    hits = np.mean(
        [low <= draw[5] <= high for (low, high), draw in zip(bounds, draws, strict=True)]
    )
    assert hits == pytest.approx(0.95, abs=0.015)


def test_intervals_of_too_few_values():
    assert statistics.interval([0.8]) == pytest.approx((0.8, np.nan, np.nan), nan_ok=True)
    bounds = statistics.prediction_interval([0.8], rounding=0.1)
    assert bounds == pytest.approx((np.nan, np.nan), nan_ok=True)
    assert statistics.interval([0.8, 0.8]) == (0.8, 0.8, 0.8)
    with pytest.raises(ValueError, match="no values"):
        statistics.prediction_interval([])


# --- the table --------------------------------------------------------------------------------


def test_a_row_of_the_table():
    table = verdicts.table(baseline(values=(0.82, 0.822, 0.824)), "K-F2.2-acc")
    assert list(table.columns) == [
        "id", "condition", "quantity", "published", "measured", "n", "one new run", "verdict",
        "protocol",
    ]  # fmt: skip
    t = stats.t.ppf(0.975, 2)
    half = t * 0.002 * np.sqrt(4 / 3) + 0.0005
    assert table.loc[0].to_dict() == {
        "id": "K-F2.2-acc",
        "condition": "baseline: SGD, learning rate 0.01",
        "quantity": "test accuracy",
        "published": "0.821",
        "measured": f"0.8220 ± {t * 0.002 / np.sqrt(3):.4f}",
        "n": 3,
        "one new run": f"{0.822 - half:.4f} to {0.822 + half:.4f}",
        "verdict": "plausible",
        "protocol": "as published",
    }


@pytest.mark.parametrize(
    ("values", "verdict"),
    [
        ((0.820, 0.822, 0.821), "plausible"),
        ((0.850, 0.852, 0.851), "not plausible"),
        ((0.790, 0.792, 0.791), "not plausible"),
        ((0.800, 0.820, 0.840), "too wide to tell"),
        ((0.500, 0.501, 0.600), "not plausible"),  # wide, and yet it rules 0.821 out
        ((0.821,), "one seed, no interval"),
        ((0.821, np.nan, 0.821), "undefined in 1 of 3 runs"),
    ],
)
def test_verdicts(values, verdict):
    row = answer(baseline(values=values))
    assert (row["verdict"], row["n"]) == (verdict, len(values))
    assert (row["one new run"] == "–") == (len(values) == 1 or "undefined" in verdict)


@pytest.mark.parametrize(
    ("half_width", "verdict"), [(0.0199, "plausible"), (0.0201, "too wide to tell")]
)
def test_the_tolerance_of_an_accuracy_is_two_points(half_width, verdict):
    sd = (half_width - 0.0005) / (4.302653 * np.sqrt(4 / 3))  # t for 2 degrees of freedom
    assert answer(baseline(values=(0.821 - sd, 0.821, 0.821 + sd)))["verdict"] == verdict


def test_the_tolerance_of_a_loss_is_a_share_of_it():
    # published 0.51 ± 15 % = ± 0.0765; half-width 4.97 · spread + 0.005
    def verdict(spread):
        values = (0.51 - spread, 0.51, 0.51 + spread)
        return answer(baseline("test_loss", values), "K-F2.2-loss")["verdict"]

    assert verdict(0.0143) == "plausible"
    assert verdict(0.0145) == "too wide to tell"


def test_rounding_widens():
    def verdict(mean, name):
        runs = baseline("test_loss", [mean - 1e-4, mean, mean + 1e-4], learning_rate=0.0219)
        return answer(runs, name)["verdict"]

    assert verdict(0.349, "K-S3-loss") == "plausible"  # "0.3" may be anything up to 0.35
    assert verdict(0.352, "K-S3-loss") == "not plausible"
    assert verdict(0.4393, "K-F3.2-loss") == "plausible"
    assert verdict(0.441, "K-F3.2-loss") == "not plausible"


def mlp(metric, values, **fields):
    """Runs of the PyTorch assignment's second model."""
    protocol = dict(name="128-128", units=(128, 128), epochs=15, train_images=50_000, batch_size=64)
    return baseline(
        metric, values, **protocol, optimizer="adam", **{"learning_rate": 0.001} | fields
    )


def test_percentages_compare_with_fractions():
    row = answer(mlp("test_accuracy", (0.871, 0.872, 0.873)), "P-3.2-second-test")
    assert (row["published"], row["verdict"]) == ("87.21", "plausible")
    assert row["measured"] == f"87.20 ± {stats.t.ppf(0.975, 2) * 0.1 / np.sqrt(3):.2f}"
    about = answer(mlp("running_accuracy", (0.9236, 0.9237, 0.9238)), "P-3.2-second-train")
    assert (about["published"], about["verdict"]) == ("≈ 92", "plausible")
    far = answer(mlp("running_accuracy", (0.9276, 0.9277, 0.9278)), "P-3.2-second-train")
    assert far["verdict"] == "not plausible"


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
    assert row["verdict"] == "not tested at full protocol"
    assert row["protocol"].startswith(protocol)


def test_the_protocol_counts_the_images_trained_on_and_takes_units_as_lists():
    runs = baseline(train_size=None)
    runs["units"] = [[32]] * 3
    assert answer(runs)["protocol"] == "as published"


def test_narrow_networks_are_off_the_protocol():
    runs = baseline(name="Simple CNN", width_multiplier=0.25)
    row = answer(runs, "K-T6.1-SimpleCNN-acc")
    assert row["protocol"] == "width_multiplier 0.25 (published 1.0)"
    assert (
        answer(runs.assign(width_multiplier=1.0), "K-T6.1-SimpleCNN-acc")["protocol"]
        == "as published"
    )


@pytest.mark.parametrize(("limit", "kept"), [(37, False), (38, True), (100, True)])
def test_a_least_number_of_epochs(limit, kept):
    fields = dict(name="mix", epochs=limit, train_images=60_000, batch_size=32, learning_rate=0.1)
    runs = baseline("stop_epoch", (37, 38, 40), **fields, patience=3, min_delta=0.01)
    row = answer(runs, "M-7-mix-epoch")
    assert row["protocol"] == ("as published" if kept else "epochs 37 (published >= 38)")
    assert row["verdict"] == ("plausible" if kept else "not tested at full protocol")


@pytest.mark.parametrize(
    ("name", "values", "verdict"),
    [
        ("K-S6-over0.9", (0.905, 0.906, 0.907), "plausible"),
        ("K-S6-over0.9", (0.893, 0.899, 0.899), "plausible"),  # 0.9 lies within
        ("K-S6-over0.9", (0.870, 0.871, 0.872), "not plausible"),
        ("K-S6-over0.9", (0.875, 0.890, 0.905), "too wide to tell"),
        ("K-S6-over0.9", (0.950, 0.960, 0.970), "plausible"),  # wide, but above as a whole
        ("D-4-early", (3, 3, 4), "plausible"),
        ("D-4-early", (20, 21, 21), "not plausible"),
        ("D-4-early", (2, 9, 30), "too wide to tell"),
    ],
)
def test_bounds(name, values, verdict):
    runs = baseline(values=[0.9] * 3)
    if name == "D-4-early":
        runs["batch_size"] = 512
    row = answer(runs, name, {name: values})
    assert (row["verdict"], row["protocol"]) == (verdict, "as published")


def test_derived_numbers_come_from_the_caller():
    runs = pd.concat(baseline(epochs=5, learning_rate=lr, recipe=str(lr)) for lr in (0.02, 1.62))
    row = answer(runs, "K-S3-bestlr", {"K-S3-bestlr": {0: 0.0219, 1: 0.0219, 2: 0.0219}})
    assert (row["measured"], row["n"], row["verdict"]) == ("0.0219 ×÷ 1.0", 3, "plausible")
    never = answer(runs, "K-S3-bestlr", {"K-S3-bestlr": [0.02, np.inf]})
    assert (never["measured"], never["verdict"]) == ("–", "undefined in 1 of 2 runs")
    for values in (None, {}, {"K-S3-bestlr": [0.02, 0.02], "K-S3-loss": [0.4, 0.4]}):
        with pytest.raises(ValueError, match="values for"):
            verdicts.table(runs, "K-S3-bestlr", values=values)
    with pytest.raises(ValueError, match="no values"):
        verdicts.table(runs, "K-S3-bestlr", values={"K-S3-bestlr": []})


def test_points_are_taken_as_given():
    name = "D-4-Adam-dtest"
    row = answer(baseline(batch_size=512, units=(128,)), name, {name: (2.4, 2.5, 2.6)})
    assert (row["measured"][:4], row["verdict"]) == ("2.50", "plausible")


def test_rows_are_picked_by_where_and_stand_in_order():
    rates = {0.00015: 0.10, 0.0005: 0.21, 0.0008: 0.43, 0.0032: 0.61,
             0.006: 0.70, 0.0219: 0.76, 1.62: 0.09, 4.617: 0.10}  # fmt: skip
    frames = [
        baseline("val_accuracy", (value, value), learning_rate=rate, recipe=str(rate), epochs=5)
        for rate, value in rates.items()
    ]
    table = verdicts.table(pd.concat(reversed(frames)), "K-T3.1")
    assert list(table.index) == list(range(8))
    assert list(table["measured"]) == [f"{value:.4f} ± 0.0000" for value in rates.values()]


def test_ambiguous_runs_are_refused():
    two = pd.concat([baseline(recipe="a"), baseline(recipe="b", learning_rate=0.1)])
    with pytest.raises(ValueError, match=r"K-F2.2-acc: ambiguous, 6 runs of 2 recipes"):
        verdicts.table(two, "K-F2.2-acc")
    two["seed"] = range(6)
    with pytest.raises(ValueError, match=r"K-F2.2-acc: ambiguous, 6 runs of 2 recipes"):
        verdicts.table(two, "K-F2.2-acc")
    with pytest.raises(ValueError, match=r"K-F2.2-acc: ambiguous, 6 runs of 1 recipes"):
        verdicts.table(pd.concat([baseline(), baseline()]), "K-F2.2-acc")


def test_where_may_have_several_fields(monkeypatch):
    row = numbers.published()["K-F2.2-acc"]
    row = row.model_copy(update={"where": {"optimizer": "adam", "epochs": 50, "units": (32,)}})
    monkeypatch.setattr(numbers, "published", lambda: {row.id: row})
    assert answer(baseline(optimizer="adam"))["n"] == 3
    with pytest.raises(ValueError, match=r"no runs where .*adam.*epochs"):
        verdicts.table(baseline(), row.id)


def test_missing_runs_and_columns_are_named():
    with pytest.raises(ValueError, match=r"K-T3.1-0.0219: no runs where .*0.0219"):
        verdicts.table(baseline("val_accuracy"), "K-T3.1-0.0219")
    with pytest.raises(ValueError, match=r"K-F2.2-acc: no runs"):
        verdicts.table(baseline().iloc[:0], "K-F2.2-acc")
    with pytest.raises(ValueError, match=r"K-F2.2-loss: the runs have no column test_loss"):
        verdicts.table(baseline(), "K-F2.2-loss")
    with pytest.raises(ValueError, match=r"K-F2.2-acc: the runs have no column units"):
        verdicts.table(baseline().drop(columns="units"), "K-F2.2-acc")
    with pytest.raises(ValueError, match="0 numbers"):
        verdicts.table(baseline(), "K-F2.1")  # facts only


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
    table = verdicts.facts(measured).set_index("id")
    assert list(table.columns) == ["condition", "published", "ours", "verdict"]
    yes, no = "agrees", "does not agree"
    assert list(table["verdict"]) == [yes, no, yes, yes, no, no]
    assert list(table.loc["K-S2-steps", ["published", "ours"]]) == ["469", "422"]
    assert table.loc["I-ARCH", "ours"] == "256, 64, 28"


@pytest.mark.parametrize("name", ["K-F2.2-acc", "K-F2.1", "K-F2.1-x"])
def test_only_facts_are_facts(name):
    with pytest.raises(ValueError, match=r"not the id of a fact|no published number"):
        verdicts.facts({name: 1})


def test_a_learning_rate_is_compared_on_a_log_scale():
    row = numbers.published()["K-S3-bestlr"]
    settings = {key: value for key, value in row.protocol.items() if key != "train_size"}
    settings["units"] = tuple(settings["units"])
    seeds = [{"recipe": "a", "seed": seed, "train_images": 54_000, **settings} for seed in range(3)]
    line = verdicts.table(pd.DataFrame(seeds), row.id, values={row.id: [0.5, 1.0, 2.0]}).iloc[0]
    half = stats.t.ppf(0.975, 2) * np.log10(2)
    low, high = (float(text) for text in line["one new run"].split(" to "))
    assert low == pytest.approx(10 ** (-half * np.sqrt(4 / 3)) - row.rounding / 2, abs=1e-4)
    assert high == pytest.approx(10 ** (half * np.sqrt(4 / 3)) + row.rounding / 2, abs=1e-4)
    assert line["measured"] == f"1.0000 ×÷ {10 ** (half / np.sqrt(3)):.1f}"


# --- the sources ------------------------------------------------------------------------------


def test_every_number_has_its_source():
    path = Path(numbers.__file__).with_name("sources.yaml")
    sources = yaml.safe_load(path.read_text("utf-8"))
    assert all(source["name"] and source["kind"] for source in sources)
    assert {source["id"] for source in sources} == {r.report for r in numbers.published().values()}
