"""Is it the framework? One condition of each report that used PyTorch, in plain PyTorch.

Run it in the benchmark's environment, which has PyTorch, after ``make bench`` has made that or
``make .venv-bench/ready``:

    .venv-bench/bin/python -m benchmarks.anchor

It trains, at ten seeds and on one thread, what ``anchor.csv`` lacks; without that file, everything.
Of this project it uses the data alone. ``make test`` compares our committed runs with the file, as
distributions: the same seed draws other weights, another order and another split there.
"""

from pathlib import Path

import torch
from torch import nn

from fmnist_keras import data

STORED = Path(__file__).with_name("anchor.csv")
COLUMNS = ["source", "seed", "running_loss", "test_loss", "running_accuracy", "test_accuracy"]
"""Running: of the last epoch, while it trains. Pixels have no accuracy; their loss is the MSE."""
SEEDS = range(10)
COLUMN = 14  # of pixels, that the imputation report hides


CONDITIONS = {
    "P": (
        lambda: nn.Sequential(
            nn.Linear(784, 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 10)
        ),
        lambda weights: torch.optim.Adam(weights, lr=0.001),
        {"batch_size": 64, "epochs": 15, "kept": 50_000},
    ),
    "D": (
        lambda: nn.Sequential(nn.Linear(784, 128), nn.ReLU(), nn.Linear(128, 10)),
        lambda weights: torch.optim.SGD(weights, lr=0.01),
        {"batch_size": 512, "epochs": 50, "kept": 54_000},
    ),
    "M": (
        lambda: nn.Sequential(
            nn.Linear(784, 50), nn.ReLU(), nn.Linear(50, 50), nn.ReLU(), nn.Linear(50, 10)
        ),
        lambda weights: torch.optim.SGD(weights, lr=0.1),
        {"batch_size": 32, "epochs": 10, "kept": 60_000},
    ),
    "I": (
        lambda: nn.Sequential(
            nn.Linear(784, 256), nn.LeakyReLU(),
            nn.Linear(256, 64), nn.LeakyReLU(),
            nn.Linear(64, 28),
        ),
        lambda weights: torch.optim.SGD(weights, lr=0.01, momentum=0.9),
        {"batch_size": 128, "epochs": 10, "kept": 60_000},
    ),
}  # fmt: skip
"""The network, its optimizer, and how it is trained: ``kept`` images, the others held out."""


def prepare(images, labels, source: str) -> tuple[torch.Tensor, torch.Tensor]:
    x, y = torch.tensor(images) / 255, torch.tensor(labels).long()
    if source == "I":
        y = x[:, :, COLUMN].clone()
        x[:, :, COLUMN] = 0
    return x.flatten(1), y


def train(source: str, seed: int) -> list:
    """One run: a row of the file."""
    torch.manual_seed(seed)
    build, optimize, settings = CONDITIONS[source]
    images = data.load()
    x, y = prepare(images.train_images, images.train_labels, source)
    x_test, y_test = prepare(images.test_images, images.test_labels, source)
    kept = torch.randperm(len(x))[: settings["kept"]]
    x, y = x[kept], y[kept]
    net = build()
    optimizer = optimize(net.parameters())
    criterion = nn.MSELoss() if source == "I" else nn.CrossEntropyLoss()
    for _ in range(settings["epochs"]):
        total = right = 0.0
        for rows in torch.randperm(len(x)).split(settings["batch_size"]):
            targets = y[rows]
            outputs = net(x[rows])
            loss = criterion(outputs, targets)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            total += loss.item() * len(rows)
            if source != "I":
                right += (outputs.argmax(1) == targets).sum().item()
    with torch.no_grad():
        outputs = net(x_test)
        test_loss = criterion(outputs, y_test).item()
    accuracies = ["", ""]
    if source != "I":
        test_right = (outputs.argmax(1) == y_test).sum().item()
        accuracies = [f"{right / len(x):.6f}", f"{test_right / len(x_test):.4f}"]
    return [source, seed, f"{total / len(x):.6f}", f"{test_loss:.6f}", *accuracies]


if __name__ == "__main__":
    torch.set_num_threads(1)
    done = STORED.read_text("utf-8") if STORED.exists() else ",".join(COLUMNS) + "\n"
    for source in CONDITIONS:
        for seed in SEEDS:
            if f"\n{source},{seed}," not in done:
                done += ",".join(map(str, train(source, seed))) + "\n"
                STORED.write_text(done, "utf-8")
