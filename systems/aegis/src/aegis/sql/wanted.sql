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
    s.source_version,
    coalesce(p.priority, 0) as priority
from aegis_data_availability a
cross join (values ('Call Summary'), ('Key Themes')) r (report_type)
left join aegis_report_sources s using (bank_id, fiscal_year, quarter)
left join lateral (
    -- The narrowest that fits: a bank's quarter, year, whole; then a quarter of all banks, a year of all banks.
    select y.priority
    from aegis_priorities y
    where coalesce(y.bank_id, a.bank_id) = a.bank_id
        and coalesce(y.fiscal_year, a.fiscal_year) = a.fiscal_year
        and coalesce(y.quarter, a.quarter) = a.quarter
    order by y.bank_id is null, y.quarter is null, y.fiscal_year is null
    limit 1
) p on true
where 'transcripts' = any (a.database_names)
    and a.bank_symbol = any (%(symbols)s)
