"""Makes the reports that are missing. Run it every 15 minutes; `--help` lists what it can be told."""

from __future__ import annotations

import sys
from pathlib import Path

from aegis.orchestrator import Limits, main

# Lock file location
LOCK_FILE_PATH = "/tmp/aegis_etl_orchestrator.lock"  # noqa: S108 - where operators look for it; the file is checked

# Retry configuration
MAX_RETRIES = 3
INITIAL_RETRY_DELAY = 5  # seconds
MAX_RETRY_DELAY = 300  # 5 minutes

# Parallel execution
MAX_PARALLEL_ETLS = 4  # Number of banks to process simultaneously

if __name__ == "__main__":
    sys.exit(
        main(
            Limits(
                lock_file=Path(LOCK_FILE_PATH),
                attempts=MAX_RETRIES,
                first_delay=INITIAL_RETRY_DELAY,
                longest_delay=MAX_RETRY_DELAY,
                parallel=MAX_PARALLEL_ETLS,
            )
        )
    )
