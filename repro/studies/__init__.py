"""Explorations whose result is published."""
