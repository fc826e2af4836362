"""The data is the published data or an error; splits and pixels are what their names say."""

import gzip
import os
import shutil
from pathlib import Path

import numpy as np
import pytest

from fmnist_keras import data
from scripts import fetch_data

LABELS = "t10k-labels-idx1-ubyte"


@pytest.fixture(scope="module")
def images():
    data.load.cache_clear()
    return data.load()


@pytest.fixture(scope="module")
def good(images, tmp_path_factory):
    """A folder with the four files, gzipped, rebuilt from the verified arrays."""
    folder = tmp_path_factory.mktemp("good")
    arrays = (images.train_images, images.train_labels, images.test_images, images.test_labels)
    for name, array in zip(data.FILES, arrays, strict=True):
        header = np.array([0x0800 + array.ndim, *array.shape], ">u4").tobytes()
        content = gzip.compress(header + array.tobytes(), compresslevel=1)
        (folder / f"{name}.gz").write_bytes(content)
    return folder


@pytest.fixture
def copy(good, tmp_path):
    """Make a folder of links to the good files, which a test may replace."""

    def make(folder):
        (tmp_path / folder).mkdir(parents=True)
        for path in good.iterdir():
            (tmp_path / folder / path.name).symlink_to(path)
        return tmp_path / folder

    return make


@pytest.fixture
def nowhere(tmp_path, monkeypatch):
    """No folder has the data and no command works; load() forgets at both ends of the test."""
    monkeypatch.delenv("FMNIST_DATA", raising=False)
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "keras"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(data, "SYSTEM_FOLDER", tmp_path / "system")

    def fail(command, folder, **environment):
        raise OSError("no network")

    monkeypatch.setattr(fetch_data, "_run", fail)
    data.load.cache_clear()
    yield tmp_path
    data.load.cache_clear()


@pytest.fixture
def chosen(nowhere, copy, monkeypatch):
    """A folder of good files that FMNIST_DATA names."""
    monkeypatch.setenv("FMNIST_DATA", str(nowhere / "chosen"))
    return copy("chosen")


def replace(path, content):
    path.unlink()
    path.write_bytes(content)


def assert_refused(path, problem):
    """load() raises one line that starts with the file and says what is wrong and what helps."""
    with pytest.raises(data.DataError) as caught:
        data.load()
    text = str(caught.value)
    assert text.startswith(f"{path} ")
    assert problem in text
    assert data.PACKAGE in text
    assert "\n" not in text


def test_the_published_data(images):
    assert images.train_images.shape == (60_000, 28, 28)
    assert images.test_images.shape == (10_000, 28, 28)
    assert images.train_images.dtype == images.train_labels.dtype == np.uint8
    assert np.bincount(images.train_labels).tolist() == [6_000] * 10
    assert np.bincount(images.test_labels).tolist() == [1_000] * 10
    assert data.CLASS_NAMES[images.train_labels[0]] == "Ankle boot"
    with pytest.raises(ValueError, match="read-only"):
        images.train_images[0, 0, 0] = 1


# Bad files


def altered(content):
    plain = gzip.decompress(content)
    return gzip.compress(plain[:-1] + bytes([plain[-1] ^ 1]))


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (lambda content: content[:-2_000], "is truncated"),
        (lambda content: content[:1_000] + bytes(100) + content[1_100:], " is "),
        (altered, f"expected {data.FILES[LABELS][:12]}"),
        (lambda content: b"<html>not found</html>", "not gzip"),
        (lambda content: b"", " is "),
    ],
)
def test_bad_contents(chosen, change, problem):
    path = chosen / f"{LABELS}.gz"
    replace(path, change(path.read_bytes()))
    assert_refused(path, problem)


@pytest.mark.parametrize("make", [lambda path: None, os.mkdir, os.mkfifo])
def test_what_is_no_regular_file_is_not_waited_for(chosen, make):
    path = chosen / f"{LABELS}.gz"
    path.unlink()
    make(path)
    assert_refused(path, "is missing or no regular file")


def test_decompressed_files_are_accepted_and_verified(chosen, images):
    path = chosen / LABELS
    content = gzip.decompress(path.with_suffix(".gz").read_bytes())
    path.with_suffix(".gz").unlink()
    path.write_bytes(content)
    assert np.array_equal(data.load().test_labels, images.test_labels)
    data.load.cache_clear()
    path.write_bytes(content[:-1])
    assert_refused(path, "is altered")


