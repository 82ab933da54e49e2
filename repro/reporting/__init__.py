"""From finished cells to tables, notebooks, README and results/published."""
