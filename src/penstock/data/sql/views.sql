-- Materialized views: what can be refreshed how, and in which order.

-- name: view
-- A materialized view by its name as it would stand in SQL: whether it is populated, and whether it can be refreshed
-- while it is read.
select c.oid, n.nspname, c.relname, c.relkind::text, c.relispopulated,
  exists (select from pg_index i where i.indrelid = c.oid and i.indisunique and i.indisvalid and i.indpred is null
    and i.indexprs is null) as unique_index
from pg_class c join pg_namespace n on n.oid = c.relnamespace
where c.oid = to_regclass(%(name)s);

-- name: reads
-- Which of these views reads which other, directly or through views between.
with recursive reads as (
  select r.ev_class as reader, d.refobjid as read from pg_rewrite r
  join pg_depend d on d.objid = r.oid and d.classid = 'pg_rewrite'::regclass and d.refclassid = 'pg_class'::regclass
  where d.refobjid <> r.ev_class
), far as (
  select reader, read from reads where reader = any (%(oids)s::oid[])
  union
  select far.reader, reads.read from far join reads on reads.reader = far.read
)
select reader, read from far where read = any (%(oids)s::oid[]);
