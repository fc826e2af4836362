"""Five published Fashion-MNIST reports, re-run at several seeds. The data flows one way:

recipes → runs (found, or trained) → two frames → figures, tables, outcomes.
"""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("KERAS_BACKEND", "tensorflow")  # a keras.json elsewhere has no say
# With more threads an operation adds up in another order, some nondeterministically.
os.environ.setdefault("TF_NUM_INTRAOP_THREADS", "1")
