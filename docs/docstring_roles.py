"""Docstrings as Markdown: an extension of Griffe, which reads them for the site's reference.

Ours use two marks of reStructuredText: roles such as ``:func:`name` ``, of which the name in code is
left, and ``::`` before indented code, of which a colon is left.
"""

import re
from typing import Any

from griffe import Extension, Object

ROLE = re.compile(r':(?:func|class|meth|attr|data|mod|exc):`~?([^`]+)`')
CODE_FOLLOWS = re.compile(r'::(?=\s*\n)')


class PlainRoles(Extension):
    """Rewrites the docstrings of all objects, before they are parsed."""

    def on_object(self, *, obj: Object, **kwargs: Any) -> None:
        """Called by Griffe for each object that it has read."""
        if obj.docstring:
            text = ROLE.sub(r'`\1`', obj.docstring.value)
            obj.docstring.value = CODE_FOLLOWS.sub(':', text)
