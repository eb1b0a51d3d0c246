"""Fairness audit: detection and scoring by group of faces, and robustness to image changes."""
