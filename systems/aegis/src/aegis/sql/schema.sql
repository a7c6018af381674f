-- The tables of aegis. Running this again changes nothing.

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

-- Bank-periods to be done before others: the higher number first.
create table if not exists aegis_priorities (
    bank_id integer not null,
    fiscal_year integer not null,
    quarter varchar not null,
    priority integer not null,
    unique (bank_id, fiscal_year, quarter)
);
