-- Queries around the making of reports. Each begins with "-- name:" and its purpose.

-- name: tables_ready
-- Whether all tables are there, with the newest of their columns; taken from the catalogue, so it waits for nobody. A
-- view is known by its newest column too: whoever changes what a view means gives it a new one.
select count(*) = 10
from (
    values
        ('aegis_data_availability', 'database_names'),
        ('aegis_transcripts', 'source_version'),
        ('aegis_transcripts', 'speeches'),
        ('aegis_rejected_files', 'reason'),
        ('aegis_reports', 'source_version'),
        ('aegis_reports', 'generated_at'),
        ('aegis_reports', 'quality'),
        ('aegis_report_sources', 'previous_quarter'),
        ('aegis_priorities', 'priority'),
        ('aegis_bank_statistics', 'periods')
) needed (table_name, column_name)
join pg_attribute c on c.attrelid = to_regclass(needed.table_name) and c.attname = needed.column_name
where not c.attisdropped;

-- name: overview
-- How many bank-periods have transcripts, and how many reports of the two types exist.
select
    (select count(*) from aegis_data_availability where 'transcripts' = any (database_names)),
    (select count(*) from aegis_reports where report_type = any (%(report_types)s));

-- name: read_transcripts
-- A report's transcript, that of the quarter before where there is one, and the version of both: one statement, so that
-- they belong together whatever is ingested meanwhile.
select
    t.text,
    t.sha256,
    t.notice,
    s.source_version,
    t.speeches,
    p.fiscal_year,
    p.quarter,
    p.text,
    p.sha256,
    p.notice,
    p.speeches
from aegis_report_sources s
join aegis_transcripts t using (bank_id, fiscal_year, quarter)
left join aegis_transcripts p
    on p.bank_id = s.bank_id and p.fiscal_year = s.previous_year and p.quarter = s.previous_quarter
where s.bank_id = %(bank_id)s and s.fiscal_year = %(fiscal_year)s and s.quarter = %(quarter)s;

-- name: record_report
-- A report that was made, in the place of the one before.
insert into aegis_reports (
    bank_id, fiscal_year, quarter, report_type, bank_symbol, docx_path, markdown_path, source_version, writer, cost_usd,
    notice, quality
)
values (
    %(bank_id)s, %(fiscal_year)s, %(quarter)s, %(report_type)s, %(bank_symbol)s, %(docx_path)s, %(markdown_path)s,
    %(source_version)s, %(writer)s, %(cost_usd)s, %(notice)s, %(quality)s
)
on conflict (bank_id, fiscal_year, quarter, report_type) do update
set bank_symbol = excluded.bank_symbol,
    docx_path = excluded.docx_path,
    markdown_path = excluded.markdown_path,
    source_version = excluded.source_version,
    writer = excluded.writer,
    cost_usd = excluded.cost_usd,
    notice = excluded.notice,
    quality = excluded.quality,
    generated_at = now();

-- name: report_paths
-- Where a report lies; reports of the system before this one have no path.
select docx_path, markdown_path
from aegis_reports
where bank_id = %(bank_id)s
    and fiscal_year = %(fiscal_year)s
    and quarter = %(quarter)s
    and report_type = %(report_type)s;

-- name: transcript_versions
-- What every transcript is, to tell samples from others.
select sha256 from aegis_transcripts;
