"""GC2PO (arXiv 2602.06475), a reconstruction: episodes, latent perturbation, episodic reward, token credit."""
