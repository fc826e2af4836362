"""The recipes of the five sources, and what we assume where a source is silent."""

from .recipe import Recipe

KERAS_STUDY = Recipe()
"""The Keras study's baseline: 784-32-10 sigmoid, SGD at 0.01, batch 128, the last 10 % held out."""

_tuned = KERAS_STUDY.replace(optimizer="adam", learning_rate=0.001)

ARCHITECTURES = {
    recipe.name: recipe
    for recipe in [
        KERAS_STUDY.replace(name="Initial NN"),
        _tuned.replace(name="Dropout ANN", dropout=0.2),
        _tuned.replace(name="Deep ANN", units=(32, 32, 32)),
        _tuned.replace(name="Simple CNN", model="simple_cnn"),
        _tuned.replace(name="Dropout CNN", model="dropout_cnn"),
        _tuned.replace(name="Deep CNN + BN", model="deep_cnn"),
        _tuned.replace(name="VGG-16", model="vgg16", initializer="he_normal"),
    ]
}
"""The rows of the Keras study's table 6.1. The report gives little but names: the dense networks
change the baseline by what their name says; Adam at 0.001 and batch 128 are assumed throughout."""

_torch = {"activation": "relu", "framework_defaults": "torch", "initializer": "torch"}

PYTORCH_ASSIGNMENT = Recipe(
    validation="random", val_size=10_000, units=(64, 64), optimizer="adam", learning_rate=0.001,
    batch_size=64, epochs=15, **_torch,
)  # fmt: skip
"""The PyTorch MLP assignment: 50,000 images drawn by the seed, Adam, batch 64. ReLU is assumed."""

DNN_HOMEWORK = Recipe(
    validation="random", units=(128,), learning_rate=0.01, batch_size=512, epochs=50, **_torch
)
"""The DNN homework: a tenth held out by the seed, SGD without momentum (assumed), batch 512."""

MLP_REPORT = Recipe(
    validation="test", units=(10, 10), learning_rate=0.1, batch_size=32, epochs=10, **_torch
)
"""The MLP report: all training images, the test set as validation, SGD at 0.1, batch 32."""

MISSING_PIXELS = Recipe(
    task="inpaint", validation="test", units=(256, 64), learning_rate=0.01, momentum=0.9,
    batch_size=128, epochs=10, **(_torch | {"activation": "leaky_relu"}),
)  # fmt: skip
"""The imputation report: 784-256-64-28, squared error; column 14 and [0, 1] are assumed."""
