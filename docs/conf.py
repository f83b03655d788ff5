"""Sphinx configuration; nothing is fetched from the network."""

import shutil
import sys
import warnings
from pathlib import Path

import hyperspy.api as hs
from sphinx_gallery.sorting import ExplicitOrder

import rsciio_xfm
from rsciio_xfm._register import read_specifications

project = "rsciio_xfm"
author = "The rsciio_xfm developers"
release = version = rsciio_xfm.__version__
extensions = [
    "numpydoc",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosectionlabel",
    "sphinx.ext.viewcode",
    "sphinx_copybutton",
    "sphinx_gallery.gen_gallery",
]
exclude_patterns = ["_build", "examples", "new_format", "notebooks"]
html_theme = "pydata_sphinx_theme"
html_title = "rsciio_xfm"
html_theme_options = {"secondary_sidebar_items": ["page-toc"], "show_prev_next": False}
html_show_sourcelink = False
autosectionlabel_prefix_document = True
autodoc_typehints = "signature"
toc_object_entries_show_parents = "all"
viewcode_follow_imported_members = False
numpydoc_show_class_members = False
copybutton_prompt_text = ">>> |$ "
copybutton_prompt_is_regexp = True

# The examples run beside the files that they make: not among the sources.
_docs = Path(__file__).parent
_examples = _docs / "_build" / "examples"
shutil.rmtree(_examples, ignore_errors=True)
shutil.copytree(_docs / "examples", _examples)
sphinx_gallery_conf = {
    "examples_dirs": str(_examples),
    "gallery_dirs": "gallery",
    "filename_pattern": r"\.py$",
    "within_subsection_order": ExplicitOrder(
        [
            "element_maps.py",
            "concentrations.py",
            "regions.py",
            "classes.py",
            "embedding.py",
            "colours.py",
            "dead_time.py",
            "solder_joint.py",
            "painting.py",
            "lazy.py",
            "cluster.py",
            "other_programs.py",
            "flatfield.py",
        ]
    ),
    "copyfile_regex": r".*GALLERY_HEADER\.rst",
    "image_scrapers": ("matplotlib",),
    "capture_repr": ("_repr_html_", "__repr__"),
    "abort_on_example_error": True,
    "remove_config_comments": True,
    "show_memory": False,
    "write_computation_times": False,
    "min_reported_time": 1000,
}
# Progress bars and the deprecations of other packages are not for the pages.
hs.preferences.General.show_progressbar = False
warnings.simplefilter("ignore")


def write_format_table(app):
    """Make the table of formats from what RosettaSciIO is told about each."""
    rows = [
        ".. This file is made by conf.py from the formats' specifications.yaml.",
        "",
        ".. list-table::",
        "   :header-rows: 1",
        "",
        "   * - Format",
        "     - Extension",
        "     - Read",
        "     - Write",
        "     - Lazy",
        "     - Distributed",
        "     - Source of the facts",
    ]
    for s in read_specifications():
        folder = s["api"].rsplit(".", 1)[-1]
        yes_no = [
            "yes" if flag else "no"
            for flag in (True, s["writes"], s["lazy"], s["distributed"])
        ]
        cells = [
            f":doc:`{s['name']} <{folder}>`",
            f"``.{s['file_extensions'][s['default_extension']]}``",
            *yes_no,
            s["source"],
        ]
        rows += [f"   {'* ' if i == 0 else '  '}- {c}" for i, c in enumerate(cells)]
    table = Path(app.srcdir, "formats", "_table.txt")
    table.write_text("\n".join(rows) + "\n", encoding="utf-8")


def write_layouts(app):
    """Make the table of HDF5 layouts from the one that is read with."""
    sys.path.insert(0, str(app.confdir))
    import layouts

    table = Path(app.srcdir, "formats", "_layouts.txt")
    table.write_text(layouts.table(), encoding="utf-8")


def setup(app):
    app.connect("builder-inited", write_format_table)
    app.connect("builder-inited", write_layouts)
