"""Versions, requirements and names that a release says in several places agree."""

import importlib.util
import io
import re
import shlex
import subprocess
import tarfile
import tomllib
import zipfile
from pathlib import Path

import click
import pytest
import yaml
from packaging.requirements import Requirement

from tests.commands import all_commands

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / "docs" / "release"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
RECIPE = yaml.safe_load((FOLDER / "recipe.yaml").read_text(encoding="utf-8"))
DOCKERFILE = (FOLDER / "Dockerfile").read_text(encoding="utf-8")
# conda's names of parts of packages.
CONDA = {"dask": "dask-core", "matplotlib": "matplotlib-base"}


def load(path):
    specification = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


CHECK = load(FOLDER / "check.py")


def git(folder, *arguments):
    who = ("-c", "user.name=A", "-c", "user.email=a@b.c", "-c", "commit.gpgsign=false")
    subprocess.run(["git", *who, *arguments], cwd=folder, check=True, capture_output=True)


@pytest.fixture
def repository(tmp_path):
    """A repository in which all is ready for release 1.2.0."""
    root = tmp_path / "repository"
    texts = {
        "rsciio_xfm/__init__.py": '__version__ = "1.2.0"\n',
        "docs/release/recipe.yaml": 'context:\n  version: "1.2.0"\n',
        "CITATION.cff": "cff-version: 1.2.0\nversion: 1.2.0\ndate-released: 2027-01-02\n",
        "CHANGES.md": "# Changes\n\n## 1.2.0 (2027-01-02)\n\n- All.\n",
    }
    for name, text in texts.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    git(root, "init", "--quiet")
    commit(root)
    return root


def commit(root):
    git(root, "add", "--all")
    git(root, "commit", "--quiet", "--message", "A release")
    git(root, "tag", "--force", "v1.2.0")


def test_a_release(repository):
    assert CHECK.problems(repository) == []


@pytest.mark.parametrize(
    ("name", "old", "new", "wrong"),
    [
        ("CHANGES.md", "(2027-01-02)", "(unreleased)", "first heading is 1.2.0 (unr"),
        ("CHANGES.md", "## 1.2.0", "## 1.1.0", "expected 1.2.0 (year-month-day)"),
        ("CHANGES.md", "## ", "", "first heading is nothing"),
        ("CITATION.cff", "\nversion: 1.2.0", "\nversion: 1.1.0", "CITATION.cff: version"),
        ("CITATION.cff", "date-released: 2027", "date-released: 2026", "2027-01-02"),
        ("docs/release/recipe.yaml", "1.2.0", "1.1.0", "recipe.yaml: version is 1.1.0"),
    ],
)
def test_no_release(repository, name, old, new, wrong):
    path = repository / name
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))
    commit(repository)
    (said,) = CHECK.problems(repository)
    assert wrong in said


def test_what_is_not_committed_or_tagged(repository):
    (repository / "new.txt").write_text("")
    assert CHECK.problems(repository) == ["git status: something is not committed"]
    git(repository, "add", "--all")
    git(repository, "commit", "--quiet", "--message", "Later")
    assert CHECK.problems(repository) == ["git tag: this commit is not v1.2.0"]


def test_contents(repository, tmp_path):
    dist = tmp_path / "dist"
    dist.mkdir()
    with zipfile.ZipFile(dist / "a.whl", "w") as archive:
        archive.writestr("rsciio_xfm/__init__.py", "")
        archive.writestr("rsciio_xfm-1.2.0.dist-info/METADATA", "")
    names = ["PKG-INFO", "CHANGES.md", "CITATION.cff", "rsciio_xfm/__init__.py"]
    with tarfile.open(dist / "a.tar.gz", "w:gz") as archive:
        for name in names:
            archive.addfile(tarfile.TarInfo(f"rsciio_xfm-1.2.0/{name}"), io.BytesIO())
    assert CHECK.differences(repository, dist) == ["a.tar.gz: docs/release/recipe.yaml"]
    (repository / "rsciio_xfm" / "page.js").write_text("")
    git(repository, "add", "--all")
    found = CHECK.differences(repository, dist)
    assert found[:2] == [
        "a.whl: rsciio_xfm/page.js",
        "a.tar.gz: docs/release/recipe.yaml",
    ]


def test_one_version():
    """Between releases, too; and there is a place for what is changed."""
    version = CHECK.version_of(ROOT)
    assert set(CHECK.stated_versions(ROOT).values()) == {version}
    changes = (ROOT / "CHANGES.md").read_text(encoding="utf-8")
    assert re.search(rf"^## {re.escape(version)} \(", changes, re.MULTILINE)


def test_recipe():
    """conda installs what pip installs."""
    expected = {f"python {PROJECT['requires-python']}"}
    for line in PROJECT["dependencies"]:
        one = Requirement(line)
        expected.add(f"{CONDA.get(one.name, one.name)} {one.specifier}")
    assert set(RECIPE["requirements"]["run"]) == expected
    (script,) = RECIPE["build"]["python"]["entry_points"]
    assert dict([script.split(" = ")]) == PROJECT["scripts"]
    assert RECIPE["about"]["license"] == PROJECT["license"]
    assert RECIPE["about"]["summary"] == PROJECT["description"]


def test_container():
    """It is no root's, starts what there is, and copies what there is."""
    lines = re.sub(r"\\\n\s*", "", DOCKERFILE).splitlines()
    steps = [line.split(maxsplit=1) for line in lines if line and line[0] != "#"]
    last = dict(steps)
    assert {"FROM", "COPY", "RUN", "USER", "ENTRYPOINT", "VOLUME"} < set(last)
    assert int(last["USER"]) > 0
    words = yaml.safe_load(last["ENTRYPOINT"])
    assert words[0] in PROJECT["scripts"]
    command = all_commands()[words[1]]
    options = {o for p in command.params if isinstance(p, click.Option) for o in p.opts}
    assert {word for word in words if word.startswith("--")} <= options
    for extra in re.search(r"\.whl\)\[(.*?)\]", DOCKERFILE)[1].split(","):
        assert extra in PROJECT["optional-dependencies"]
    variables = shlex.split(last["ENV"])
    assert f"RSCIIO_XFM_CACHE_DIR={last['VOLUME']}" in variables
    ignored = (FOLDER / "Dockerfile.dockerignore").read_text(encoding="utf-8")
    kept = re.findall(r"^!(.*)$", ignored, re.MULTILINE)
    assert kept and all((ROOT / name).exists() for name in kept)


def test_oldest():
    """`nox -s oldest` pins what pyproject.toml allows, and no extra is left out."""
    text = (ROOT / "noxfile.py").read_text(encoding="utf-8")
    pinned = {}
    for line in re.search(r'OLDEST = """(.*?)"""', text, re.DOTALL)[1].split():
        one = Requirement(line)
        pinned[one.name] = str(one.specifier).removeprefix("==").split(".")
    extras = PROJECT["optional-dependencies"]
    users = set(extras) - {"all", "notebook", "doc", "dev", "tests"}
    lines = [*PROJECT["dependencies"], *(line for name in users for line in extras[name])]
    for line in [*lines, *extras["tests"]]:
        one = Requirement(line)
        bound = str(one.specifier).removeprefix(">=").split(".")
        if one.name in pinned:
            assert pinned[one.name][: len(bound)] == bound, line
    assert {Requirement(line).name for line in lines} <= set(pinned)
