"""Break the arithmetic one line at a time and see which check catches it.

Each mutant is the project with one line changed, in a folder of its own: nbval executes the
notebooks that train it, and where none fails the unit tests run, until one fails.
Usage: python tests/mutants.py [number …]
"""

import os
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[1]
COPIED = ("fmnist_keras", "notebooks", "scripts", "tests", "params", "pyproject.toml")
NBVAL = ["--nbval-lax", "--nbval-kernel-name=python3", "--nbval-sanitize-with", "tests/nbval.cfg"]
NBVAL += ["-p", "tests.nbval_settings"]
ARITHMETIC = ("data", "models", "recipe", "training", "stacked")
UNIT_TESTS = [f"tests/test_{name}.py" for name in ARITHMETIC]
AT_ONCE = 2


class Mutant(NamedTuple):
    """One line of the arithmetic, and what it becomes."""

    what: str
    file: str
    line: str
    becomes: str
    notebook: str
    """The number of a notebook that trains what the line touches."""


SINGLE, STACKED, STACK = "training/single.py", "training/stacked.py", "training/stacked_model.py"
HISTORY, ARRAYS = "training/history.py", "training/arrays.py"
MUTANTS = [
    Mutant("half the learning rate", SINGLE, "rate, drops = recipe.learning_rate,",
           "rate, drops = recipe.learning_rate / 2,", "02"),
    Mutant("no momentum", SINGLE, '{"momentum": recipe.momentum}', '{"momentum": 0.0}', "13"),
    Mutant("dropout at test time", STACK, "if training and seeds is not None",
           "if seeds is not None", "08"),
    Mutant("the rate of the recipe before", STACK,
           "self.optimizer.learning_rate = rate", "pass", "03"),
    Mutant("dropout does not rescale", STACK, "tf.float32) / (1 - rate)", "tf.float32)", "08"),
    Mutant("moving averages of normalization swapped", STACK,
           "moving * layer.momentum + new * (1 - layer.momentum)",
           "moving * (1 - layer.momentum) + new * layer.momentum", "11"),
    Mutant("normalization divides by the variance", STACK,
           'keras.ops.sqrt(keras.ops.cast(variance + layer.epsilon, "float64"))',
           'keras.ops.cast(variance + layer.epsilon, "float64")', "11"),
    Mutant("held-out images do not follow the seed", "data.py", "default_rng([seed, 0x5EED])",
           "default_rng([0, 0x5EED])", "08"),
    Mutant("first images held out", "data.py", "np.split(np.arange(n), [n - held_out])",
           "np.split(np.arange(n)[::-1], [n - held_out])", "02"),
    Mutant("no shuffling", ARRAYS, "np.random.default_rng([seed, epoch]).permutation(train)",
           "train", "02"),
    Mutant("half the L2 factor", "models.py", "squared * acts + recipe.weight_decay",
           "squared * acts / 2 + recipe.weight_decay", "09"),
    Mutant("twice the weight decay", "models.py", "+ recipe.weight_decay / 2,",
           "+ recipe.weight_decay,", "09"),
    Mutant("min_delta ignored", HISTORY, "self.best - self.min_delta", "self.best", "10"),
    Mutant("last weights restored", STACKED, "[best[k] or last[k] for", "[last[k] for", "10"),
    Mutant("a milder schedule", SINGLE, "rate * 0.1**number", "rate * 0.5**number", "13"),
    Mutant("one class mislabeled", "data.py", 'f"{part}_labels").astype(np.int32)',
           'f"{part}_labels").astype(np.int32) % 9', "02"),
    Mutant("the hidden column shows", "data.py", "x[:, :, column] = (0 - shift) / divisor",
           "x[:, :, column - 1] = (0 - shift) / divisor", "13"),
    Mutant("seeds in another order", STACKED, "_initial_model(recipe, seed) for seed in seeds",
           "_initial_model(recipe, seed) for seed in seeds[::-1]", "02"),
    Mutant("Adam's constant", SINGLE, '"adam": {"epsilon": 1e-8}', '"adam": {"epsilon": 1e-2}',
           "13"),
    Mutant("Keras' slope of LeakyReLU for all", "models.py",
           '0.01 if recipe.framework_defaults == "torch" else 0.3', "0.3", "13"),
    Mutant("PyTorch's initial biases zero", "models.py", "limit = fan_in**-0.5", "limit = 1e-9",
           "08"),
    Mutant("mean of the replicas' losses", STACK, "loss = keras.ops.sum(losses)",
           "loss = keras.ops.mean(losses)", "02"),
    Mutant("a CNN's dropout", "cnns.py", "*_hidden(128, recipe), layers.Dropout(0.5)]",
           "*_hidden(128, recipe), layers.Dropout(0.05)]", "06"),
    Mutant("a CNN trained on one batch", SINGLE, "rows.map(", "rows.take(1).repeat().map(", "06"),
    Mutant("test images scored from the end", ARRAYS, "x_test[: recipe.test_size], y_test[",
           "x_test[-recipe.test_size :], y_test[", "02"),
]  # fmt: skip


def broken(mutant: Mutant, folder: Path) -> None:
    """Copy the project into ``folder`` and change the mutant's line."""
    for name in COPIED:
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        copy(ROOT / name, folder / name)
    path = folder / "fmnist_keras" / mutant.file
    text = path.read_text("utf-8")
    if text.count(mutant.line) != 1:
        raise ValueError(f"{mutant.what}: {mutant.line!r} stands {text.count(mutant.line)} times")
    path.write_text(text.replace(mutant.line, mutant.becomes), "utf-8")


def caught_by(folder: Path, *arguments: str) -> str:
    """The first test of a pytest run in ``folder`` that fails, or an empty string."""
    environment = os.environ | {"PYTHONPATH": str(folder), "FMNIST_RESULTS": str(folder / "res")}
    command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", *arguments]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
    failed = [line for line in done.stdout.splitlines() if line.startswith(("FAILED", "ERROR"))]
    if done.returncode and not failed:
        raise RuntimeError(done.stdout[-2000:] + done.stderr[-2000:])
    return failed[0].split(" - ")[0].split(" ", 1)[1] if failed else ""


def check(mutant: Mutant) -> str:
    """What catches the mutant: a cell of a notebook, or else a unit test, or nothing."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        broken(mutant, folder)
        notebooks = [str(path) for path in folder.glob(f"notebooks/{mutant.notebook}_*")]
        return caught_by(folder, *NBVAL, *notebooks) or caught_by(folder, *UNIT_TESTS)


def main() -> None:
    chosen = [MUTANTS[int(number) - 1] for number in sys.argv[1:]] or MUTANTS
    by_nbval = caught = 0
    with ThreadPoolExecutor(AT_ONCE) as pool:
        for mutant, found in zip(chosen, pool.map(check, chosen), strict=True):
            by_nbval += found.startswith("notebooks")
            caught += bool(found)
            print(
                f"{MUTANTS.index(mutant) + 1:2} {mutant.what}: {found or 'NOT CAUGHT'}", flush=True
            )
    print(f"{caught} of {len(chosen)} mutants caught, {by_nbval} of them by a notebook's own cells")


if __name__ == "__main__":
    main()
