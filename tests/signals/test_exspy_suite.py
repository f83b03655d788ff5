"""exspy's own tests of EDS_SEM signals, run on our class instead of theirs."""

import exspy.tests.signals.test_eds_sem as suite
import pytest
from exspy.tests.signals.test_eds_sem import *  # noqa: F403

from rsciio_xfm.signals import EDSXFMSpectrum


@pytest.fixture(autouse=True)
def ours_for_theirs(monkeypatch):
    monkeypatch.setattr(suite, "EDSSEMSpectrum", EDSXFMSpectrum)


def test_suite_is_ours():
    """The star import brings exspy's classes into this module, with our signal."""
    case = suite.Test_metadata()
    case.setup_method(None)
    assert type(case.signal) is EDSXFMSpectrum
    assert {"Test_metadata", "Test_get_lines_intensity", "Test_tools_bulk"} <= {
        *globals()
    }
