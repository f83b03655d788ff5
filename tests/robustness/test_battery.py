"""The battery in a short form: each boundary, and some of the random damages.

In full: ``python -m tests.robustness.battery``.
"""

import sys

import numpy as np
import pytest

from tests.robustness.battery import (
    BAD,
    Outcome,
    _is_as_others_read_it,
    run,
    table,
)
from tests.robustness.damage import damaged, truncations
from tests.robustness.samples import DATA, SAMPLES, make

N_RANDOM = 150


@pytest.mark.skipif(sys.platform != "linux", reason="memory is read from /proc")
@pytest.mark.parametrize("name", SAMPLES)
def test_damaged(name):
    """An error of ours, or a warning and what is whole; never anything else."""
    if not SAMPLES[name].is_here:
        pytest.skip(f"{SAMPLES[name].extra} is not installed")
    outcomes = run(name, N_RANDOM)
    assert len(outcomes) > N_RANDOM
    assert [o for o in outcomes if o.kind in BAD] == []


@pytest.mark.filterwarnings("ignore:.*experimental. Hold:UserWarning")
@pytest.mark.parametrize("name", SAMPLES)
def test_samples(name, tmp_path):
    """What is damaged is what was meant: parts lie in the file, and others read the same."""
    sample = SAMPLES[name]
    if not sample.is_here:
        pytest.skip(f"{sample.extra} is not installed")
    path = make(sample, tmp_path / "files")
    target = sample.damaged_path(path)
    size = target.stat().st_size
    regions, boundaries = sample.find_parts(target)
    places = [place for own in regions.values() for place in own]
    assert places and all(0 <= start < stop <= size for start, stop in places)
    assert boundaries and all(0 <= at <= size for at in boundaries)
    maps = [np.asarray(signal["data"]) for signal in sample.read(path)]
    assert maps and all(a.any() for a in maps)
    if sample.decode is not None:
        assert _is_as_others_read_it(sample, path, maps)


def test_damage():
    content = bytes(range(200))
    cuts = list(truncations(content, [0, 7, 100, 200]))
    assert {len(cut) for _, cut in cuts} >= {0, 1, 6, 7, 8, 99, 100, 101, 199}
    assert all(content.startswith(cut) and len(cut) < 200 for _, cut in cuts)
    regions = {"header": [(0, 10)], DATA: [(10, 200)]}
    made = [damaged(content, regions, str(i)) for i in range(300)]
    assert made == [damaged(content, regions, str(i)) for i in range(300)]
    assert sum(new != content for _, new in made) > 280
    assert sum("in header" in case for case, _ in made) > 100
    same_size = [new for _, new in made if len(new) == 200]
    differs = np.array([list(new) for new in same_size]) != np.arange(200)
    assert differs.any(axis=0).sum() > 190


def test_table():
    outcomes = [Outcome("a", "rejected"), Outcome("b", "hang"), Outcome("c", "rejected")]
    assert table({"EDF": outcomes}).splitlines()[-1] == "| EDF | 3 | 2 | 0 | 0 | 0 | 1 |"
