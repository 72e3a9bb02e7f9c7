"""Runners of the decision corpus: one module per group, each with RUNNERS, from the name of a file to a function that gives the differences."""
