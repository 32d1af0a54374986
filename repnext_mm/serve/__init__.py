"""An exported network behind HTTP: pictures in, JSON or pictures out, and a page to drop them on."""
