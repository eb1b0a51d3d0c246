"""Face detectors with a common protocol, and the schedule of their searches."""
