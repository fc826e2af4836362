"""Store the loss of every batch that PyTorch finds from our initial weights and order of images.

Run it in the benchmark's environment, which has PyTorch, after ``make bench`` has made that or
``make .venv-bench/ready``:

    .venv-bench/bin/python -m benchmarks.torch_curves

``make test`` compares our curves with the stored ones, without PyTorch. Store them anew when a new
Keras draws other initial weights, or when a case is added.
"""

import json
from pathlib import Path

import numpy as np

from fmnist_keras import data, models
from fmnist_keras.backend import keras
from fmnist_keras.recipe import Recipe
from fmnist_keras.training.arrays import epoch_order

STORED = Path(__file__).resolve().parents[1] / "tests" / "expected" / "torch_curves.json"
SEED, IMAGES, BATCH, PASSES = 5, 500, 100, 3
CASES = {
    "SGD": ("SGD", {"lr": 0.1}, {}),
    "momentum": ("SGD", {"lr": 0.1, "momentum": 0.9}, {}),
    "SGD, decay": ("SGD", {"lr": 0.1, "weight_decay": 0.1}, {}),
    "Adam": ("Adam", {"lr": 0.001}, {}),
    "Adam, decay": ("Adam", {"lr": 0.001, "weight_decay": 0.01}, {}),
    "RMSprop": ("RMSprop", {"lr": 0.001}, {}),
    "Adadelta": ("Adadelta", {"lr": 1.0}, {}),
    "batch norm before": ("SGD", {"lr": 0.1}, {"batch_norm": "before"}),
    "batch norm after": ("Adam", {"lr": 0.001}, {"batch_norm": "after"}),
}
"""PyTorch's optimizer, its options, and fields of the recipe."""


def recipe(case: str) -> Recipe:
    """Our recipe of a case: one update counts as an epoch, so a curve has every batch's loss."""
    optimizer, options, fields = CASES[case]
    options = {"learning_rate" if k == "lr" else k: v for k, v in options.items()}
    return Recipe(
        train_size=IMAGES, val_size=500, test_size=500, batch_size=BATCH, steps_per_epoch=1,
        epochs=PASSES * IMAGES // BATCH, units=(32,), framework_defaults="torch",
        initializer="torch", optimizer=optimizer.lower(), **options, **fields,
    )  # fmt: skip


def curve(case: str) -> list[float]:
    """PyTorch's loss of every batch, its decay counted in as ours is."""
    import torch

    optimizer, options, fields = CASES[case]
    keras.utils.set_random_seed(SEED)
    layers = [layer.get_weights() for layer in models.build(recipe(case)).layers]
    dense = [weights for weights in layers if len(weights) == 2]
    linear = [torch.nn.Linear(784, 32), torch.nn.Linear(32, 10)]
    with torch.no_grad():
        for layer, (kernel, bias) in zip(linear, dense, strict=True):
            layer.weight.copy_(torch.tensor(kernel.T.copy()))
            layer.bias.copy_(torch.tensor(bias))
    hidden = [torch.nn.Sigmoid()]
    if fields:
        hidden.insert(int(fields["batch_norm"] == "after"), torch.nn.BatchNorm1d(32))
    net = torch.nn.Sequential(linear[0], *hidden, linear[1])
    step = getattr(torch.optim, optimizer)(net.parameters(), **options)
    images = data.load()
    x = torch.tensor(images.train_images[:IMAGES].reshape(IMAGES, 784) / np.float32(255))
    y = torch.tensor(images.train_labels[:IMAGES].astype("int64"))
    losses, decay = [], options.get("weight_decay", 0) / 2
    for epoch in range(PASSES):
        for rows in torch.tensor(epoch_order(np.arange(IMAGES), SEED, epoch)).split(BATCH):
            loss = torch.nn.functional.cross_entropy(net(x[rows]), y[rows])
            step.zero_grad()
            loss.backward()
            sizes = sum(float((p.detach() ** 2).sum()) for p in net.parameters())
            losses.append(round(float(loss.detach()) + decay * sizes, 6))
            step.step()
    return losses


if __name__ == "__main__":
    STORED.write_text(json.dumps({case: curve(case) for case in CASES}, indent=1) + "\n", "utf-8")
    print(f"{len(CASES)} curves stored in {STORED.name}")
