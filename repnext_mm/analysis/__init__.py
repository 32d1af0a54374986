"""What lies behind a headline number: classes, sizes, kinds of errors, thresholds, images."""
