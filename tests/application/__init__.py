"""The whole application: what its parts come to together, asked over its routes."""
