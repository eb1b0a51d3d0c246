"""One file per ROS 2 node."""
