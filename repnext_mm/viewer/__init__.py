"""The page on which pictures are dropped, for the service and for the browser alone.

Its files are HTML, CSS and JavaScript modules without any other host. One of two modules becomes
``network.js``: that which asks the service, or that which runs the network in the browser.
"""

from repnext_mm.viewer.description import describe_network
from repnext_mm.viewer.files import IN_BROWSER, MEDIA_TYPES_OF_FILES, OF_SERVICE, page_files

__all__ = ['IN_BROWSER', 'MEDIA_TYPES_OF_FILES', 'OF_SERVICE', 'describe_network', 'page_files']
