"""The emotion of a scene as a whole, from small images and sound; nothing here finds or follows a person."""
