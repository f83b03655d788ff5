"""What runs the checks names what is there: pre-commit, nox, workflows, `.ci/run`."""

import ast
import re
import shlex
import subprocess
import tomllib
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[1]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
CI = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
# Of packages whose modules are called otherwise.
PACKAGES = {"codespell_lib": "codespell"}


def sessions():
    """Return the sessions of noxfile.py, with the versions of Python that they name."""
    found = {}
    tree = ast.parse((ROOT / "noxfile.py").read_text(encoding="utf-8"))
    for function in [node for node in tree.body if isinstance(node, ast.FunctionDef)]:
        for call in function.decorator_list:
            if isinstance(call, ast.Call) and ast.unparse(call.func) == "nox.session":
                options = {k.arg: ast.literal_eval(k.value) for k in call.keywords}
                found[options.get("name", function.name)] = options.get("python", [])
    return found


SESSIONS = sessions()


def jobs():
    return [
        pytest.param(job, id=f"{path.stem}-{name}")
        for path in WORKFLOWS
        for name, job in yaml.safe_load(path.read_text(encoding="utf-8"))["jobs"].items()
    ]


def check_command(words):
    """Check that what a command names is in this repository."""
    program, *rest = words
    if program == "bash":
        path = ROOT / rest[0]
        assert path.is_file()
        subprocess.run(["bash", "-n", path], check=True)
        if rest[1:]:
            (part,) = rest[1:]
            assert re.search(rf"case \$part in .*\b{part}\b.*\)", CI)
        return
    assert program in ("python", ".venv/bin/python")
    if rest[0] != "-m":
        assert (ROOT / rest[0]).is_file()
        return
    module = rest[1]
    if module == "nox":
        for name in rest[rest.index("-s") + 1 :]:
            session, _, version = name.partition("-")
            assert name in SESSIONS or version in SESSIONS[session]
    elif module != "pip":
        dev = " ".join(PROJECT["project"]["optional-dependencies"]["dev"])
        assert PACKAGES.get(module, module) in dev


@pytest.mark.parametrize("job", jobs())
def test_workflows(job):
    matrix = job.get("strategy", {}).get("matrix", {})
    lines = [line for s in job["steps"] for line in s.get("run", "").splitlines()]
    assert lines
    for line in lines:
        for value in matrix.get("session", [""]):
            check_command(shlex.split(line.replace("${{ matrix.session }}", value)))
    used = set(re.findall(r"matrix\.(\w+)", str(job)))
    assert used == set(matrix)


def test_three_systems_and_the_newest_python():
    (tests,) = [p for p in WORKFLOWS if p.stem == "tests"]
    matrix = yaml.safe_load(tests.read_text(encoding="utf-8"))["jobs"]["tests"][
        "strategy"
    ]
    systems = {name.split("-")[0] for name in matrix["matrix"]["os"]}
    assert systems == {"ubuntu", "macos", "windows"}
    known = SESSIONS["newest"]
    assert matrix["matrix"]["python"] == [known[0], known[-1]]
    assert PROJECT["project"]["requires-python"] == f">={known[0]}"


def test_before_a_commit():
    text = (ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8")
    (repository,) = yaml.safe_load(text)["repos"]
    assert repository["repo"] == "local"  # nothing is downloaded
    for hook in repository["hooks"]:
        assert hook["language"] == "system"
        check_command(shlex.split(hook["entry"]))


def test_lines_of_the_readme():
    """What `.ci/run` looks for is there."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    wanted = re.findall(r'line_of "(.*?)"', CI)
    assert len(wanted) == 3
    for line in wanted:
        assert line in readme


def test_commands_of_ci():
    found = re.findall(
        r"run ['\"](\.venv/bin/python .*?)['\"](?:$| \|)", CI, re.MULTILINE
    )
    commands = [shlex.split(command) for command in found]
    assert [".venv/bin/python", "-m", "nox", "-s", "lint", "types", "docs"] in commands


def test_names_of_packages_without_types():
    """mypy is told of those only that are installed with this package."""
    project = PROJECT["project"]
    extras = project["optional-dependencies"].values()
    known = " ".join([*project["dependencies"], *(p for e in extras for p in e)])
    # llvmlite is a part of numba.
    names = {"rsciio": "rosettasciio", "sklearn": "scikit-learn", "llvmlite": "numba"}
    for override in PROJECT["tool"]["mypy"]["overrides"]:
        if override.get("ignore_missing_imports"):
            for module in override["module"]:
                name = module.split(".")[0]
                assert names.get(name, name) in known
