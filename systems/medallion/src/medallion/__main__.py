"""`python -m medallion`."""

from __future__ import annotations

from medallion.commands import main

raise SystemExit(main())
