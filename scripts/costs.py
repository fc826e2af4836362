"""Write params/PROFILE/costs.yaml anew: how many runs and seconds each study took here.

    python scripts/costs.py quick

`make all` starts the longest study first and estimates the remaining time from it. Studies that
found runs in storage took too little: begin with `make clean all`.
"""

import json
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def main(profile: str) -> int:
    paths = sorted((ROOT / "reports" / profile / "times").glob("*.json"))
    paths = [path for path in paths if not path.name.endswith(".runs.json")]
    if not paths:
        print(f"no times of {profile}: run `make clean all PROFILE={profile}` first")
        return 1
    lines = ["# runs and seconds of each study, written by scripts/costs.py"]
    for path in paths:
        times = json.loads(path.read_text())
        lines.append(
            f"{path.stem}: {{runs: {times['runs'] or 0}, seconds: {times['seconds']:.0f}}}"
        )
    target = ROOT / "params" / profile / "costs.yaml"
    target.write_text("\n".join(lines) + "\n")
    print(f"{target.relative_to(ROOT)}: {len(paths)} studies")
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
