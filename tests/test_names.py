"""One spelling for one thing in the public interface."""

import importlib
import inspect
import io
import re
import tokenize
from pathlib import Path

import pytest

import rsciio_xfm
from rsciio_xfm._register import read_specifications
from tests.commands import all_commands

PACKAGE = Path(rsciio_xfm.__file__).parent
# By the name that is used for it, what it is not called.
OTHERS = {
    "filename": {"path", "file", "fname", "file_name", "datapath", "src", "source"},
    "destination": {"dst", "dest", "out_path", "output", "target"},
    "overwrite": {"replace", "force", "exist_ok"},
    "show_progressbar": {"progress", "progressbar", "verbose"},
    "random_state": {"seed", "rng"},
    "dead_time": {"deadtime", "dead"},
    "colour": {"color"},
}
WRONG = {other: name for name, others in OTHERS.items() for other in others}


def functions():
    """The functions that users call: of the package, of formats, data and signals."""
    modules = [importlib.import_module(s["api"]) for s in read_specifications()]
    found = {}
    for module in [*modules, rsciio_xfm.data]:
        for name in module.__all__:
            if inspect.isfunction(getattr(module, name)):
                found[f"{module.__name__.split('.')[-1]}.{name}"] = getattr(module, name)
    for name in rsciio_xfm._FUNCTIONS:
        found[name] = getattr(rsciio_xfm, name)
    signal = rsciio_xfm.signals.EDSXFMSpectrum
    for name, value in inspect.getmembers(signal, inspect.isfunction):
        if not name.startswith("_") and value.__module__.startswith("rsciio_xfm."):
            found[f"signal.{name}"] = value
    return found


FUNCTIONS = functions()


def test_there_are_functions():
    assert {"esrf.convert", "geopixe.fill_dead_time", "pca"} < set(FUNCTIONS)
    assert "signal.get_window_images" in FUNCTIONS


@pytest.mark.parametrize("name", FUNCTIONS)
def test_parameters(name):
    parameters = inspect.signature(FUNCTIONS[name]).parameters
    assert {p: WRONG[p] for p in parameters if p in WRONG} == {}
    if "filename" in parameters and not name.startswith(("datastack.append", "signal.")):
        assert next(iter(parameters)) == "filename"
    if "overwrite" in parameters and not name.startswith("signal."):
        assert parameters["overwrite"].kind is inspect.Parameter.KEYWORD_ONLY
    if "show_progressbar" in parameters:
        assert parameters["show_progressbar"].default is None


def test_dead_time():
    """In names and in what is said; but for fields of files: GeoPIXE's "Deadtime (%)"."""
    # Of PETRA III and of SOLEIL.
    fields = re.compile(r"deadtime(ticks|00|\{detector\})")
    wrong = []
    for path in sorted(PACKAGE.rglob("*.py")):
        text = path.read_text(encoding="utf-8")
        for token in tokenize.generate_tokens(io.StringIO(text).readline):
            said = token.string.replace('"Deadtime (%)"', "").replace("DeadTime", "")
            if "deadtime" in fields.sub("", said).lower():
                wrong.append((path.name, token.start))
    assert not wrong


def test_commands():
    commands = all_commands()
    assert "fill-dead-time" in commands
    for command in commands.values():
        for parameter in command.params:
            assert not re.search(r"deadtime|color|centre", str(parameter.name))
