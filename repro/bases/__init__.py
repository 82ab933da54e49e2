"""Base models: made here, loaded, measured."""
