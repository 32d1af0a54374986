"""The files of the page, by the names under which the page asks for them."""

from importlib.resources import files

MEDIA_TYPES_OF_FILES = {
    '.html': 'text/html; charset=utf-8',
    '.css': 'text/css; charset=utf-8',
    '.js': 'text/javascript; charset=utf-8',
    '.mjs': 'text/javascript; charset=utf-8',
    '.svg': 'image/svg+xml',
    '.json': 'application/json',
    '.wasm': 'application/wasm',
}
"""By suffix; browsers refuse modules and WebAssembly of other types."""

SHARED = (
    'index.html',
    'style.css',
    'icon.svg',
    'app.js',
    'drawing.js',
    'lists.js',
    'masks.js',
    'saving.js',
)

OF_SERVICE = {**{name: name for name in SHARED}, 'network.js': 'service.js'}
"""The page of the HTTP service: names of files in ``assets`` by those that the page uses."""

IN_BROWSER = {
    **{name: name for name in SHARED},
    **{name: name for name in ('preparing.js', 'reading.js', 'resizing.js', 'worker.js')},
    'network.js': 'in_browser.js',
}
"""Likewise for the page that runs the network itself."""


def page_files(names: dict[str, str]) -> dict[str, bytes]:
    """Reads the files of a page.

    Args:
        names: :data:`OF_SERVICE` or :data:`IN_BROWSER`.
    """
    folder = files('repnext_mm.viewer') / 'assets'
    return {name: (folder / source).read_bytes() for name, source in names.items()}
