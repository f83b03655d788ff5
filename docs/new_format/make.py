"""Make the skeleton of a format and of its tests: ``nox -s new-format -- NAME``.

Its contract test fails until what is marked as such is filled in. The folder ``toymap``
beside this file has the same files, filled in for a made-up format.
"""

import re
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
SKELETON = Path(__file__).parent / "skeleton"
# Where each file goes.
FILES = {
    "specifications.yaml": "rsciio_xfm/formats/{name}/specifications.yaml",
    "__init__.py": "rsciio_xfm/formats/{name}/__init__.py",
    "api.py": "rsciio_xfm/formats/{name}/api.py",
    "layout.py": "rsciio_xfm/formats/{name}/layout.py",
    "parse.py": "rsciio_xfm/formats/{name}/parse.py",
    "builder.py": "tests/builders/{name}.py",
    "test_format.py": "tests/io/test_{name}.py",
}
NEXT = """
Now fill in what is marked with FILL IN; this fails until nothing is left:
    python -m pytest -m "" tests/test_contract.py tests/io/test_{name}.py \\
        tests/robustness/test_battery.py -k {name}
Then: a file for the docstring's example in tests/builders/documentation.py, a page in
docs/formats/, a line and a section in docs/api/formats.rst, a line in CHANGES.md, a benchmark
in benchmarks/.
"""


def make(name: str, root: Path = ROOT, templates: Path = SKELETON) -> list[Path]:
    """Write the files of a format, and give the package its short name.

    Parameters
    ----------
    name
        Of the format: a vendor, program or container, in small letters.
    root
        Of the repository.
    templates
        Folder of the files that are written.

    Returns
    -------
    list of pathlib.Path
        What was written.
    """
    written = []
    for template, place in FILES.items():
        text = (templates / template).read_text(encoding="utf-8")
        path = root / place.format(name=name)
        path.parent.mkdir(exist_ok=True)
        text = text.replace("newformat", name).replace("NEWFORMAT", name.upper())
        path.write_text(text, encoding="utf-8")
        written.append(path)
    package = root / "rsciio_xfm" / "__init__.py"
    text = package.read_text(encoding="utf-8")
    package.write_text(_with_name(text, name), encoding="utf-8")
    return [*written, package]


def _with_name(text: str, name: str) -> str:
    """Add a name to those of the formats."""
    (found,) = re.findall(r"^_FORMATS = \((.*?)\)$", text, re.MULTILINE | re.DOTALL)
    names = sorted({*re.findall(r'"(\w+)"', found), name})
    return text.replace(found, ", ".join(f'"{one}"' for one in names))


def main() -> None:
    """Do what the command line says."""
    if len(sys.argv) != 2:
        sys.exit("expected one name: nox -s new-format -- NAME")
    (name,) = sys.argv[1:]
    if not re.fullmatch(r"[a-z][a-z0-9_]*", name):
        sys.exit(f"the name is {name!r}, expected small letters, digits and underscores")
    for place in FILES.values():
        path = ROOT / place.format(name=name)
        if path.exists():
            sys.exit(f"{path} exists")
    for path in make(name):
        print(path.relative_to(ROOT))
    print(NEXT.format(name=name))


if __name__ == "__main__":
    main()
