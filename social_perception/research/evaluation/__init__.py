"""Evaluation of the smile network and the face detector."""
