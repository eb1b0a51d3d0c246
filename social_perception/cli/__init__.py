"""The command ``social-perception``: one module per sub-command."""
