"""From images to affect: detect, track, crop, estimate, aggregate; `pipeline.py` runs the steps in order."""
