"""What is measured of a trained model, against direct computation."""

import numpy as np
import pytest

from fmnist_keras import measures, models, training
from fmnist_keras.recipe import KERAS_STUDY, MISSING_PIXELS

SMALL = {"epochs": 1, "train_size": 500, "test_size": 300}


@pytest.fixture(scope="module")
def classifier():
    recipe = KERAS_STUDY.but(optimizer="adam", **SMALL)
    return training.train(recipe, 0).model, training.load_arrays(recipe, 0)


def test_predictions_count_every_test_image_and_rank_mistakes_by_confidence(classifier):
    model, arrays = classifier
    found = measures.predictions(model, arrays, shown=10)
    labels = np.asarray(arrays.parts["test"][1])
    confusion = np.array(found["confusion"])
    assert confusion.sum(axis=1).tolist() == np.bincount(labels, minlength=10).tolist()
    accuracy = training.evaluate(model, arrays, "test")["test_accuracy"]
    assert np.trace(confusion) / len(labels) == pytest.approx(accuracy)
    confidence = [probability for *_, probability in found["mistakes"]]
    assert len(confidence) == 10
    assert confidence == sorted(confidence, reverse=True)
    assert all(labels[index] != predicted for index, predicted, _ in found["mistakes"])


def test_weights_are_those_of_the_kernels_and_pruning_leaves_the_model_as_it_was(classifier):
    model, arrays = classifier
    before = model.get_weights()
    found = measures.weights(model, arrays)
    kernels = np.concatenate([before[0].ravel(), before[2].ravel()])
    assert found["weight_norm"] == pytest.approx(np.linalg.norm(kernels), rel=1e-5)
    assert found["near_zero"] == pytest.approx(np.mean(np.abs(kernels) < 1e-3))
    assert found["max_weight"] == pytest.approx(np.abs(kernels).max())
    assert sum(found["histogram"]) <= len(kernels)
    for old, new in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)


def test_pruning_removes_the_smallest_weights(classifier):
    model, arrays = classifier
    found = measures.weights(model, arrays)
    saved = model.get_weights()
    kernels = np.concatenate([saved[0].ravel(), saved[2].ravel()])
    limit = np.quantile(np.abs(kernels), 0.9)
    model.set_weights([np.where(np.abs(w) < limit, 0, w) if w.ndim == 2 else w for w in saved])
    expected = training.evaluate(model, arrays, "test")["test_accuracy"]
    model.set_weights(saved)
    assert found["pruned_90"] == pytest.approx(expected)


def test_picture_quality_of_a_known_error():
    pictures = np.random.default_rng(0).random((5, 28, 28)).astype(np.float32)
    pictures[:, 0, 0], pictures[:, 0, 1] = 0, 1
    truth = pictures[:, :, 14]
    wrong = np.where(truth > 0.5, truth - 0.2, truth + 0.2)
    quality = measures.picture_quality(pictures, wrong, 14, data_range=1.0)
    assert quality["psnr"] == pytest.approx(10 * np.log10(1 / (0.2**2 / 28)), abs=1e-3)
    assert 0.5 < quality["ssim"] < 1
    better = measures.picture_quality(pictures, truth + 0.01 * (wrong - truth), 14, data_range=1.0)
    assert better["ssim"] > quality["ssim"]


def test_restoration_scores_the_models_own_column():
    recipe = MISSING_PIXELS.but(**SMALL)
    model, arrays = models.build(recipe), training.load_arrays(recipe, 0)
    found = measures.restoration(model, arrays)
    x, truth = (np.asarray(part) for part in arrays.parts["test"])
    pictures = x.reshape(-1, 28, 28).copy()
    pictures[:, :, 14] = truth
    guess = training.outputs(model, x)
    assert found == measures.picture_quality(pictures, guess, 14, data_range=1.0)
