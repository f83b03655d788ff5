"""Make the notebooks of the examples: ``python docs/notebooks.py``, ``--check`` to compare."""

import json
import sys
from pathlib import Path

from sphinx_gallery.gen_gallery import DEFAULT_GALLERY_CONF
from sphinx_gallery.notebook import jupyter_notebook, save_notebook
from sphinx_gallery.py_source_parser import (
    remove_config_comments,
    split_code_and_text_blocks,
)

HERE = Path(__file__).parent
CONF = DEFAULT_GALLERY_CONF | {"first_notebook_cell": "%matplotlib inline"}


def make(script: Path) -> dict:
    """Return the notebook of an example."""
    _, blocks = split_code_and_text_blocks(str(script))
    blocks = [b._replace(content=remove_config_comments(b.content)) for b in blocks]
    notebook = jupyter_notebook(blocks, CONF, str(HERE))
    # Which Python it was made with is of no use to who opens it.
    notebook["metadata"].pop("language_info", None)
    return notebook


def main() -> None:
    """Write all notebooks, or tell which are not those of the examples."""
    folder = HERE / "notebooks"
    made = {
        folder / f"{script.stem}.ipynb": make(script)
        for script in sorted((HERE / "examples").glob("*.py"))
    }
    if "--check" not in sys.argv:
        for path, notebook in made.items():
            save_notebook(notebook, path)
    stale = sorted(
        path.name
        for path in {*folder.iterdir(), *made}
        if path not in made
        or not path.exists()
        or json.loads(path.read_text()) != made[path]
    )
    if stale:
        sys.exit(f"not as the examples are: {', '.join(stale)}; python docs/notebooks.py")


if __name__ == "__main__":
    main()
