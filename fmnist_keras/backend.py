"""Keras and TensorFlow, imported without the lines that TensorFlow's C++ libraries write to stderr
while they load. No environment variable silences what they log before their logger is set up."""

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
    import tensorflow as tf

    keras.ops.ones(1)  # the rest of the noise comes with the first tensor

logging.getLogger("tensorflow").setLevel("ERROR")  # each run is a new graph, so retracing is normal

# TensorFlow would turn sums of many terms into temporary variables with names that are unique in
# one graph only; two graphs that run in two threads then collide (AlreadyExistsError).
tf.config.optimizer.set_experimental_options({"arithmetic_optimization": False})

# Each model that is built or traced made the garbage collector go through all that was loaded,
# which took a sixth of a short run.
gc.collect()
gc.freeze()

__all__ = ["cores", "keras", "tf"]


def cores() -> int:
    """The number of cores that this process may use: OMP_NUM_THREADS, or else all."""
    return int(os.environ.get("OMP_NUM_THREADS") or 0) or os.cpu_count() or 1
