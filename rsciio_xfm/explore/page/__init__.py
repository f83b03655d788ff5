"""The page of the explorer: HTML, CSS and ES modules, as they are served.

A notebook takes one module only: :func:`widget_module` puts all of them into one text.
"""

import re
from pathlib import Path

FOLDER = Path(__file__).parent
_IMPORT = re.compile(
    r'^import\s+(.+?)\s+from\s+"\./([\w./-]+)";\n', re.MULTILINE | re.DOTALL
)
_EXPORT = re.compile(r"^export (?:async )?(?:function|const|class) (\w+)", re.MULTILINE)
_DEFAULT = re.compile(r"^export default (.+?);$", re.MULTILINE | re.DOTALL)


def widget_module(entry: str = "widget.js") -> str:
    """Return the page's modules as one, for a notebook.

    Each module becomes a function that returns what it exports, in the order in which they
    need each other. The modules keep to ``import {names} from "./file.js"``, ``import name
    from "./file.js"`` and ``export`` before a declaration, which a test sees to.
    """
    order: list[str] = []
    _collect(entry, order, ())
    parts = [_wrapped(name) for name in order]
    return "\n".join([*parts, f"export default {_variable(entry)}.default;", ""])


def widget_style() -> str:
    """Return the style sheet of the page."""
    return (FOLDER / "style.css").read_text(encoding="utf-8")


def _collect(name: str, order: list[str], above: tuple[str, ...]) -> None:
    """Add a module behind those that it imports."""
    if name in above:
        message = f"{' -> '.join((*above, name))}: modules import each other in a circle."
        raise ValueError(message)
    if name in order:
        return
    text = (FOLDER / name).read_text(encoding="utf-8")
    for _, imported in _IMPORT.findall(text):
        _collect(imported, order, (*above, name))
    order.append(name)


def _wrapped(name: str) -> str:
    text = (FOLDER / name).read_text(encoding="utf-8")
    exported = _EXPORT.findall(text)
    text = _IMPORT.sub(_as_constant, text)
    text = re.sub(r"^export (?!default)", "", text, flags=re.MULTILINE)
    default = _DEFAULT.search(text)
    if default:
        text = _DEFAULT.sub("", text)
        exported.append(f"default: {default[1]}")
    names = ", ".join(exported)
    return f"const {_variable(name)} = (() => {{\n{text}\nreturn {{ {names} }};\n}})();"


def _as_constant(found: re.Match[str]) -> str:
    names, module = found.groups()
    taken = names if names.startswith("{") else f"{{ default: {names} }}"
    return f"const {taken} = {_variable(module)};\n"


def _variable(name: str) -> str:
    return "module_" + re.sub(r"\W", "_", name)
