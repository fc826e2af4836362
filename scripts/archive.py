"""Keep the finished runs of results/ beside a profile's reports, a file per study: a fresh clone
then renders these reports again without training.

    python scripts/archive.py paper
"""

import sys
from pathlib import Path

from fmnist_keras import archive
from fmnist_keras.experiment import Study
from fmnist_keras.storage import results_folder

ROOT = Path(__file__).resolve().parents[1]


def main(profile: str) -> None:
    folder = ROOT / "reports" / profile / "runs"
    for journal in sorted(results_folder().glob("*.journal")):
        path = folder / f"{journal.stem}.parquet"
        runs = archive.write(Study(journal.stem, seeds=[0]).study.get_trials(), path)
        print(f"{runs:6,} runs in {path.relative_to(ROOT)}")


if __name__ == "__main__":
    main(*sys.argv[1:])
