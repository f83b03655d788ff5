"""Formulas as MathML, which browsers draw by themselves: nothing is fetched to show them."""

import re
from typing import Any, NoReturn

from docutils import nodes
from docutils.utils.math.latex2mathml import tex2mathml


def add_renderer(app: Any) -> None:
    """Tell Sphinx of the renderer ``mathml``."""
    app.add_html_math_renderer("mathml", (_inline, None), (_block, None))


def _inline(writer: Any, node: nodes.math) -> NoReturn:
    writer.body.append(tex2mathml(_known(node.astext())))
    raise nodes.SkipNode


def _block(writer: Any, node: nodes.math_block) -> NoReturn:
    formula = tex2mathml(_known(node.astext()), as_block=True)
    writer.body.append(f'<div class="math">{formula}</div>\n')
    raise nodes.SkipNode


def _known(tex: str) -> str:
    r"""Leave out ``\big``: parentheses are as tall as what they hold anyway."""
    return re.sub(r"\\[bB]igg?[lr]?(?![a-zA-Z])", "", tex)
