"""Where pictures come from: camera, video file, image folder, TCP stream, bag, sample."""
