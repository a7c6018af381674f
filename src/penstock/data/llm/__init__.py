"""Language models behind OpenAI's chat completions: what they cost, what they may cost at most, and what went wrong."""
