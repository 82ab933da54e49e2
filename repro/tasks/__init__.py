"""What is trained on and measured: one protocol, its implementations."""
