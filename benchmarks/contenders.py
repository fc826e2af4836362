"""The ways of training that are timed, each in a process of its own that waits for orders.

``python contenders.py NAME`` says when it has loaded, then reads a JSON line per order from stdin:
the fields of a recipe and a number of seeds; trains, and answers with a JSON line: the seconds of
training and of evaluation in every epoch, those from the order to the end of the first, and the
process' peak memory in MiB.
"""

import itertools
import json
import os
import resource
import sys
import time

import numpy as np

from fmnist_keras import data
from fmnist_keras.recipe import Recipe

os.environ["KERAS_BACKEND"] = os.environ["CONTENDER_BACKEND"]  # the project's own is TensorFlow

from fmnist_keras import models
from fmnist_keras.backend import keras

VALIDATION = slice(54_000, 60_000)
"""The reports look at a validation part after every epoch; so does every contender."""


def arrays(recipe: Recipe) -> tuple[np.ndarray, ...]:
    """Training images and targets, validation images and targets."""
    x, y, *_ = data.prepare(data.load(), recipe.task, flat=not recipe.convolutional)
    n = recipe.train_images
    return x[:n], y[:n], x[VALIDATION], y[VALIDATION]


class Clock:
    """The seconds of each epoch's training and evaluation; ``trained`` and ``evaluated`` are called
    as soon as each is over."""

    def __init__(self) -> None:
        self.training, self.evaluation = [], []
        self.began = self.last = time.perf_counter()

    def trained(self) -> None:
        self.training.append(self._lap())

    def evaluated(self) -> None:
        self.evaluation.append(self._lap())
        self.first = getattr(self, "first", self.last - self.began)

    def _lap(self) -> float:
        before, self.last = self.last, time.perf_counter()
        return self.last - before


def ours(recipe: Recipe, seeds: int, clock: Clock) -> None:
    """This project: all seeds together where that pays, else one after the other."""
    from fmnist_keras.training import single, stacked
    from fmnist_keras.training.history import History

    add, ended = History.add, itertools.count(1)
    training = 0.0

    def add_and_tick(history, row, seconds, weights):
        nonlocal training
        training += seconds  # a stacked run's is its share
        if next(ended) % seeds == 0:  # all seeds have been scored
            clock.evaluated()
            clock.training.append(training)
            clock.evaluation[-1] -= training
            training = 0.0
        return add(history, row, seconds, weights)

    History.add = add_and_tick
    try:
        if stacked.worth_stacking(recipe):
            stacked.train_stacked(recipe, list(range(seeds)))
        else:
            single.train_one(recipe, 0)
    finally:
        History.add = add


def fit(recipe: Recipe, seeds: int, clock: Clock) -> None:
    """Keras' ``fit`` on NumPy arrays, as the reports wrote it; also on the JAX backend."""
    _fit(recipe.replace(precision="float32"), clock, tuned=False)


def fit_tuned(recipe: Recipe, seeds: int, clock: Clock) -> None:
    """The same at its best: a tf.data pipeline that prefetches, and the recipe's precision."""
    _fit(recipe, clock, tuned=True)


def _fit(recipe: Recipe, clock: Clock, tuned: bool) -> None:
    from fmnist_keras.training import single

    x, y, x_val, y_val = arrays(recipe)
    keras.utils.clear_session()
    keras.utils.set_random_seed(0)
    model = keras.models.clone_model(models.build(recipe), clone_function=_of_keras)
    crossentropy = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    classify = recipe.task == "classify"
    model.compile(
        single.make_optimizer(recipe),
        loss=crossentropy if classify else "mse",
        metrics=["accuracy"] if classify else [],
    )
    size = recipe.batch_size
    training, held_out = {"x": x, "y": y, "batch_size": size}, {"x": x_val, "y": y_val}
    if tuned:
        import tensorflow as tf

        images = tf.data.Dataset.from_tensor_slices((x, y)).cache()
        training = {"x": images.shuffle(len(x)).batch(size).prefetch(tf.data.AUTOTUNE)}
        held_out = tf.data.Dataset.from_tensor_slices((x_val, y_val))
        held_out = {"x": held_out.batch(size).prefetch(tf.data.AUTOTUNE)}
    for _ in range(recipe.epochs):
        model.fit(**training, epochs=1, verbose=0)
        clock.trained()
        model.evaluate(**held_out, verbose=0)
        clock.evaluated()


def _of_keras(layer: keras.layers.Layer) -> keras.layers.Layer:
    """The layer as Keras itself has it, where this project has a faster one."""
    return getattr(keras.layers, type(layer).__name__).from_config(layer.get_config())


def torch_loader(recipe: Recipe, seeds: int, clock: Clock) -> None:
    """A PyTorch loop over DataLoaders, as the reports wrote it."""
    _torch_loop(recipe.replace(precision="float32"), clock, tuned=False)


def torch_tuned(recipe: Recipe, seeds: int, clock: Clock) -> None:
    """The same loop at its best: shuffled indices, tensors sliced, nothing read back in between,
    evaluation in large pieces; images with channels last and in the recipe's precision."""
    _torch_loop(recipe, clock, tuned=True)


