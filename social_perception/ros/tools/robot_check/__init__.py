"""Program check_robot: launches the real thing beside a camera of its own and checks what it promises."""
