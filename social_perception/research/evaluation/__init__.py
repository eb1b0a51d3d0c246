"""How good the smile network is: metrics, and the command that prints them."""
