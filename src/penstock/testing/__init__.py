"""What a pipeline's author tests with."""
