"""Files as tables: opened, told apart, decoded, checked row by row and typed."""
