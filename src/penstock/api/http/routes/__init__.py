"""One file per thing that is asked about; each function parses, calls one operation and shapes the answer."""
