"""The ROS 2 interface: messages, nodes and their tools. Only here is rclpy imported."""
