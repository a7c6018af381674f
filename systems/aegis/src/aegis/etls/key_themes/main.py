"""`python -m aegis.etls.key_themes.main --bank RY --year 2025 --quarter Q2`: these key themes, made now."""

from __future__ import annotations

import sys

from aegis.single import main

if __name__ == "__main__":
    sys.exit(main("key_themes"))
