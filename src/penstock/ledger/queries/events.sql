-- The log of events and its readers.

-- name: register
select penstock.register_readers(%(app)s, %(names)s);

-- name: hurry
update penstock.event_readers set next_at = '-infinity' where app = %(app)s and name = any(%(names)s);

-- name: take
select * from penstock.take_events(%(app)s, %(reader)s, %(owner)s, %(types)s::text[], %(lease)s, %(limit)s);

-- name: renew
update penstock.event_readers set lease_until = clock_timestamp() + %(lease)s * interval '1 s'
where app = %(app)s and name = %(reader)s and owner = %(owner)s returning name;

-- name: told
update penstock.event_readers set position = %(through)s, owner = null, lease_until = '-infinity', tries = 0, error = null,
  sent_at = clock_timestamp(), seen_at = clock_timestamp()
where app = %(app)s and name = %(reader)s and owner = %(owner)s and position <= %(through)s returning name;

-- name: refused
update penstock.event_readers set position = greatest(position, %(through)s), owner = null, lease_until = '-infinity',
  tries = case when position < %(through)s then 1 else tries + 1 end, error = %(error)s,
  next_at = clock_timestamp() + %(wait)s * interval '1 s', seen_at = clock_timestamp()
where app = %(app)s and name = %(reader)s and owner = %(owner)s;

-- name: release
update penstock.event_readers set owner = null, lease_until = '-infinity'
where app = %(app)s and name = %(reader)s and owner = %(owner)s;

-- name: readers
select v.name, v.position, v.waiting, v.oldest, v.sent_at, v.tries, v.error, v.next_at
from penstock.v1_event_readers v where v.app = %(app)s order by v.name;

-- name: drop
with gone as (
  delete from penstock.event_readers r where r.app = %(app)s and r.name = %(reader)s returning r.position
)
select (select count(*) from penstock.events e where e.app = %(app)s and e.position > g.position) as left from gone g;

-- name: sequence
select penstock.sequence_events(%(app)s, 1000) as moved;

-- name: last
select coalesce(max(e.position), 0) as last from penstock.events e where e.app = %(app)s;

-- name: logged
select v.position, v.id, v.type, v."time" as at, v.run_number as run_id, v.subject as run, v.pipeline, v.step, v.data
from penstock.v1_events v
where v.app = %(app)s and v.position > %(after)s and (%(types)s::text[] is null or v.type = any(%(types)s))
order by v.position limit %(limit)s;

-- name: logged_of_run
select v.position, v.id, v.type, v."time" as at, v.run_number as run_id, v.subject as run, v.pipeline, v.step, v.data
from penstock.v1_events v
where v.run_number = %(run)s and v.app = %(app)s and v.position > %(after)s
  and (%(types)s::text[] is null or v.type = any(%(types)s))
order by v.position limit %(limit)s;
