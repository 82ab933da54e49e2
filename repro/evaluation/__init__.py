"""Samples drawn from a model, graded, stored and summed up."""
