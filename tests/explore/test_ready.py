"""The kernels of the explorer are there before somebody drags."""

import threading

import pytest

from rsciio_xfm.explore import ready
from rsciio_xfm.kernels import ahead
from tests.explore import kernels_used

pytest.importorskip("numcodecs")


@pytest.mark.thorough
@pytest.mark.parametrize("dtype", kernels_used.DTYPES)
def test_all_are_listed(dtype):
    """Whatever is called for a cache, and for answers from it."""
    for shape in kernels_used.SHAPES:
        kernels_used.record(dtype, shape)
        made, asked = kernels_used.record(dtype, shape)
        parts = ahead.parts()
        assert [line for line in made if line not in parts[f"explorer {dtype}"]] == []
        assert [line for line in asked if line not in parts[ready.QUESTIONS]] == []


class Ahead:
    """Another process that compiles, as far as this one sees it."""

    def __init__(self, monkeypatch):
        self.compiled, self.wanted, self.loaded = set(), [], []
        self.is_off = self.is_compiling = False
        for name in ("is_off", "is_compiling"):
            monkeypatch.setattr(ahead, name, lambda name=name: getattr(self, name))
        monkeypatch.setattr(ahead, "parts", lambda: {"a": [], "b": [], "explorer": []})
        monkeypatch.setattr(ahead, "is_compiled", self.compiled.__contains__)
        monkeypatch.setattr(
            ahead, "compile_ahead", lambda *names: self.wanted.append(names)
        )
        monkeypatch.setattr(ahead, "compile_now", self.load)

    def load(self, names):
        for name in names:
            self.loaded.append(name)
            yield name, False


@pytest.fixture
def process(monkeypatch):
    monkeypatch.setattr(ready, "_begun", set())
    return Ahead(monkeypatch)


def test_waits_for_the_other_process(process):
    process.is_compiling = True
    thread = threading.Thread(target=ready.get, args=(["a", "b", "unknown"],))
    thread.start()
    process.compiled.add("a")
    thread.join(0.2)
    assert thread.is_alive()
    assert not process.loaded
    process.compiled.add("b")
    thread.join(10)
    assert process.loaded == ["a", "b"]
    assert {name for names in process.wanted for name in names} <= {"a", "b"}


def test_where_no_process_can_be_started(process):
    """Nothing is waited for; what is called is compiled when it is called."""
    process.compiled.add("a")
    ready.get(["a", "b"])
    assert process.wanted == [("a", "b")]
    assert process.loaded == ["a"]


def test_not_for_ever(process, monkeypatch):
    monkeypatch.setattr(ready, "_MOST_WAIT", 0.1)
    process.is_compiling = True
    ready.get(["a"])
    assert process.loaded == []


def test_closed_while_it_waits(process):
    process.is_compiling = True
    ready.get(["a"], lambda: True)
    assert process.loaded == []


def test_begun_once(process):
    process.compiled.add(ready.QUESTIONS)
    for _ in range(3):
        ready.begin()
    for thread in threading.enumerate():
        if thread.name == "kernels":
            thread.join(10)
    assert process.loaded == [ready.QUESTIONS]


def test_switched_off(process):
    process.is_off = True
    ready.begin()
    ready.get(["a"])
    assert process.loaded == process.wanted == []
