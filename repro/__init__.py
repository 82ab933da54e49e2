"""The suite: every table and figure of the paper as cells, statistics and pictures.

Imports `gcpo`, never the other way round.
"""
