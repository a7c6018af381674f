"""The engine that carries runs out in this process."""
