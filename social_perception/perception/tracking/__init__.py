"""Tracks faces from frame to frame and keeps their ids stable."""
