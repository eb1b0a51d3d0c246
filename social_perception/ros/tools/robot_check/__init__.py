"""Program check_robot: starts the launch files with a simulated camera and tests the package's promises."""
