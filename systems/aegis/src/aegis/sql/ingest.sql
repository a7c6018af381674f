-- Queries of aegis.ingest. Each begins with "-- name:" and its purpose.

-- name: lock_ingest
-- One ingest at a time: two would otherwise each decide on what the other is about to change.
select pg_advisory_xact_lock(hashtext('aegis.ingest'));

-- name: held_periods
-- Which file holds each period by its own name, so that a file of that period by its text only does not replace it.
select bank_symbol, fiscal_year, quarter, file_name
from aegis_transcripts
where not ('other_period' = any(flags));

-- name: stage_transcripts
-- Where accepted transcripts are copied to.
create temporary table staged_transcripts (
    bank_id integer,
    bank_name text,
    bank_symbol text,
    fiscal_year integer,
    quarter text,
    file_name text,
    sha256 text,
    text text,
    words integer,
    flags text[],
    notice text,
    speeches jsonb
) on commit drop;

-- name: copy_transcripts
copy staged_transcripts from stdin;

-- name: stage_rejected_files
-- Where rejections are copied to.
create temporary table staged_rejected_files (file_name text, sha256 text, reason text, detail text) on commit drop;

-- name: copy_rejected_files
copy staged_rejected_files from stdin;

-- name: merge_transcripts
-- New and changed transcripts; a row that is as it was is left alone. Answers whether each row is new.
insert into aegis_transcripts as held (
    bank_id, bank_symbol, fiscal_year, quarter, file_name, sha256, text, words, flags, notice, speeches
)
select bank_id, bank_symbol, fiscal_year, quarter, file_name, sha256, text, words, flags, notice, speeches
from staged_transcripts
on conflict (bank_id, fiscal_year, quarter) do update
set bank_symbol = excluded.bank_symbol,
    file_name = excluded.file_name,
    sha256 = excluded.sha256,
    text = excluded.text,
    words = excluded.words,
    flags = excluded.flags,
    notice = excluded.notice,
    speeches = excluded.speeches,
    ingested_at = now()
where (held.bank_symbol, held.file_name, held.sha256, held.flags, held.notice, held.speeches)
    is distinct from (
        excluded.bank_symbol, excluded.file_name, excluded.sha256, excluded.flags, excluded.notice, excluded.speeches
    )
returning held.bank_symbol, held.fiscal_year, held.quarter, (xmax = 0) as is_new;

-- name: merge_rejected_files
-- Rejections not seen before.
insert into aegis_rejected_files (file_name, sha256, reason, detail)
select distinct on (file_name, sha256, reason) file_name, sha256, reason, detail
from staged_rejected_files
order by file_name, sha256, reason, detail
on conflict (file_name, sha256, reason) do nothing;

-- name: merge_availability
-- 'transcripts' for every staged period, beside what other systems have written there.
insert into aegis_data_availability as held (
    bank_id, bank_name, bank_symbol, fiscal_year, quarter, database_names
)
select bank_id, bank_name, bank_symbol, fiscal_year, quarter, array['transcripts']
from staged_transcripts
on conflict (bank_id, fiscal_year, quarter) do update
set database_names = array_append(coalesce(held.database_names, '{}'), 'transcripts')
where not ('transcripts' = any(coalesce(held.database_names, '{}')));

-- name: add_availability
-- One period's other databases, beside those that are there.
insert into aegis_data_availability as held (
    bank_id, bank_name, bank_symbol, fiscal_year, quarter, database_names
)
values (%(bank_id)s, %(bank_name)s, %(bank_symbol)s, %(fiscal_year)s, %(quarter)s, %(database_names)s)
on conflict (bank_id, fiscal_year, quarter) do update
set database_names = array(
    select distinct name from unnest(held.database_names || excluded.database_names) as name order by name
)
where not (coalesce(held.database_names, '{}') @> excluded.database_names);
