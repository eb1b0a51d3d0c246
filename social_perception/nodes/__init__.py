"""The ROS 2 nodes: they convert messages, call the other rooms and publish. Only here lives rclpy."""
