-- Notices to people: taken from the outbox once for each target, and kept until that target has them.
alter table outbox add column noticed boolean not null default false;
create index outbox_unnoticed on outbox (app, at) where not noticed;

create table notices (
  app text not null, target text collate "C" not null, event_id uuid not null,
  at timestamptz not null, run_id bigint not null, batch uuid,
  primary key (app, target, event_id)
);
create index notices_oldest on notices (app, target, at);
create index notices_batch on notices (batch, at, run_id) where batch is not null;
comment on table notices is 'Ends of runs that a target was not told of yet.';
comment on column notices.batch is 'The message that last tried to tell it.';

create table notice_targets (
  app text not null, target text collate "C" not null,
  next_at timestamptz not null default '-infinity', tries int not null default 0, error text, sent_at timestamptz,
  primary key (app, target)
);
comment on table notice_targets is 'How each target answered last, and when it may be told again; while somebody tells it, when others may.';

create view v1_notices as
  select t.app, t.target, (select count(*) from notices n where n.app = t.app and n.target = t.target) as waiting,
    (select min(n.at) from notices n where n.app = t.app and n.target = t.target) as oldest,
    t.sent_at, t.tries, t.error, nullif(t.next_at, '-infinity') as next_at
  from notice_targets t;
comment on view v1_notices is 'Targets of notices: what waits for each, when it was last told, and why it could not be.';