# The search path


def test_the_chosen_folder_is_the_only_one(nowhere, copy, monkeypatch):
    copy("system")
    monkeypatch.setenv("FMNIST_DATA", str(nowhere / "absent"))
    assert_refused(nowhere / "absent" / "train-images-idx3-ubyte.gz", "is missing")


FOLDERS = {
    "FMNIST_DATA": "chosen",
    "system": "system",
    "Keras": "keras/datasets/fashion-mnist",
    "Debian package": "cache/fmnist_keras",
}


def test_the_folders_are_searched_in_order(nowhere, copy, monkeypatch):
    folders = {source: copy(folder) for source, folder in FOLDERS.items()}
    monkeypatch.setenv("FMNIST_DATA", str(folders["FMNIST_DATA"]))
    for source, folder in folders.items():
        data.load.cache_clear()
        assert data.load().source == source
        monkeypatch.delenv("FMNIST_DATA", raising=False)
        shutil.rmtree(folder)


def test_a_bad_file_is_an_error_though_the_next_folder_is_good(nowhere, copy):
    path = copy(FOLDERS["Keras"]) / "train-labels-idx1-ubyte.gz"
    replace(path, gzip.compress(b"other data"))
    copy(FOLDERS["Debian package"])
    assert_refused(path, "is altered")


def test_nothing_works(nowhere):
    with pytest.raises(data.DataError, match=r"run `python scripts/fetch_data.py`, or set FMNIST_"):
        data.load()
    with pytest.raises(data.DataError) as caught:
        fetch_data.fetch()
    text = str(caught.value)
    assert text.count("no network") == 2
    assert data.PACKAGE in text
    assert "FMNIST_DATA" in text


# Downloads


class FakeSystem:
    """Stands for the commands: Keras' loader, apt-get and dpkg, each as if it worked or failed."""

    def __init__(self, good, keras=False, lists=True):
        self.good, self.keras, self.lists, self.commands = good, keras, lists, []

    def __call__(self, command, folder, **environment):
        kind = next((w for w in ("update", "download", "dpkg") if w in command), "keras")
        self.commands.append(kind)
        if kind == "update":
            self.lists = True
        elif kind == "download":
            if not self.lists:
                raise OSError("E: Unable to locate package")
            (folder / "package.deb").touch()
        elif kind == "dpkg":
            self.unpack(folder / "unpacked" / data.SYSTEM_FOLDER.relative_to("/"))
        elif not self.keras:
            raise OSError("URL fetch failure")
        else:
            self.unpack(Path(environment["KERAS_HOME"]) / "datasets" / "fashion-mnist")

    def unpack(self, folder):
        shutil.copytree(self.good, folder)


@pytest.mark.parametrize(
    ("system", "source", "commands"),
    [
        ({}, "Debian package", ["keras", "download", "dpkg"]),
        ({"lists": False}, "Debian package", ["keras", "download", "update", "download", "dpkg"]),
        ({"keras": True}, "Keras", ["keras"]),
    ],
)
def test_the_data_is_downloaded_once(nowhere, good, monkeypatch, system, source, commands):
    system = FakeSystem(good, **system)
    monkeypatch.setattr(fetch_data, "_run", system)
    for _ in range(2):
        data.load.cache_clear()
        assert fetch_data.fetch().source == source
    assert system.commands == commands
    left = sorted(path.name for path in data.search_path()[source].iterdir())
    assert left == sorted(f"{name}.gz" for name in data.FILES)


def test_an_interrupted_download_leaves_nothing(nowhere, good, monkeypatch):
    cache = nowhere / "cache" / "fmnist_keras"

    def interrupted(folder):
        assert folder.parent == cache  # a move is atomic only there
        (folder / f"{LABELS}.gz").write_bytes(b"half a file")
        raise KeyboardInterrupt

    monkeypatch.setattr(fetch_data, "_run", FakeSystem(good))
    with monkeypatch.context() as patch:
        patch.setattr(fetch_data, "_download_package", interrupted)
        with pytest.raises(KeyboardInterrupt):
            fetch_data.fetch()
    assert list(cache.iterdir()) == []
    assert fetch_data.fetch().source == "Debian package"


def test_another_process_may_download_at_the_same_time(nowhere, good, monkeypatch):
    class Overtaken(FakeSystem):
        def unpack(self, folder):
            super().unpack(folder)
            shutil.copytree(good, nowhere / "cache" / "fmnist_keras", dirs_exist_ok=True)

    monkeypatch.setattr(fetch_data, "_run", Overtaken(good))
    assert fetch_data.fetch().source == "Debian package"


