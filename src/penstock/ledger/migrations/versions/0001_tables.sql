-- The ledger's tables. Hot rows leave room for HOT updates (fillfactor); every name is plural.
create table installation (
  prefix text primary key check (prefix ~ '^[0-9a-f]{12}$')
);
comment on table installation is 'One row: what makes this ledger''s public ids its own.';
insert into installation select substr(replace(gen_random_uuid()::text, '-', ''), 1, 12);

create table spaces (
  space_id int generated always as identity primary key,
  app text not null, name text not null, unique (app, name)
);
comment on table spaces is 'Where lane names are told apart: a pipeline''s own, or one that pipelines share.';

create table pipelines (
  pipeline_id int generated always as identity primary key,
  app text not null, name text not null, space_id int not null references spaces,
  paused boolean not null default false,
  unique (app, name)
);

create table shapes (
  shape_id int generated always as identity primary key,
  pipeline_id int not null references pipelines, hash text not null, body json not null,
  unique (pipeline_id, hash)
);
comment on table shapes is 'The DAG as data, as it was when a plan was made; stored once by hash.';

create table plans (
  plan_id bigint generated always as identity primary key,
  pipeline_id int not null references pipelines, shape_id int not null references shapes,
  state text not null default 'open' check (state in ('open', 'applied', 'discarded')),
  paused boolean not null default false,
  definition text not null, params json, forced boolean not null default false, triggered_by text not null default 'manual',
  summary json not null default '{}', dropped json, runs int,
  created_at timestamptz not null default now(), applied_at timestamptz
);
create index plans_recent on plans (pipeline_id, plan_id desc);

create table plan_items (
  plan_id bigint not null references plans on delete cascade,
  position bigint not null, run_no bigint not null,
  key text collate "C" not null, unit json not null, lane text collate "C" not null,
  rank smallint not null, priority int not null, reason text not null, source_version text, rev bigint not null,
  primary key (plan_id, position)
);
comment on table plan_items is 'The gaps of open plans; gone when the plan is applied or discarded.';

create table processes (
  process_id bigint generated always as identity primary key,
  app text not null, name text not null, host text not null, pid int not null, started_at timestamptz not null default now(),
  lease_until timestamptz not null, ended_at timestamptz, lost_at timestamptz
) with (fillfactor = 20);
create index processes_alive on processes (lease_until) where ended_at is null and lost_at is null;

create table lanes (
  lane_id bigint generated always as identity primary key,
  space_id int not null, key text collate "C" not null,
  next_at timestamptz, run_id bigint, process_id bigint, fence bigint not null default 0,
  unique (space_id, key)
) with (fillfactor = 80);
create index lanes_ready on lanes (space_id, next_at) where next_at is not null;
create index lanes_busy on lanes (process_id) where process_id is not null;
create index lanes_held on lanes (run_id) where run_id is not null;
comment on column lanes.next_at is 'When it may be claimed; null when it is idle or held.';
comment on column lanes.fence is 'Raised by every claim, end and take-over; a write that shows an older one is turned away.';

create table units (
  unit_id bigint generated always as identity primary key,
  pipeline_id int not null, key text collate "C" not null,
  key_hash uuid generated always as (md5(key)::uuid) stored,
  unit json not null, rev bigint not null default 0,
  verdict text not null default 'none'
    check (verdict in ('none', 'completed', 'partial', 'failed', 'rejected', 'no_data', 'cancelled')),
  source_version text, failures int not null default 0, repeats int not null default 0, not_before timestamptz,
  alone boolean not null default false,
  completed_at timestamptz, completed_version text,
  last_run_id bigint, changed_at timestamptz,
  unique (pipeline_id, key_hash)
) with (fillfactor = 90);
comment on column units.key is 'Canonical JSON of the key: sorted, without blanks.';
comment on column units.source_version is 'The version that the verdict is about.';

create table runs (
  run_id bigint generated always as identity primary key,
  pipeline_id int not null, plan_id bigint not null, shape_id int not null, lane_id bigint not null,
  rank smallint not null default 5 check (rank between 0 and 9), engine text not null default 'local',
  state text not null default 'scheduled'
    check (state in ('scheduled', 'running', 'waiting', 'completed', 'partial', 'failed', 'cancelled', 'skipped')),
  process_id bigint, fence bigint, claims smallint not null default 0, losses smallint not null default 0,
  cancel_requested boolean not null default false,
  not_before timestamptz, wait_reason text,
  tries smallint not null default 0, origin_run_id bigint, units int not null default 1,
  created_at timestamptz not null default now(), started_at timestamptz, finished_at timestamptz,
  failed_at timestamptz, error_class text, error text, failed_step text
) with (fillfactor = 85);
create index runs_recent on runs (pipeline_id, run_id desc);
create index runs_plan on runs (plan_id, run_id);
create index runs_failed on runs (pipeline_id, run_id desc) where failed_at is not null;
create index runs_made on runs using brin (created_at) with (pages_per_range = 32, autosummarize = on);
create index runs_open on runs (pipeline_id, run_id desc) where state in ('running', 'waiting');
create index runs_later on runs (pipeline_id, not_before) where not_before is not null; -- no state: updates stay HOT
comment on column runs.losses is 'Take-overs in a row without an outcome recorded in between.';
comment on column runs.tries is 'How many runs of a chain of follow-ups came before this one.';

create table run_units (
  run_id bigint not null, unit_no int not null, unit_id bigint not null,
  source_version text, reason text not null, rev bigint not null,
  state text, error_class text, error text,
  primary key (run_id, unit_no)
);
create index run_units_unit on run_units (unit_id, run_id desc);
comment on column run_units.state is 'Set when the unit ended otherwise than its run.';

create table active (
  lane_id bigint not null, rank smallint not null, run_id bigint not null, unit_id bigint not null,
  held boolean not null default false
);
create unique index active_unit on active (unit_id);
create index active_head on active (lane_id, rank, run_id) where not held;
comment on table active is 'The units of live runs and nothing else. unit_id is the wall against overlap.';

create table attempts (
  run_id bigint not null, seq int not null, step text not null, attempt smallint not null,
  state text not null check (state in ('open', 'done', 'skipped', 'failed', 'held', 'cancelled', 'lost')),
  started_at timestamptz not null, finished_at timestamptz, ended_no int,
  units_left int, units_failed int, error_class text, error text, not_before timestamptz, reason text,
  output json, counts json, copied_from bigint,
  primary key (run_id, seq)
);
comment on column attempts.ended_no is 'The order in which outcomes were recorded: what the driver folds.';

create table calls (
  run_id bigint not null, step text not null, unit_no int not null,
  state text not null check (state in ('done', 'skipped', 'failed')),
  finished_at timestamptz not null, error_class text, error text, not_before timestamptz, output json, counts json,
  primary key (run_id, step, unit_no)
);
comment on table calls is 'What a step that a batch calls once per unit came to, unit by unit.';

create table onces (
  unit_id bigint not null, version text not null, step text not null, key text not null,
  value json not null, made_at timestamptz not null default now(),
  primary key (unit_id, version, step, key)
);
comment on table onces is 'What ctx.once gave; deleted when the unit completes.';

create table logs (
  log_id bigint generated always as identity primary key,
  run_id bigint not null, step text, attempt smallint, at timestamptz not null, level text not null,
  message text not null, fields json
);
create index logs_run on logs (run_id, log_id);

create table outbox (
  event_id uuid primary key default gen_random_uuid(), app text not null, type text not null,
  at timestamptz not null, run_id bigint not null
);
create index outbox_app on outbox (app, at);
comment on table outbox is 'Events that an app asked for, until they were handed over.';
