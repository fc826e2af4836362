"""Time this project's training beside what a user would otherwise write: ``make bench``.

Writes a Markdown table and a figure. The contenders of a family run in processes of their own and
take turns, so that a drift of the machine's speed meets them all; each figure is the median over
the rounds, each ratio the median of the rounds' ratios. The first epoch, with what is compiled and
traced in it, is left out and shown apart.
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
from fmnist_keras.protocols import (
    ARCHITECTURES,
    DNN_HOMEWORK,
    KERAS_STUDY,
    MISSING_PIXELS,
    MLP_REPORT,
    PYTORCH_ASSIGNMENT,
)
from fmnist_keras.recipe import Recipe

HERE = Path(__file__).parent
ROUNDS, EPOCHS, SEEDS = 3, 2, 10
CNN_IMAGES = 2_000  # an epoch of all images takes a minute and more; times are per 54,000 of them

_adam = KERAS_STUDY.but(optimizer="adam", learning_rate=0.001)
FAMILIES = {
    "784-32-10, batch 128": KERAS_STUDY,
    "784-32-10, batch 32, Adam": _adam.but(batch_size=32),
    "10-10, batch 32": MLP_REPORT.but(validation="last"),
    "64-64, batch 64, Adam": PYTORCH_ASSIGNMENT.but(validation="last", val_size=6_000),
    "64-64, BN, dropout": PYTORCH_ASSIGNMENT.but(
        validation="last", val_size=6_000, batch_norm="after", dropout=0.25
    ),
    "128, batch 512": DNN_HOMEWORK.but(validation="last"),
    "256-64-28, inpaint": MISSING_PIXELS.but(validation="last"),
}
CNNS = {
    name: ARCHITECTURES[name].but(train_size=CNN_IMAGES)
    for name in ("Simple CNN", "Dropout CNN", "Deep CNN + BN", "VGG-16")
}
CNNS["VGG-16"] = CNNS["VGG-16"].but(width_multiplier=0.25)
BACKENDS = {"Keras fit on JAX": "jax", "PyTorch DataLoader": "torch", "PyTorch tensors": "torch"}
CONTENDERS = ["this project", "Keras fit", "Keras fit on JAX", "PyTorch DataLoader",
              "PyTorch tensors"]  # fmt: skip


class Worker:
    """A contender in a process of its own, with the threads that ``make`` gives a study."""

    def __init__(self, name: str, convolutional: bool = False) -> None:
        threads = 1 if name == "this project" and not convolutional else provenance.cores()
        settings = {"KERAS_BACKEND": BACKENDS.get(name, "tensorflow")}
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
    """A row per contender and round."""
    workers = {name: Worker(name, recipe.convolutional) for name in CONTENDERS}
    rows = []
    try:
        for worker in workers.values():
            worker.wait()
        for number in range(ROUNDS):
            limit = operations(recipe) * 54_000 / workers["Keras fit"].ask()["peak"]
            for name, worker in workers.items():
                own = name == "this project"
                precision = (
                    models.fastest_precision() if own and recipe.convolutional else "float32"
                )
                seeds = SEEDS if own and not recipe.convolutional else 1
                found = worker.ask(recipe.but(epochs=EPOCHS, precision=precision), seeds)
                per_epoch = np.median(np.diff(found["ends"])) / seeds
                per_epoch *= 54_000 / recipe.train_images
                start = found["ends"][0] - np.median(np.diff(found["ends"]))
                row = {"family": family, "round": number, "contender": name, "limit": limit}
                row |= {"seconds": per_epoch, "start": start, "memory": found["memory"]}
                rows.append(row)
                print(json.dumps(row), flush=True)
    finally:
        for worker in workers.values():
            worker.close()
    return rows


def growth() -> pd.DataFrame:
    """Seconds per seed-epoch of the baseline by number of seeds and of images."""
    rows = []
    ours, fit = Worker("this project"), Worker("Keras fit")
    with closing(ours), closing(fit):
        ours.wait()
        fit.wait()
        for seeds in (1, 2, 4, 8, 16, 32):
            ends = ours.ask(KERAS_STUDY.but(epochs=EPOCHS), seeds)["ends"]
            seconds = np.median(np.diff(ends)) / seeds
            rows.append({"by": "seeds", "at": seeds, "contender": "this project", "s": seconds})
        for images in (1_000, 3_000, 10_000, 30_000, 60_000):
            recipe = KERAS_STUDY.but(epochs=EPOCHS, train_size=images, validation="none")
            for name, worker, seeds in (("this project", ours, SEEDS), ("Keras fit", fit, 1)):
                seconds = np.median(np.diff(worker.ask(recipe, seeds)["ends"])) / seeds
                rows.append({"by": "images", "at": images, "contender": name, "s": seconds})
    return pd.DataFrame(rows)


def table(rows: pd.DataFrame, value: str, digits: int) -> pd.DataFrame:
    wide = rows.pivot_table(index="family", columns="contender", values=value, aggfunc="median",
                            sort=False)  # fmt: skip
    return wide[CONTENDERS].map(lambda number: f"{number:.{digits}f}")


def ratios(rows: pd.DataFrame) -> pd.DataFrame:
    """How many times longer each contender takes than this project: median of the rounds."""
    wide = rows.pivot_table(
        index=["family", "round"], columns="contender", values="seconds", sort=False
    )
    wide = wide.div(wide["this project"], axis=0).groupby("family", sort=False).median()
    return wide[CONTENDERS[1:]].map(lambda number: f"{number:.1f}×")


def main() -> None:
    families = FAMILIES | CNNS
    rows = pd.DataFrame(
        [row for family, recipe in families.items() for row in measure(family, recipe)]
    )
    grown = growth()
    seconds = table(rows, "seconds", 3)
    limit = rows.groupby("family", sort=False)["limit"].median()
    seconds["arithmetic limit"] = limit.map("{:.3f}".format)
    where = provenance.current()
    sections = {
        "Seconds per seed-epoch of 54,000 images": seconds,
        "How many times longer than this project": ratios(rows),
        "Seconds before the first epoch's work begins (compiling, tracing; all seeds)": table(
            rows, "start", 1
        ),
        "Peak memory, MiB (this project: all seeds)": table(rows, "memory", 0),
        "Growth: seconds per seed-epoch of 784-32-10, batch 128": grown.pivot_table(
            index=["by", "at"], columns="contender", values="s", sort=False
        ).map("{:.4f}".format),
    }
    text = ["# Benchmarks", "", "Made by `make bench`; do not edit.", ""]
    text += [__doc__.split("\n\n", 1)[1].strip(), ""]
    text += [
        f"This project trains {SEEDS} seeds at once (CNNs: one); all others one. An epoch includes "
        f"each contender's evaluation after it. CNNs: {CNN_IMAGES:,} images, scaled; VGG-16 at a "
        "quarter of its width. Arithmetic limit: the update's matrix products at the speed of a "
        "large matrix product, measured before each round.",
        "",
        f"{where['device']}, {where['cores']} cores; {where['versions']}; "
        f"commit {where['commit']}.",
    ]
    for title, frame in sections.items():
        text += ["", f"## {title}", "", frame.reset_index().to_markdown(index=False)]
    text += ["", "![Ratios and growth](speed.png)", ""]
    (HERE / "README.md").write_text("\n".join(text))
    figure(rows, grown).savefig(HERE / "speed.png")


def figure(rows: pd.DataFrame, grown: pd.DataFrame) -> plt.Figure:
    """Ratios by family, and how the cost of a seed-epoch grows with seeds and images."""
    sns.set_theme(style="whitegrid", palette="colorblind", font_scale=0.85)
    drawn, axes = plt.subplots(1, 3, figsize=(17, 4.6), width_ratios=[2, 1, 1],
                               layout="constrained")  # fmt: skip
    order = CONTENDERS[1:]
    times = rows.pivot_table(index=["family", "round"], columns="contender", values="seconds",
                             sort=False)  # fmt: skip
    times = times[order].div(times["this project"], axis=0).reset_index()
    times = times.melt(["family", "round"])
    sns.barplot(times, y="family", x="value", hue="contender", hue_order=order,
                errorbar=("pi", 100), estimator="median", ax=axes[0])  # fmt: skip
    axes[0].axvline(1, color="black", linewidth=1)
    axes[0].set(xscale="log", xlabel="times longer than this project", ylabel="")
    axes[0].legend(title=None, fontsize="small")
    for axis, (by, part) in zip(axes[1:], grown.groupby("by", sort=False), strict=True):
        sns.lineplot(part, x="at", y="s", hue="contender", marker="o", ax=axis)
        axis.set(xscale="log", yscale="log", xlabel=by, ylabel="seconds per seed-epoch")
        axis.legend(title=None, fontsize="small")
    return drawn


if __name__ == "__main__":
    main()
