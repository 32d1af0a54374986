"""One representative of every method family of mmdet and mmseg with our backbone: what works."""
