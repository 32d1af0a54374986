"""A generated dataset, and pictures of results, for the demo and the tests."""
