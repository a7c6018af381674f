-- Queries of aegis.priorities. Each begins with "-- name:" and its purpose.

-- name: priorities
-- What is set, the highest first.
select p.bank_id, p.fiscal_year, p.quarter, p.priority
from aegis_priorities p
order by p.priority desc, p.bank_id nulls last, p.fiscal_year desc nulls last, p.quarter desc nulls last;

-- name: set_priority
-- One row for what it speaks of, in the place of the one before.
insert into aegis_priorities (bank_id, fiscal_year, quarter, priority)
values (%(bank_id)s, %(fiscal_year)s, %(quarter)s, %(priority)s)
on conflict (bank_id, fiscal_year, quarter) do update set priority = excluded.priority;

-- name: unset_priority
-- Takes it away; gives a row if it was there.
delete from aegis_priorities
where bank_id is not distinct from %(bank_id)s
    and fiscal_year is not distinct from %(fiscal_year)s
    and quarter is not distinct from %(quarter)s
returning priority;
