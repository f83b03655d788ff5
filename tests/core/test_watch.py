"""Who waits for an analysis is told what it does, and can stop it."""

import threading

import numpy as np
import pytest

from rsciio_xfm.analysis.maps import Total
from rsciio_xfm.core.reduce import run
from rsciio_xfm.core.warning import collected, warn
from rsciio_xfm.core.watch import Watch, begin, go_on, watched, who_waits
from rsciio_xfm.exceptions import PassCancelledError

DATA = np.ones((8, 5, 4), dtype=np.uint8)


def test_passes_tell_who_waits():
    told = []
    with watched(Watch(told.append, lambda *part: told.append(part))):
        begin("adding up")
        run(DATA, Total())
    assert told[0] == "adding up"
    assert told[-1][0] == told[-1][1]
    n_told = len(told)
    run(DATA, Total())
    begin("nobody waits")
    assert len(told) == n_told


def test_what_a_pass_is_given_comes_first():
    own, others = [], []
    with watched(Watch(progress=lambda *part: others.append(part))):
        run(DATA, Total(), progress=lambda *part: own.append(part))
    assert own
    assert not others


def test_stops():
    stop = threading.Event()
    with watched(Watch(cancel=stop)):
        go_on()
        stop.set()
        for what in (go_on, lambda: begin("more"), lambda: run(DATA, Total())):
            with pytest.raises(PassCancelledError):
                what()
    go_on()


def test_threads_have_their_own():
    seen = []
    with watched(Watch(seen.append)):
        thread = threading.Thread(target=lambda: seen.append(who_waits().doing))
        thread.start()
        thread.join()
    assert seen == [None]


def test_warnings_are_collected():
    with collected() as texts:
        warn("one")
        with collected() as inner:
            warn("two")
    assert (texts, inner) == (["one"], ["two"])
    with pytest.warns(UserWarning, match="three"):
        warn("three")
