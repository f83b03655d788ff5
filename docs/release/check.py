"""What has to be true of a release: ``nox -s release`` and ``nox -s wheel`` ask this.

``python docs/release/check.py`` looks at the repository, ``... DIST`` at the wheel and the
sdist in a folder.
"""

import re
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

ROOT = Path(__file__).parents[2]
# In the repository only; HyperSpy's own name of a file that the package has.
_NOT_IN_SDIST = {"hyperspy_extension.yaml"}
_MADE = {"PKG-INFO"}


def problems(root: Path) -> list[str]:
    """Return what keeps the commit in a repository from being a release.

    Parameters
    ----------
    root
        Top folder of the repository.
    """
    version = version_of(root)
    found = stated_versions(root)
    wrong = [
        f"{name}: version is {said}, expected {version}"
        for name, said in found.items()
        if said != version
    ]
    top = re.search(r"^## (.*)$", _text(root, "CHANGES.md"), re.MULTILINE)
    heading = top[1] if top else "nothing"
    dated = re.fullmatch(re.escape(version) + r" \((\d{4}-\d\d-\d\d)\)", heading)
    if dated is None:
        expected = f"{version} (year-month-day)"
        wrong.append(f"CHANGES.md: the first heading is {heading}, expected {expected}")
    elif f"date-released: {dated[1]}\n" not in _text(root, "CITATION.cff"):
        wrong.append(f"CITATION.cff: expected the line date-released: {dated[1]}")
    if _git(root, "status", "--porcelain"):
        wrong.append("git status: something is not committed")
    if f"v{version}" not in _git(root, "tag", "--points-at", "HEAD"):
        wrong.append(f"git tag: this commit is not v{version}")
    return wrong


def version_of(root: Path) -> str:
    """Return the version, from the one place that has it."""
    return _first(r'^__version__ = "(.*)"$', _text(root, "rsciio_xfm/__init__.py"))


def stated_versions(root: Path) -> dict[str, str]:
    """Return what other files say that the version is, by their names."""
    recipe = "docs/release/recipe.yaml"
    return {
        "CITATION.cff": _first(r"^version: (.*)$", _text(root, "CITATION.cff")),
        recipe: _first(r'^  version: "(.*)"$', _text(root, recipe)),
    }


def differences(root: Path, dist: Path) -> list[str]:
    """Return what wheel and sdist lack of the repository, and what they have besides.

    Parameters
    ----------
    root
        Top folder of the repository.
    dist
        Folder with one wheel and one sdist.
    """
    files = set(_git(root, "ls-files"))
    (wheel,), (sdist,) = dist.glob("*.whl"), dist.glob("*.tar.gz")
    with zipfile.ZipFile(wheel) as archive:
        inside = {name for name in archive.namelist() if ".dist-info/" not in name}
    package = {name for name in files if name.startswith("rsciio_xfm/")}
    found = [f"{wheel.name}: {name}" for name in sorted(inside ^ package)]
    with tarfile.open(sdist) as archive:
        names = [one.name for one in archive.getmembers() if one.isfile()]
    inside = {name.partition("/")[2] for name in names} - _MADE
    expected = files - _NOT_IN_SDIST
    return found + [f"{sdist.name}: {name}" for name in sorted(inside ^ expected)]


def _git(root: Path, *arguments: str) -> list[str]:
    done = subprocess.run(
        ["git", *arguments],  # noqa: S607
        cwd=root,
        check=True,
        capture_output=True,
        text=True,
    )
    return done.stdout.splitlines()


def _text(root: Path, name: str) -> str:
    return (root / name).read_text(encoding="utf-8")


def _first(pattern: str, text: str) -> str:
    found = re.search(pattern, text, re.MULTILINE)
    return found[1] if found else "nothing"


def main(arguments: list[str]) -> int:
    """Print what is wrong; return 1 if anything is."""
    wrong = differences(ROOT, Path(arguments[0])) if arguments else problems(ROOT)
    sys.stdout.writelines(f"{line}\n" for line in wrong)
    return int(bool(wrong))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
