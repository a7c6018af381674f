"""The one executor of steps, for every engine: parameters, deadlines, classification, transaction, record."""
