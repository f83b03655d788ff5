"""RosettaSciIO's own tests of MSA files, on our reader and writer.

Its files are not installed with them; they are made of what the tests expect.
"""

import ast
import copy
import inspect
import textwrap

import pytest

import rsciio_xfm.formats.msa

suite = pytest.importorskip("rsciio.tests.test_msa")
from rsciio.tests.test_msa import *  # noqa: E402, F403

# Of its files, one says 20 and has 21, another 1 and has 2.
pytestmark = pytest.mark.filterwarnings("ignore:.*NPOINTS is:UserWarning")


def expected_counts(case):
    """The counts that a class of its tests looks for, as it lists them."""
    tree = ast.parse(textwrap.dedent(inspect.getsource(case.test_data)))
    (found,) = [node for node in ast.walk(tree) if isinstance(node, ast.List)]
    return ast.literal_eval(found)


def expected_keywords(function):
    """The first dictionary in a test."""
    tree = ast.parse(inspect.getsource(function))
    found = [node for node in ast.walk(tree) if isinstance(node, ast.Dict)]
    return ast.literal_eval(found[0])


def write(path, keywords, rows, **changes):
    values = {k: v for k, v in (keywords | changes).items() if v is not None}
    lines = [f"#{k:12s}: {v}" for k, v in values.items()]
    lines += ["#SPECTRUM    : Spectral Data Starts Here", *rows, "#ENDOFDATA   : "]
    path.write_text("\n".join(lines))


def make_files(folder):
    eels, eds = suite.example1_parameters, suite.example2_parameters
    iso = expected_keywords(suite.test_iso_compliance)
    counts = expected_counts(suite.TestExample1)
    pairs = [f"{520.13 + 3.1 * i:.2f}, {y}" for i, y in enumerate(counts)]
    for name, changes in (
        ("", {}),
        ("_with_seconds", {"TIME": "12:00:00"}),
        (
            "_wrong_date_empty_field",
            {"DATE": "01-09-1991", "TIME": "12:100", "EXTRA": ""},
        ),
    ):
        write(folder / f"example1{name}.msa", eels, pairs, **changes)
    spectrum = [str(y) for y in expected_counts(suite.TestExample2)]
    write(folder / "example2.msa", eds, spectrum)
    fives = [", ".join(spectrum[i : i + 5]) for i in range(0, len(spectrum), 5)]
    write(folder / "example2_NCOLUMNS5.msa", eds, fives, NCOLUMNS="5.")
    write(folder / "minimum_metadata.msa", suite.minimum_md_om, ["0.000000, 1.0"])
    title = "NIO EELS OK SHELL\n#TITLE       :  - Second line of the title"
    title += "\n#TITLE       :  - Third line of the title"
    scientific = [f"{520.13 + 3.1 * i:.4e}, {y:.4e}" for i, y in enumerate(counts)]
    doubled = [", ".join(pairs[i : i + 2]) for i in range(0, len(pairs), 2)]
    for name, rows, changes in (
        ("", pairs, {}),
        ("_scientific_notation", scientific, {}),
        ("_title_multiple_line", pairs, {"TITLE": title}),
        ("_XY_NCOLUMNS2", doubled, {"NCOLUMNS": "2."}),
    ):
        write(folder / f"ISO_22029_2022_compliance{name}.msa", iso, rows, **changes)


@pytest.fixture(autouse=True)
def ours_for_theirs(tmp_path_factory, monkeypatch):
    folder = tmp_path_factory.mktemp("files")
    make_files(folder)
    metadata = copy.deepcopy(suite.example1_metadata)
    metadata["General"]["FileIO"]["0"]["io_plugin"] = "rsciio_xfm.formats.msa"
    monkeypatch.setattr(suite, "example1_metadata", metadata)
    monkeypatch.setattr(suite, "TEST_DATA_PATH", folder)
    monkeypatch.setattr(suite, "msa", rsciio_xfm.msa)


class TestExample1WrongDate(suite.TestExample1WrongDate):
    """A date that is none is said."""

    def setup_method(self, method):
        with pytest.warns(UserWarning, match="DATE is '01-09-1991'.*TIME is '12:100'"):
            super().setup_method(method)


def test_parsed_version(tmp_path):
    """Other than theirs, the comment names this package."""
    (signal,) = rsciio_xfm.msa.file_reader(suite.TEST_DATA_PATH / "minimum_metadata.msa")
    del signal["original_metadata"]["COMMENT"]
    rsciio_xfm.msa.file_writer(tmp_path / "a.msa", signal)
    assert (
        f"rsciio_xfm version {rsciio_xfm.__version__}" in (tmp_path / "a.msa").read_text()
    )
