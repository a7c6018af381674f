"""`python -m aegis.etls.call_summary.main --bank RY --year 2025 --quarter Q2`: this one call summary, made now."""

from __future__ import annotations

import sys

from aegis.single import main

if __name__ == "__main__":
    sys.exit(main("call_summary"))
