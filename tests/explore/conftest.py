"""What the tests of the explorer share."""

import pytest

from rsciio_xfm.explore import explorer, tasks
from tests.explore.asking import LONG


@pytest.fixture(autouse=True)
def all_is_waited_for(monkeypatch):
    """Do not leave what is still read, or compiled for it, to the next test.

    Users who close the explorer would not wait for so long.
    """
    monkeypatch.setattr(explorer, "_MOST_WAIT", LONG)
    monkeypatch.setattr(tasks, "_MOST_WAIT", LONG)
