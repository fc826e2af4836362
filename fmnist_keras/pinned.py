"""What has one right value while a run trains, whatever keras.json or the notebook says. Switches
that TensorFlow reads from the environment are part of the fingerprint instead."""

import contextlib
import ctypes
import os
from collections.abc import Callable, Iterator

import numpy as np

from .errors import UserError

OPTIONS = {
    "arithmetic_optimization": False, "disable_meta_optimizer": False,
    "disable_model_pruning": False,
}  # fmt: skip
"""TensorFlow's options for graphs, as backend.py leaves them."""


def _settings() -> Iterator[tuple[Callable, Callable, object]]:
    """What reads a setting, what sets it, and its value."""
    from tensorflow.python.framework import config as internal

    from .backend import keras, tf

    def determinism(on: bool) -> None:  # only what enables it is public
        internal.enable_op_determinism() if on else internal.disable_op_determinism()

    for name, value in {
        "floatx": "float32", "epsilon": 1e-7, "image_data_format": "channels_last",
        "dtype_policy": "float32", "max_epochs": None, "max_steps_per_epoch": None,
    }.items():  # fmt: skip
        yield getattr(keras.config, name), getattr(keras.config, f"set_{name}"), value
    yield keras.distribution.distribution, keras.distribution.set_distribution, None
    config, gpu = tf.config, tf.config.experimental
    yield config.functions_run_eagerly, config.run_functions_eagerly, False
    yield config.optimizer.get_jit, config.optimizer.set_jit, False
    yield internal.is_op_determinism_enabled, determinism, False
    yield gpu.tensor_float_32_execution_enabled, gpu.enable_tensor_float_32_execution, True
    blas = ctypes.CDLL(np._core._multiarray_umath.__file__)
    with contextlib.suppress(AttributeError):  # another BLAS than that of NumPy's wheels
        threads = blas.scipy_openblas_get_num_threads64_
        yield threads, blas.scipy_openblas_set_num_threads64_, 1  # more add up in another order


def _check_fixed() -> None:
    """Raise UserError for what no longer can be set once TensorFlow has begun."""
    from .backend import tf

    given, threading = os.environ["TF_NUM_INTRAOP_THREADS"], tf.config.threading
    if not given.isdecimal() or not int(given):
        raise UserError(
            f"TF_NUM_INTRAOP_THREADS = {given!r}: must be an integer from 1 (0: TensorFlow began "
            "to compute before fmnist_keras was imported; restart the kernel and import it first)"
        )
    if (threads := threading.get_intra_op_parallelism_threads()) not in (0, int(given)):
        raise UserError(
            f"tf.config.threading: {threads} threads an operation, not {given}: restart the kernel "
            "without that, and set TF_NUM_INTRAOP_THREADS, before it starts, if you want more"
        )
    if (options := tf.config.optimizer.get_experimental_options()) != OPTIONS:
        raise UserError(f"tf.config.optimizer: {options}: restart the kernel and leave them alone")


def pin() -> Callable[[], None]:
    """Set what has one right value; return what gives all settings their values of before. Raises
    UserError for a setting that cannot be changed in this process."""
    _check_fixed()
    settings = list(_settings())
    before = [get() for get, _, _ in settings]
    for _, set_to, value in settings:
        set_to(value)

    def restore() -> None:
        for (_, set_to, _), value in zip(settings, before, strict=True):
            set_to(value)

    return restore


@contextlib.contextmanager
def pinned() -> Iterator[None]:
    """What trains in this context does so with the settings of :func:`pin`."""
    restore = pin()
    try:
        yield
    finally:
        restore()
