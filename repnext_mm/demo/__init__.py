"""What the demo and the tests need: a generated dataset and pictures of results."""
