-- The tables of aegis. Running this again changes nothing, nor does running it twice at once.
select pg_advisory_xact_lock(hashtext('aegis.schema'));

-- Which databases hold what of a bank's quarter. Other systems write to it too: only 'transcripts' is ours.
create table if not exists aegis_data_availability (
    bank_id integer not null,
    bank_name varchar not null,
    bank_symbol varchar not null,
    fiscal_year integer not null,
    quarter varchar not null,
    database_names text[] not null default '{}'
);

create unique index if not exists aegis_data_availability_period
    on aegis_data_availability (bank_id, fiscal_year, quarter);

-- The transcripts themselves. ingested_at is the time of the last change of the text, not of the last ingest.
create table if not exists aegis_transcripts (
    bank_id integer not null,
    bank_symbol varchar not null,
    fiscal_year integer not null,
    quarter varchar not null check (quarter in ('Q1', 'Q2', 'Q3', 'Q4')),
    file_name text not null,
    sha256 text not null,
    text text not null,
    words integer not null,
    flags text[] not null default '{}',
    notice text,
    ingested_at timestamptz not null default now(),
    -- What one call gives a report: its text, and the notice at the report's head.
    source_version text not null generated always as (
        case when notice is null then sha256 else sha256 || ':' || md5(notice) end
    ) stored,
    unique (bank_id, fiscal_year, quarter)
);

-- The speakers of a text whose file names them: a list of {number, place, start, end, part, role, speaker, title, firm}.
-- Added where it is missing only: "add column if not exists" would wait for every ingest, and make readers wait for it.
do $$
begin
    if not exists (
        select from pg_attribute
        where attrelid = 'aegis_transcripts'::regclass and attname = 'speeches' and not attisdropped
    ) then
        alter table aegis_transcripts add column speeches jsonb;
    end if;
end
$$;

-- Files that were refused, each with its reason; sha256 is empty where the bytes were not read.
create table if not exists aegis_rejected_files (
    file_name text not null,
    sha256 text not null default '',
    reason text not null,
    detail text not null,
    seen_at timestamptz not null default now(),
    unique (file_name, sha256, reason)
);

-- Reports that exist. A row is written with the report, in one transaction with its run's record.
create table if not exists aegis_reports (
    bank_id integer not null,
    fiscal_year integer not null,
    quarter varchar not null,
    report_type varchar not null,
    bank_symbol varchar,
    docx_path text,
    markdown_path text,
    source_version text,
    writer text,
    cost_usd numeric not null default 0,
    notice text,
    generated_at timestamptz not null default now(),
    -- The page of quality: what was considered, quoted and left out, and why. Null in reports from before it was kept.
    quality jsonb,
    unique (bank_id, fiscal_year, quarter, report_type)
);

-- A table of the system before this one has the columns of the key only.
alter table aegis_reports
    add column if not exists bank_symbol varchar,
    add column if not exists docx_path text,
    add column if not exists markdown_path text,
    add column if not exists source_version text,
    add column if not exists writer text,
    add column if not exists cost_usd numeric not null default 0,
    add column if not exists notice text,
    add column if not exists generated_at timestamptz not null default now(),
    add column if not exists quality jsonb;

-- What a report on each call is made from: the call, and the bank's call of the quarter before, beside which it is put.
-- A change of either makes the report stale; so does the arrival or the loss of the earlier one, since its part is never
-- empty. (The "+" tells such a version from that of a report from before there were comparisons, which had none.)
create or replace view aegis_report_sources as
select
    t.bank_id,
    t.fiscal_year,
    t.quarter,
    t.source_version as call_version,
    p.fiscal_year as previous_year,
    p.quarter as previous_quarter,
    t.source_version || '+' || coalesce(p.source_version, 'none') as source_version
from aegis_transcripts t
left join aegis_transcripts p
    on p.bank_id = t.bank_id
    and p.fiscal_year = case when t.quarter = 'Q1' then t.fiscal_year - 1 else t.fiscal_year end
    and p.quarter = case t.quarter when 'Q1' then 'Q4' when 'Q2' then 'Q1' when 'Q3' then 'Q2' else 'Q3' end;

-- What is to be done before the rest, the higher number first: of a bank, of a period, or of a bank's period. What is null
-- stands for all of them; the narrowest row that fits holds.
create table if not exists aegis_priorities (
    bank_id integer,
    fiscal_year integer,
    quarter varchar check (quarter in ('Q1', 'Q2', 'Q3', 'Q4')),
    priority integer not null
);

-- A table of an earlier version takes a bank's quarter only.
do $$
begin
    if exists (
        select from pg_attribute where attrelid = 'aegis_priorities'::regclass and attname = 'bank_id' and attnotnull
    ) then
        alter table aegis_priorities
            alter column bank_id drop not null,
            alter column fiscal_year drop not null,
            alter column quarter drop not null;
    end if;
    if not exists (select from pg_constraint where conname = 'aegis_priorities_says_what') then
        alter table aegis_priorities add constraint aegis_priorities_says_what check (
            num_nonnulls(bank_id, fiscal_year) > 0 and (quarter is null or fiscal_year is not null)
        );
    end if;
end $$;

create unique index if not exists aegis_priorities_of
    on aegis_priorities (bank_id, fiscal_year, quarter) nulls not distinct;

-- How it stands with each bank, and what its runs of the last 30 days came to.
create or replace view aegis_bank_statistics as
select
    b.bank_symbol,
    b.periods,
    coalesce(m.reports, 0) as reports,
    m.last_report_at,
    coalesce(r.completed, 0) as completed_30_days,
    coalesce(r.failed, 0) as failed_30_days,
    r.p50_seconds,
    r.p95_seconds,
    r.last_error
from (
    select bank_symbol, count(*) as periods
    from aegis_data_availability
    where 'transcripts' = any (database_names)
    group by bank_symbol
) b
left join (
    select bank_symbol, count(*) as reports, max(generated_at) as last_report_at
    from aegis_reports
    group by bank_symbol
) m using (bank_symbol)
left join (
    select
        v.lane as bank_symbol,
        count(*) filter (where v.state = 'completed') as completed,
        count(*) filter (where v.state in ('failed', 'partial')) as failed,
        percentile_cont(0.5) within group (order by v.seconds) filter (where v.state = 'completed') as p50_seconds,
        percentile_cont(0.95) within group (order by v.seconds) filter (where v.state = 'completed') as p95_seconds,
        (array_agg(v.error order by v.number desc) filter (where v.error is not null))[1] as last_error
    from penstock.v1_runs v
    where v.app = 'aegis' and v.pipeline = 'aegis_reports' and v.finished_at >= now() - interval '30 days'
    group by v.lane
) r using (bank_symbol);
