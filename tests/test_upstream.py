"""What ``nox -s upstream`` does before it runs RosettaSciIO's tests."""

import hashlib
import zipfile
from pathlib import Path

import pytest

from tests import upstream

COMPARED = Path(__file__).parents[1] / "docs" / "compared.rst"


def test_what_is_left_out_is_documented():
    text = COMPARED.read_text(encoding="utf-8")
    for name in upstream.LEFT_OUT:
        assert f"``{name.split('::')[-1]}``" in text


@pytest.mark.skipif(not upstream.THEIRS.is_dir(), reason="installed without its tests")
def test_its_tests_are_on_our_modules(tmp_path):
    upstream.copy_tests(tmp_path)
    names = {path.stem for path in tmp_path.iterdir()}
    assert {
        "test_edax",
        "test_emd_ncem",
        "test_emd_velox",
        "test_msa",
        "test_ripple",
    } <= names
    for name in ("edax", "msa"):
        text = (tmp_path / f"test_{name}.py").read_text(encoding="utf-8")
        ours = (f"rsciio_xfm.formats.{name} import", f"rsciio_xfm import {name}")
        assert any(line in text for line in ours)
    for name in upstream.LEFT_OUT:
        path, *names = name.split("::")
        text = (tmp_path / path).read_text(encoding="utf-8")
        assert all(f"class {n}" in text or f"def {n}" in text for n in names)


def test_files_are_those_of_its_registry(tmp_path, monkeypatch):
    """By their content, whatever they are called; texts as they were before a wheel."""
    contents = {
        "emd/a.emd": b"\x89HDF",
        "msa/b.msa": b"#FORMAT\n1\n",
        "msa/c.msa": b"2\n",
    }
    digests = {name: hashlib.sha256(c).hexdigest() for name, c in contents.items()}
    monkeypatch.setattr(upstream, "read_registry", lambda: digests)
    with zipfile.ZipFile(tmp_path / "hyperspy.whl", "w") as archive:
        archive.writestr("hyperspy/tests/io/emd_files/a.emd", contents["emd/a.emd"])
        archive.writestr("hyperspy/tests/io/msa_files/b.msa", b"#FORMAT\r\n1\r\n")
        archive.writestr("hyperspy/tests/io/msa_files/c.msa", b"another version")
    folder = tmp_path / "data"
    missing = upstream.copy_files(folder, tmp_path / "hyperspy.whl", None)
    assert missing == ["msa/c.msa"]
    assert (folder / "msa" / "b.msa").read_bytes() == contents["msa/b.msa"]
    (tmp_path / "clone" / "msa").mkdir(parents=True)
    (tmp_path / "clone" / "msa" / "c.msa").write_bytes(contents["msa/c.msa"])
    assert upstream.copy_files(folder, None, tmp_path / "clone") == []
