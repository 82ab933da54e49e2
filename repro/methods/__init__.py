"""How a cell is trained: one record per method, and the functions that run them."""
