"""What a user types: one module per verb."""
