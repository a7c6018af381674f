"""Time and memory of aegis's reports: `python benchmarks/aegis_reports.py [--semantic] [FOLDER OR ZIP OF TRANSCRIPTS]`.

Without an argument the sample transcripts are measured. Each call is analysed anew, as the first of its two reports,
and put beside the bank's call of the quarter before where there is one; the bar is 1.5 s and 200 MB a report, with
`--semantic` (the embedding model) 10 s and 500 MB. Memory is the process's peak, with everything that the reports
import.
"""

from __future__ import annotations

import asyncio
import resource
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from statistics import median

from aegis.institutions import load_institutions
from aegis.reports import REPORT_TYPES, CallTranscript, ExtractiveWriter, typeset
from aegis.samples import write_samples
from aegis.semantic import open_embedder
from aegis.transcripts import inspect, read_source
from aegis.transcripts.companies import companies


async def measure(
    source: Path, to: Path, writer: ExtractiveWriter
) -> tuple[dict[str, list[float]], dict[str, list[float]]]:
    """Seconds of wall time and of processor time of every report of every transcript, by report type."""
    known = {ticker: company.name for ticker, company in companies().items()}
    known |= {symbol: bank.name for symbol, bank in load_institutions().items()}
    seconds: dict[str, list[float]] = {report_type: [] for report_type in REPORT_TYPES}
    busy: dict[str, list[float]] = {report_type: [] for report_type in REPORT_TYPES}
    calls: dict[tuple[str, str], CallTranscript] = {}
    for transcript in inspect(read_source(source), known).accepted:
        call = CallTranscript.of(transcript, known[transcript.ticker])
        calls[call.bank_symbol, call.period] = call
    for known_call in calls.values():
        call = replace(known_call, previous=calls.get((known_call.bank_symbol, known_call.period_before)))
        for report_type in REPORT_TYPES:
            start, processor = time.perf_counter(), time.process_time()
            sections = [await writer.section(call, topic) for topic in writer.topics(report_type)]
            typeset(sections, call, report_type, to, writer=writer.name, embed=writer.embed)
            seconds[report_type].append(time.perf_counter() - start)
            busy[report_type].append(time.process_time() - processor)
    return seconds, busy


def main(arguments: list[str]) -> None:
    """Prints the measures."""
    semantic = "--semantic" in arguments
    arguments = [argument for argument in arguments if argument != "--semantic"]
    writer = ExtractiveWriter(open_embedder() if semantic else None)
    with tempfile.TemporaryDirectory() as folder:
        if arguments:
            source = Path(arguments[0])
        else:
            source = Path(folder) / "samples"
            write_samples(source)
        seconds, busy = asyncio.run(measure(source, Path(folder) / "reports", writer))
    for report_type, taken in seconds.items():
        used = busy[report_type]
        print(
            f"{report_type}: {len(taken)} reports, median {median(taken):.2f} s, most {max(taken):.2f} s; "
            f"of the processor median {median(used):.2f} s, most {max(used):.2f} s"
        )
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(f"peak memory {peak / 1024:.0f} MB")


if __name__ == "__main__":
    main(sys.argv[1:])
