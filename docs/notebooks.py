"""Make the notebooks of the examples: ``python docs/notebooks.py``, ``--check`` to compare."""

import sys
from pathlib import Path

from sphinx_gallery.gen_gallery import DEFAULT_GALLERY_CONF
from sphinx_gallery.notebook import jupyter_notebook, save_notebook
from sphinx_gallery.py_source_parser import split_code_and_text_blocks

HERE = Path(__file__).parent
CONF = DEFAULT_GALLERY_CONF | {"first_notebook_cell": "%matplotlib inline"}


def make(script: Path) -> dict:
    """Return the notebook of an example."""
    _, blocks = split_code_and_text_blocks(str(script))
    notebook = jupyter_notebook(blocks, CONF, str(HERE))
    # Which Python it was made with is of no use to who opens it.
    notebook["metadata"].pop("language_info", None)
    return notebook


def main() -> None:
    """Write all notebooks, or tell which are not those of the examples."""
    folder = HERE / "notebooks"
    folder.mkdir(exist_ok=True)
    expected = set()
    stale = []
    for script in sorted((HERE / "examples").glob("*.py")):
        path = folder / f"{script.stem}.ipynb"
        expected.add(path)
        before = path.read_text() if path.exists() else None
        save_notebook(make(script), path)
        if path.read_text() != before:
            stale.append(path.name)
    stale += [path.name for path in set(folder.iterdir()) - expected]
    if "--check" in sys.argv and stale:
        sys.exit(f"not as the examples are: {', '.join(stale)}; python docs/notebooks.py")


if __name__ == "__main__":
    main()
