"""RepNeXt-T and RepNeXt-M: layers, architectures, and the names in their state dicts."""
