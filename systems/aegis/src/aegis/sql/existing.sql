-- Every report that exists, with the version of what it was made from. Three count as up to date: one of unknown version
-- (made by the system before this one), one whose transcript is gone, and one from before reports were put beside the
-- previous call (no "+" in its version), as long as its own transcript is the same: it depends on nothing else.
select
    r.bank_id,
    r.fiscal_year,
    r.quarter,
    r.report_type,
    case
        when s.source_version is null then null
        when r.source_version is null or r.source_version = s.call_version then s.source_version
        else r.source_version
    end as source_version
from aegis_reports r
left join aegis_report_sources s using (bank_id, fiscal_year, quarter)
