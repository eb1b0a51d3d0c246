"""Face detectors behind one small protocol, and their schedule beside the frame rate."""
