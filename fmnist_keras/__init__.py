"""Five published Fashion-MNIST reports, re-run at several seeds. The data flows one way:

recipe → study (Optuna runs what its storage lacks) → two frames → figures, tables, verdicts.
"""

import os
import warnings

warnings.filterwarnings("ignore", message="IProgress not found")  # Optuna imports tqdm; unused here
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
