-- Every report that exists, with the version of the transcript that it was made from. One of unknown version (made by
-- the system before this one) counts as up to date, and so does one whose transcript is gone.
select
    r.bank_id,
    r.fiscal_year,
    r.quarter,
    r.report_type,
    case when t.source_version is not null then coalesce(r.source_version, t.source_version) end as source_version
from aegis_reports r
left join aegis_transcripts t using (bank_id, fiscal_year, quarter)
