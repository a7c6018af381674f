-- Every report that should exist: both types for each bank-quarter that is said to have a transcript. One whose text is
-- absent is wanted all the same: that it cannot be made has to be seen.
select
    a.bank_id,
    a.bank_symbol,
    a.bank_name,
    a.fiscal_year,
    a.quarter,
    r.report_type,
    %(llm_usd)s::numeric as llm_usd,
    t.source_version,
    coalesce(p.priority, 0) as priority
from aegis_data_availability a
cross join (values ('Call Summary'), ('Key Themes')) r (report_type)
left join aegis_transcripts t using (bank_id, fiscal_year, quarter)
left join aegis_priorities p using (bank_id, fiscal_year, quarter)
where 'transcripts' = any (a.database_names)
    and a.bank_symbol = any (%(symbols)s)