# Splits


def test_the_last_images_are_held_out_as_by_validation_split():
    train, val = data.split_indices(60_000, "last", 6_000, seed=0)
    assert np.array_equal(train, np.arange(54_000))
    assert np.array_equal(val, np.arange(54_000, 60_000))


def test_a_random_split_covers_all_and_follows_the_seed():
    (train, val), again, other = (
        data.split_indices(60_000, "random", 10_000, seed) for seed in (3, 3, 4)
    )
    assert len(val) == 10_000
    assert np.array_equal(np.sort(np.concatenate([train, val])), np.arange(60_000))
    assert np.array_equal(val, again[1])
    assert np.array_equal(train, again[0])
    assert set(val) != set(other[1])


# Pixels and targets


@pytest.fixture(scope="module")
def few(images):
    """The first images of each set."""
    arrays = (images.train_images, images.train_labels, images.test_images, images.test_labels)
    return data.Images(*(a[:n] for a, n in zip(arrays, (600, 600, 100, 100), strict=True)), "few")


def test_pixels_and_labels(few):
    x, y, x_test, y_test = data.prepare(few)
    assert x.dtype == x_test.dtype == np.float32
    assert y.dtype == y_test.dtype == np.int32
    assert np.array_equal(np.rint(x * 255), few.train_images.reshape(-1, 784))
    assert np.array_equal(np.rint(x_test * 255), few.test_images.reshape(-1, 784))
    assert np.array_equal(y, few.train_labels)
    assert np.array_equal(y_test, few.test_labels)
    assert np.array_equal(data.prepare(few, flat=False)[0], x.reshape(600, 28, 28, 1))


def test_scales(few):
    pixels = few.train_images.astype(float)
    expected = {
        "symmetric": pixels / 127.5 - 1,
        "standard": (pixels - pixels.mean()) / pixels.std(),
        "mnist": (pixels / 255 - 0.1307) / 0.3081,
    }
    for scale, values in expected.items():
        x, _, x_test, _ = data.prepare(few, scale=scale)
        assert x.dtype == x_test.dtype == np.float32
        np.testing.assert_allclose(x, values.reshape(-1, 784), atol=1e-5, err_msg=scale)
    shown = x_test * 0.3081 + 0.1307
    np.testing.assert_allclose(shown * 255, few.test_images.reshape(-1, 784), atol=1e-3)


@pytest.mark.parametrize("scale", ["unit", "symmetric", "standard", "mnist"])
def test_the_hidden_column_never_leaks(few, scale):
    whole = data.prepare(few, flat=False, scale=scale)[::2]
    restore = data.prepare(few, task="inpaint", column=13, scale=scale)
    for full, x, y in zip(whole, restore[::2], restore[1::2], strict=True):
        full, hidden = full[..., 0], x.reshape(-1, 28, 28)
        assert y.dtype == np.float32
        assert np.array_equal(y, full[:, :, 13])
        assert (hidden[:, :, 13] == full.min()).all()  # black
        assert np.array_equal(np.delete(hidden, 13, 2), np.delete(full, 13, 2))
        assert not np.shares_memory(x, y)


@pytest.mark.parametrize("flat", [True, False])
def test_all_images_have_their_pixels_in_one_other_order(few, flat):
    given = data.prepare(few, flat=flat)
    found = data.prepare(few, flat=flat, permuted=True)
    assert [part.shape for part in found] == [part.shape for part in given]
    assert not np.array_equal(found[0], given[0])
    pixels = [
        sorted(map(bytes, np.concatenate([x.reshape(-1, 784), x_test.reshape(-1, 784)]).T))
        for x, _, x_test, _ in (given, found)
    ]
    assert pixels[0] == pixels[1]
    assert np.array_equal(found[1], given[1])


def test_noisy_labels_are_wrong_ones(images):
    labels = images.train_labels.astype(np.int32)
    noisy = data.with_label_noise(labels, 0.2)
    wrong = noisy != labels
    assert wrong.sum() == 12_000
    assert set(noisy) == set(range(10))
    shifts = np.bincount((noisy - labels)[wrong] % 10, minlength=10)
    assert shifts[1:].min() > 1_200  # each other class about as often
    assert np.array_equal(data.with_label_noise(labels, 0.2), noisy)
