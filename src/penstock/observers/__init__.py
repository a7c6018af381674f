"""Who is told of what happens: one file per kind of listener."""
