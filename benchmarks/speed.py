"""Time this project's training beside what a user would otherwise write: ``make bench``.

Writes a Markdown table and a figure. The contenders of a family run in processes of their own and
take turns, so that a drift of the machine's speed meets them all; each figure is the median over
the rounds, each ratio the median of the rounds' ratios with the lowest and the highest in brackets.
Training and evaluation are timed apart. The first epoch, with what is compiled and traced in it, is
left out and shown apart.
"""

import json
import os
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns

from fmnist_keras import models, provenance
from fmnist_keras.backend import cores
from fmnist_keras.recipe import Recipe
from fmnist_keras.sources import (
    ARCHITECTURES,
    DNN_HOMEWORK,
    KERAS_STUDY,
    MISSING_PIXELS,
    MLP_REPORT,
    PYTORCH_ASSIGNMENT,
)

HERE = Path(__file__).parent
ROUNDS, EPOCHS, SEEDS = 3, 3, 10
SMALL_CNN, LARGE_CNN = 71 * 128, 27 * 128
"""Images in an epoch of a CNN: all rounds together time 54,528 images of a small one, and 20,736 of
a large one."""

_adam = KERAS_STUDY.replace(optimizer="adam", learning_rate=0.001)
FAMILIES = {
    "784-32-10, batch 128": KERAS_STUDY,
    "784-32-10, batch 32, Adam": _adam.replace(batch_size=32),
    "10-10, batch 32": MLP_REPORT.replace(validation="last"),
    "64-64, batch 64, Adam": PYTORCH_ASSIGNMENT.replace(validation="last", val_size=6_000),
    "64-64, BN, dropout": PYTORCH_ASSIGNMENT.replace(
        validation="last", val_size=6_000, batch_norm="after", dropout=0.25
    ),
    "128, batch 512": DNN_HOMEWORK.replace(validation="last"),
    "256-64-28, inpaint": MISSING_PIXELS.replace(validation="last"),
}
CNNS = {"Simple CNN": SMALL_CNN, "Dropout CNN": SMALL_CNN}
CNNS |= {"Deep CNN + BN": LARGE_CNN, "VGG-16": LARGE_CNN}
FAMILIES |= {name: ARCHITECTURES[name].replace(train_size=images) for name, images in CNNS.items()}
BACKENDS = {"Keras fit on JAX": "jax", "PyTorch DataLoader": "torch", "PyTorch, tuned": "torch"}
CONTENDERS = ["this project", "Keras fit", "Keras fit, tuned", "Keras fit on JAX",
              "PyTorch DataLoader", "PyTorch, tuned"]  # fmt: skip


