"""A close look at a data set: its samples, statistics and a page about them."""
