"""The only training loop, what it needs around it, and the way back from a run to scores."""
