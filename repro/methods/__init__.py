"""How a cell is trained: one record per method."""
