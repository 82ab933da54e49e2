"""Experiments as data, the cells they need, how a cell is filled, and its state on disk."""
