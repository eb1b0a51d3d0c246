"""For pip: the library without ROS and its command. colcon builds with CMakeLists.txt instead."""

from setuptools import setup

setup()
