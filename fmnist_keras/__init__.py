"""Five published Fashion-MNIST reports, re-run at several seeds. The data flows one way:

recipe → experiment (trains what storage lacks) → two frames → figures, tables, outcomes.
"""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("KERAS_BACKEND", "tensorflow")  # a keras.json elsewhere has no say
# With more threads an operation adds up in another order, some of them in one of each run's own.
os.environ.setdefault("TF_NUM_INTRAOP_THREADS", "1")
