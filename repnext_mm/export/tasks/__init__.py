"""Models of the mm packages as modules that can be traced, from an RGB image on."""
