"""Pure decisions: what to do next, how long to wait, what to remember. Nothing here knows a clock or a database."""
