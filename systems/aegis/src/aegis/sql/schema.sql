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
    -- What a report is made from: the text, and the notice at the report's head. Another version makes it stale.
    source_version text not null generated always as (
        case when notice is null then sha256 else sha256 || ':' || md5(notice) end
    ) stored,
    unique (bank_id, fiscal_year, quarter)
);

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
    add column if not exists generated_at timestamptz not null default now();

-- Bank-periods to be done before others: the higher number first.
create table if not exists aegis_priorities (
    bank_id integer not null,
    fiscal_year integer not null,
    quarter varchar not null,
    priority integer not null,
    unique (bank_id, fiscal_year, quarter)
);
