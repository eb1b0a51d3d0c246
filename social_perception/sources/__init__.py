"""Sources of frames: camera, video file, image folder, TCP stream, bag, sample."""
