-- What a table is: looked up before rows go into it, so that what does not fit has a name.

-- name: relation
-- A table by its name as it would stand in SQL; no row when there is none. Under the search path of the connection.
select c.oid, n.nspname, c.relname, c.relkind::text
from pg_class c join pg_namespace n on n.oid = c.relnamespace
where c.oid = to_regclass(%(name)s);

-- name: similar
-- The tables that there are, for a name that is nearly right.
select case when pg_table_is_visible(c.oid) then c.relname else n.nspname || '.' || c.relname end
from pg_class c join pg_namespace n on n.oid = c.relnamespace
where c.relkind in ('r', 'p', 'm') and n.nspname !~ '^pg_' and n.nspname not in ('information_schema', 'penstock')
order by 1 limit 2000;

-- name: columns
-- Its columns in order. `base` is the type under all domains, its category says what may be written into it, and
-- `comparable` whether two values can be told apart by `is distinct from`.
with recursive under as (
  select a.attnum, t.oid, t.typbasetype, t.typtype, t.typname, t.typelem, t.typcategory, a.attnotnull as not_null,
    t.typnotnull as domain_not_null
  from pg_attribute a join pg_type t on t.oid = a.atttypid
  where a.attrelid = %(oid)s and a.attnum > 0 and not a.attisdropped
  union all
  select u.attnum, t.oid, t.typbasetype, t.typtype, t.typname, t.typelem, t.typcategory, u.not_null,
    u.domain_not_null or t.typnotnull
  from under u join pg_type t on t.oid = u.typbasetype where u.typtype = 'd'
)
select a.attname, format_type(a.atttypid, a.atttypmod) as type, u.typname as base, u.typcategory::text as category,
  a.attnotnull or u.domain_not_null as not_null,
  a.atthasdef or a.attidentity <> '' or exists (
    select from pg_type d where d.oid = a.atttypid and d.typdefault is not null) as has_default,
  a.attgenerated <> '' as generated, a.attidentity::text as identity,
  coalesce(e.typname, u.typname) not in (
    'json', 'xml', 'point', 'line', 'lseg', 'box', 'path', 'polygon', 'circle') as comparable
from pg_attribute a
join under u on u.attnum = a.attnum and u.typtype <> 'd'
left join pg_type e on e.oid = u.typelem and u.typcategory = 'A'
where a.attrelid = %(oid)s and a.attnum > 0 and not a.attisdropped
order by a.attnum;

-- name: unique_keys
-- The column sets by which a row can be told: whole unique indexes that are checked at once; the primary key first.
select array_agg(a.attname::text order by a.attname::text) as names, bool_or(i.indisprimary) as is_primary,
  bool_and(i.indimmediate) as immediate
from pg_index i
cross join lateral unnest(i.indkey::int2[]) with ordinality k(attnum, place)
join pg_attribute a on a.attrelid = i.indrelid and a.attnum = k.attnum
where i.indrelid = %(oid)s and i.indisunique and i.indisvalid and i.indpred is null and i.indexprs is null
  and k.place <= i.indnkeyatts
group by i.indexrelid
order by is_primary desc, names;