def _torch_loop(recipe: Recipe, clock: Clock, tuned: bool) -> None:
    import torch
    from torch.utils.data import DataLoader, TensorDataset

    torch.manual_seed(0)
    x, y, x_val, y_val = (torch.from_numpy(array) for array in arrays(recipe))
    net, optimizer = _torch_net(recipe)
    if recipe.convolutional:
        order = torch.channels_last if tuned else torch.contiguous_format
        x, x_val = (a.permute(0, 3, 1, 2).contiguous(memory_format=order) for a in (x, x_val))
        net = net.to(memory_format=order)
    if recipe.task == "classify":
        y, y_val = y.long(), y_val.long()
    score = torch.nn.CrossEntropyLoss() if recipe.task == "classify" else torch.nn.MSELoss()
    size = recipe.batch_size
    batches = DataLoader(TensorDataset(x, y), size, shuffle=True)
    held_out = DataLoader(TensorDataset(x_val, y_val), size)
    bfloat16 = recipe.precision == "bfloat16"

    def shuffled():
        for rows in torch.randperm(len(x)).split(size):
            yield x[rows], y[rows]

    def outputs(inputs):
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=bfloat16):
            return net(inputs).float()

    for _ in range(recipe.epochs):
        net.train()
        running = 0.0
        for inputs, targets in shuffled() if tuned else batches:
            optimizer.zero_grad()
            loss = score(outputs(inputs), targets)
            loss.backward()
            optimizer.step()
            running += loss.detach() if tuned else loss.item()
        float(running)
        clock.trained()
        net.eval()
        with torch.no_grad():
            chunk = 1_000 if recipe.convolutional else len(x_val)
            parts = zip(x_val.split(chunk), y_val.split(chunk), strict=True) if tuned else held_out
            right = 0
            for inputs, targets in parts:
                raw = outputs(inputs)
                running += score(raw, targets).item()
                if recipe.task == "classify":
                    right += (raw.argmax(1) == targets).sum().item()
        clock.evaluated()


def _torch_net(recipe: Recipe):
    """The recipe's network in PyTorch, layer by layer as Keras has it, and its optimizer."""
    import torch
    from torch import nn

    def convert(layer):
        kind, channels = type(layer).__name__, layer.input.shape[-1]
        image = len(layer.input.shape) == 4
        activations = {"sigmoid": nn.Sigmoid, "relu": nn.ReLU}
        return {
            "Dense": lambda: nn.Linear(channels, layer.units, bias=layer.use_bias),
            "Conv2D": lambda: nn.Conv2d(
                channels, layer.filters, 3, padding="same", bias=layer.use_bias
            ),
            "BatchNormalization": lambda: (nn.BatchNorm2d if image else nn.BatchNorm1d)(channels),
            "MaxPooling2D": lambda: nn.MaxPool2d(2),
            "ZeroPadding2D": lambda: nn.ZeroPad2d(2),
            "Dropout": lambda: nn.Dropout(layer.rate),
            "Flatten": nn.Flatten,
            "ReLU": nn.ReLU,
            "LeakyReLU": nn.LeakyReLU,
            "Activation": lambda: activations[layer.activation.__name__](),
        }[kind]()

    net = nn.Sequential(*map(convert, models.build(recipe).layers))
    make = {"sgd": torch.optim.SGD, "adam": torch.optim.Adam}[recipe.optimizer]
    momentum = {"momentum": recipe.momentum} if recipe.momentum else {}
    return net, make(net.parameters(), lr=recipe.learning_rate, **momentum)


CONTENDERS = {
    "this project": ours,
    "Keras fit": fit,
    "Keras fit, tuned": fit_tuned,
    "Keras fit on JAX": fit,
    "PyTorch DataLoader": torch_loader,
    "PyTorch, tuned": torch_tuned,
}


def peak(seconds: float = 0.3) -> float:
    """Floating-point operations per second of a 2048 × 2048 float32 matrix product, now."""
    import tensorflow as tf

    side = 2_048
    matrix = tf.random.normal((side, side))
    product = tf.function(lambda: tf.reduce_sum(matrix @ matrix))
    best, stop = float("inf"), time.perf_counter() + seconds
    while time.perf_counter() < stop:
        started = time.perf_counter()
        product().numpy()
        best = min(best, time.perf_counter() - started)
    return 2 * side**3 / best


def main(name: str) -> None:
    data.load()
    answers = sys.stdout
    sys.stdout = sys.stderr
    print("ready", file=answers, flush=True)
    for line in sys.stdin:
        order = json.loads(line)
        if order["recipe"] is None:
            answer = {"peak": peak()}
        else:
            clock = Clock()
            CONTENDERS[name](Recipe(**order["recipe"]), order["seeds"], clock)
            memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
            answer = {"training": clock.training, "evaluation": clock.evaluation}
            answer |= {"first": clock.first, "memory": memory}
        print(json.dumps(answer), file=answers, flush=True)


if __name__ == "__main__":
    main(sys.argv[1])
