"""Where work runs: a local pool of forked workers, or a cluster's queue."""