class Worker:
    """A contender in a process of its own, with the threads that ``make`` gives a study."""

    def __init__(self, name: str, convolutional: bool = False) -> None:
        threads = 1 if name == "this project" and not convolutional else cores()
        settings = {"CONTENDER_BACKEND": BACKENDS.get(name, "tensorflow")}
        settings["TF_NUM_INTRAOP_THREADS"] = str(threads)
        self.process = subprocess.Popen(
            [sys.executable, str(HERE / "contenders.py"), name],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=os.environ | settings,
        )  # fmt: skip

    def wait(self) -> None:
        """Until it has loaded: what loads would disturb the others."""
        self.process.stdout.readline()

    def ask(self, recipe: Recipe | None = None, seeds: int = 1) -> dict:
        order = {"recipe": recipe and recipe.model_dump(), "seeds": seeds}
        self.process.stdin.write(json.dumps(order) + "\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline()
        if not answer:
            raise RuntimeError(f"{self.process.args[-1]} ended with {self.process.wait()}")
        return json.loads(answer)

    def close(self) -> None:
        self.process.stdin.close()
        self.process.wait()


def operations(recipe: Recipe) -> float:
    """Floating-point operations of one image's update: products of the forward pass, of the weight
    gradients, and of the input gradients but for the first layer."""
    total = 0
    weighted = [layer for layer in models.build(recipe).layers if hasattr(layer, "kernel")]
    for number, layer in enumerate(weighted):
        pixels = np.prod(layer.output.shape[1:-1], initial=1)
        total += 2 * np.prod(layer.kernel.shape) * pixels * (3 if number else 2)
    return float(total)


def measure(family: str, recipe: Recipe) -> list[dict]:
    """A row per contender and round; seconds per seed."""
    workers = {name: Worker(name, recipe.convolutional) for name in CONTENDERS}
    if recipe.convolutional:
        recipe = recipe.replace(precision=models.fastest_precision())
    recipe = recipe.replace(epochs=EPOCHS)
    scale = 54_000 / recipe.train_images
    rows = []
    try:
        for worker in workers.values():
            worker.wait()
        for number in range(ROUNDS):
            limit = operations(recipe) * 54_000 / workers["Keras fit"].ask()["peak"]
            for name, worker in workers.items():
                seeds = SEEDS if name == "this project" and not recipe.convolutional else 1
                found = worker.ask(recipe, seeds)
                training, evaluation = (
                    float(np.median(found[part][1:]) / seeds) for part in ("training", "evaluation")
                )
                row = {"family": family, "round": number, "contender": name, "limit": limit}
                row |= {"training": training * scale, "evaluation": evaluation}
                row |= {"start": found["first"] - (training + evaluation) * seeds}
                rows.append(row | {"memory": found["memory"]})
                print(json.dumps(rows[-1]), flush=True)
    finally:
        for worker in workers.values():
            worker.close()
    return rows


def growth() -> pd.DataFrame:
    """Seconds of training per seed-epoch of the baseline, by number of seeds and of images: a row
    per contender, size and round."""
    base, rows = KERAS_STUDY.replace(epochs=EPOCHS), []
    by_images = {
        images: base.replace(train_size=images, validation="none")
        for images in (1_000, 3_000, 10_000, 30_000, 60_000)
    }
    orders = [("seeds", seeds, base, {"this project": seeds}) for seeds in (1, 2, 4, 8, 16, 32)]
    orders += [
        ("images", images, recipe, {"this project": SEEDS, "Keras fit": 1})
        for images, recipe in by_images.items()
    ]
    ours, fit = Worker("this project"), Worker("Keras fit")
    with closing(ours), closing(fit):
        workers = {"this project": ours, "Keras fit": fit}
        for worker in workers.values():
            worker.wait()
        for number in range(ROUNDS):
            for by, at, recipe, contenders in orders:
                for name, seeds in contenders.items():
                    seconds = workers[name].ask(recipe, seeds)["training"][-1] / seeds
                    row = {"by": by, "at": at, "contender": name, "round": number, "s": seconds}
                    rows.append(row)
    return pd.DataFrame(rows)


def table(rows: pd.DataFrame, value: str, digits: int) -> pd.DataFrame:
    wide = rows.pivot_table(index="family", columns="contender", values=value, aggfunc="median",
                            sort=False)  # fmt: skip
    return wide[CONTENDERS].map(lambda number: f"{number:.{digits}f}")


def ratios(rows: pd.DataFrame) -> pd.DataFrame:
    """How many times longer each contender's training takes than this project's: the median of the
    rounds, the lowest and the highest."""
    found = _ratios(rows).groupby("family", sort=False)
    middle, low, high = found.median(), found.min(), found.max()
    return pd.DataFrame(
        {
            name: [
                f"{m:.1f} ({a:.1f} to {b:.1f})"
                for m, a, b in zip(middle[name], low[name], high[name], strict=True)
            ]
            for name in CONTENDERS[1:]
        },
        index=middle.index,
    )


def _ratios(rows: pd.DataFrame) -> pd.DataFrame:
    wide = rows.pivot_table(
        index=["family", "round"], columns="contender", values="training", sort=False
    )
    return wide[CONTENDERS[1:]].div(wide["this project"], axis=0)


def main() -> None:
    rows = pd.DataFrame(
        [row for family, recipe in FAMILIES.items() for row in measure(family, recipe)]
    )
    grown = growth()
    seconds = table(rows, "training", 3)
    limit = rows.groupby("family", sort=False)["limit"].median()
    seconds["arithmetic limit"] = limit.map("{:.3f}".format)
    where = provenance.current()
    sections = {
        "Training: seconds per seed-epoch of 54,000 images": seconds,
        "How many times longer than this project (lowest to highest round)": ratios(rows),
        "Evaluation: seconds per seed after an epoch": table(rows, "evaluation", 3),
        "Seconds before the first epoch's work begins (compiling, tracing; all seeds)": table(
            rows, "start", 1
        ),
        "Peak memory, MiB (this project: all seeds)": table(rows, "memory", 0),
        "Growth: seconds of training per seed-epoch of 784-32-10, batch 128": grown.pivot_table(
            index=["by", "at"], columns="contender", values="s", aggfunc="median", sort=False
        )
        .map("{:.4f}".format, na_action="ignore")
        .fillna("–"),
    }
    text = ["# Benchmarks", "", "Made by `make bench`; do not edit.", ""]
    text += [__doc__.split("\n\n", 1)[1].strip(), ""]
    text += [
        f"This project trains {SEEDS} seeds at once (CNNs: one); all others one. Each of "
        f"{ROUNDS} rounds times {EPOCHS - 1} epochs: dense networks on all 54,000 images, the "
        f"first two CNNs on {SMALL_CNN:,} an epoch, the other two on {LARGE_CNN:,}. "
        "This project evaluates a tenth of the training images and the validation images, all "
        "others the validation images. Tuned: tf.data with prefetching for Keras; tensors sliced "
        f"by hand for PyTorch; CNNs of this project and the tuned ones in "
        f"{models.fastest_precision()}, PyTorch's with channels last. Arithmetic limit: the "
        "update's matrix products at the speed of a large float32 matrix product, measured before "
        "each round. CNNs have all cores for each operation here; in the studies it is one, so "
        "that numbers do not depend on the machine, and two studies share two cores.",
        "",
        f"{where['device']}, {where['cores']} cores; {where['versions']}; "
        f"commit {where['commit']}.",
    ]
    for title, frame in sections.items():
        text += ["", f"## {title}", "", frame.reset_index().to_markdown(index=False)]
    text += ["", "![Ratios and growth](speed.png)", ""]
    (HERE / "README.md").write_text("\n".join(text), "utf-8")
    figure(rows, grown).savefig(HERE / "speed.png")


def figure(rows: pd.DataFrame, grown: pd.DataFrame) -> plt.Figure:
    """Ratios by family, and how the cost of a seed-epoch grows with seeds and images."""
    sns.set_theme(style="whitegrid", palette="colorblind", font_scale=0.85)
    drawn, axes = plt.subplots(1, 3, figsize=(17, 4.6), width_ratios=[2, 1, 1],
                               layout="constrained")  # fmt: skip
    order = CONTENDERS[1:]
    times = _ratios(rows).reset_index()
    times = times.melt(["family", "round"])
    sns.barplot(times, y="family", x="value", hue="contender", hue_order=order,
                errorbar=("pi", 100), estimator="median", ax=axes[0])  # fmt: skip
    axes[0].axvline(1, color="black", linewidth=1)
    axes[0].set(xscale="log", xlabel="times longer than this project", ylabel="")
    _ticks(axes[0], [1, 2, 5, 10, 20])
    axes[0].legend(title=None, fontsize="small")
    for axis, (by, part) in zip(axes[1:], grown.groupby("by", sort=False), strict=True):
        sns.lineplot(part, x="at", y="s", hue="contender", marker="o", estimator="median",
                     errorbar=("pi", 100), ax=axis)  # fmt: skip
        axis.set(xscale="log", yscale="log", xlabel=by, ylabel="seconds per seed-epoch")
        _ticks(axis, sorted(part["at"].unique()))
        axis.legend(title=None, fontsize="small")
    return drawn


def _ticks(axis: plt.Axes, places: list[int]) -> None:
    axis.set_xticks(places, labels=[f"{place:,}" for place in places])
    axis.set_xticks([], minor=True)


if __name__ == "__main__":
    main()
