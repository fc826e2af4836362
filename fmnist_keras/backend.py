"""Keras and its backend, imported without the lines that TensorFlow's C++ libraries write to stderr
while they load: no environment variable reaches what is logged before their logger is set up."""

import gc
import logging
import os
from contextlib import contextmanager


@contextmanager
def _silent_stderr():
    saved, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 2)
        yield
    finally:
        os.dup2(saved, 2)
        os.close(saved)
        os.close(nowhere)


with _silent_stderr():
    import keras

    keras.ops.ones(1)  # the rest of the noise comes with the first tensor

logging.getLogger("tensorflow").setLevel("ERROR")  # each run is a new graph: retracing is meant

if keras.backend.backend() == "tensorflow":
    import tensorflow as tf

    # TensorFlow would turn sums of many terms into temporary variables with names that are unique
    # in one graph only; two graphs that run in two threads then collide (AlreadyExistsError).
    tf.config.optimizer.set_experimental_options({"arithmetic_optimization": False})

# The garbage collector need not look again and again at what was loaded and stays: each model that
# is built or traced made it do so, which took a sixth of a short run.
gc.collect()
gc.freeze()

__all__ = ["cores", "keras"]


def cores() -> int:
    """The cores that this process may use: all, or as many as OMP_NUM_THREADS says."""
    return int(os.environ.get("OMP_NUM_THREADS") or 0) or os.cpu_count() or 1
