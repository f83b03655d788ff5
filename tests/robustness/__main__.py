"""All of it, in full: ``python -m tests.robustness``, some forty minutes on two cores.

The battery with 2000 random damages of each file, and each writer killed 50 times, stopped at
50 sizes and replaced under 200 readings. Options go to the battery.
"""

import tempfile

from tests.robustness import battery
from tests.robustness.test_writers import FOLDERS, NAMES, do

TIMES = {"kill": 50, "full": 50, "replace": 200}


def main() -> None:
    """Print what became of the writers, then the table of the readers."""
    for fault, times in TIMES.items():
        for name in [*NAMES, *(FOLDERS if fault == "kill" else ())]:
            with tempfile.TemporaryDirectory() as folder:
                print(
                    f"{fault}: {name}: {do(fault, name, times, folder).strip()}",
                    flush=True,
                )
    battery.main()


if __name__ == "__main__":
    main()
