"""Five published Fashion-MNIST reports, re-run at several seeds. The data flows one way:

recipes → runs (found, or trained) → two frames → figures, tables, outcomes.
"""

import os
import sys

from .errors import UserError
from .settings import in_checkout, usable_cores

for _name in ("FMNIST_DATA", "FMNIST_RESULTS"):
    if _value := os.environ.get(_name):
        os.environ[_name] = str(in_checkout(_value))

# Keras reads these once, when it is imported: the first two would cut short what it trains; the
# last one, like KERAS_BACKEND, overrules a keras.json.
for _name in ("KERAS_MAX_EPOCHS", "KERAS_MAX_STEPS_PER_EPOCH"):
    os.environ.pop(_name, None)
os.environ["KERAS_NNX_ENABLED"] = "false"

_defaults = {
    "KERAS_BACKEND": "tensorflow",
    "TF_CPP_MIN_LOG_LEVEL": "3",
    "OMP_NUM_THREADS": str(usable_cores()),
    # With more threads an operation adds up in another order, some nondeterministically.
    "OPENBLAS_NUM_THREADS": "1",
    "TF_NUM_INTRAOP_THREADS": "1",
}
if (_tf := sys.modules.get("tensorflow")) and not os.environ.get("TF_NUM_INTRAOP_THREADS"):
    try:
        _tf.config.threading.set_intra_op_parallelism_threads(1)
    except RuntimeError:  # it has its threads already, one per core
        _defaults["TF_NUM_INTRAOP_THREADS"] = "0"  # refused where a run begins
for _name, _value in _defaults.items():
    os.environ[_name] = os.environ.get(_name) or _value

_keras = sys.modules.get("keras")
if (_backend := _keras.config.backend() if _keras else os.environ["KERAS_BACKEND"]) != "tensorflow":
    raise UserError(
        f"KERAS_BACKEND = {_backend!r}: studies run on TensorFlow; unset it, or set it to "
        "tensorflow, before Keras is imported (in a notebook, restart the kernel)"
    )
