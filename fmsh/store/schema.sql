-- The life of a job, told as tables.
--
-- Somebody types a line, or starts a script. Its text and tree are kept once, however many jobs run it. `sum`, here and
-- below, is a keyed hash of the row's content: a bit that flips on the disk is found when the row is read.

CREATE TABLE program (
    hash TEXT PRIMARY KEY,
    name TEXT NOT NULL,
    text TEXT NOT NULL,
    tree_json TEXT NOT NULL,
    sum BLOB NOT NULL
) STRICT;

-- Each run of a program is a job. The first block never changes. The second is what lists show, and changes only together
-- with the job's events. The third says how far the history goes and who may write it. The fourth repeats what the others
-- say for the indexes below: `due_at_ms` is set while nobody holds the job and it wants to be woken, `ended_as` once it
-- has ended. `ended_sum` covers the outcome, which other jobs read. The last says when parts of it were removed. A number is
-- never given twice.

CREATE TABLE job (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    uid TEXT NOT NULL UNIQUE,
    key TEXT,
    name TEXT,
    tags_json TEXT NOT NULL,
    source TEXT NOT NULL,
    command TEXT NOT NULL,
    program_hash TEXT NOT NULL,
    parent_id INTEGER,
    created_at_ms INTEGER NOT NULL,

    is_detached INTEGER NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('running', 'waiting', 'paused', 'parked', 'succeeded', 'failed', 'cancelled')),
    wake_at_ms INTEGER,
    steps INTEGER NOT NULL,
    waiting_for_json TEXT NOT NULL,
    value_json TEXT,
    error_json TEXT,
    exit_status INTEGER,
    ended_at_ms INTEGER,
    at_terminal INTEGER NOT NULL,

    head INTEGER NOT NULL DEFAULT 0,
    epoch INTEGER NOT NULL DEFAULT 1,
    owner_id TEXT,
    trimmed_seq INTEGER NOT NULL DEFAULT 0,
    trimmed_chain BLOB,

    due_at_ms INTEGER,
    ended_as TEXT,
    ended_sum BLOB,

    trimmed_at_ms INTEGER,
    output_removed_at_ms INTEGER
) STRICT;

-- An idempotent start finds the job that was started before. An unowned job is found when it is due, and costs nothing
-- while it is not. The lists of the active and of the ended change only when a job ends. No index, and no condition of
-- one, names a column that every commit sets: with the state in a condition the same commit takes three times as long.

CREATE UNIQUE INDEX job_by_key ON job (key) WHERE key IS NOT NULL;
CREATE INDEX job_by_name ON job (name) WHERE name IS NOT NULL;
CREATE INDEX job_by_program ON job (program_hash);
CREATE INDEX job_by_owner ON job (owner_id) WHERE owner_id IS NOT NULL;
CREATE INDEX job_due ON job (due_at_ms) WHERE due_at_ms IS NOT NULL;
CREATE INDEX job_active ON job (id) WHERE ended_as IS NULL;
CREATE INDEX job_ended ON job (ended_as) WHERE ended_as IS NOT NULL;

-- What happened in a job is its events, one after the other. `hash` is keyed and covers the row and the hash before it.
-- The rows stand in the order in which they were written, under an index by job. Clustered by job they would be read three
-- times as fast, but then a commit for 1000 jobs writes 1000 pages (46 ms against 9 with 100 older events in each job).

CREATE TABLE event (
    job_id INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    epoch INTEGER NOT NULL,
    at_ms INTEGER NOT NULL,
    type TEXT NOT NULL,
    step INTEGER,
    data_json TEXT NOT NULL,
    hash BLOB NOT NULL,
    PRIMARY KEY (job_id, seq)
) STRICT;

-- An event is the next one of its job, written under the job's current lease, or it is not written at all. The head moves
-- here and nowhere else, so no writer, however stale or mistaken, can leave a gap or a second version of the past.

CREATE TRIGGER event_is_next_and_in_epoch AFTER INSERT ON event BEGIN
    UPDATE job SET head = new.seq WHERE id = new.job_id AND head = new.seq - 1 AND epoch = new.epoch;
    SELECT RAISE(ABORT, 'fenced: not the next event of the current epoch') WHERE changes() = 0;
END;

CREATE TRIGGER event_never_changes BEFORE UPDATE ON event BEGIN
    SELECT RAISE(ABORT, 'history never changes');
END;

CREATE TRIGGER event_outlives_its_job BEFORE DELETE ON event
WHEN EXISTS (
    SELECT 1 FROM job
    WHERE id = old.job_id AND old.seq >= trimmed_seq AND ended_as IS NULL
) BEGIN
    SELECT RAISE(ABORT, 'history of an active job is only deleted below trimmed_seq');
END;

-- The head goes only forward, and so does the epoch: a lease that was taken over never becomes valid again.

CREATE TRIGGER job_only_goes_forward BEFORE UPDATE OF epoch, trimmed_seq ON job
WHEN new.epoch < old.epoch OR new.trimmed_seq < old.trimmed_seq OR new.trimmed_seq > old.head BEGIN
    SELECT RAISE(ABORT, 'epochs and trimming only go forward');
END;

-- Now and then the state of a job's machine is kept, so that loading need not start at the first event. `chain` is the hash
-- of event `seq`: while events are kept a snapshot is a cache; once they are trimmed it is the truth.

CREATE TABLE snapshot (
    job_id INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    state_json TEXT NOT NULL,
    chain BLOB NOT NULL,
    sum BLOB NOT NULL,
    UNIQUE (job_id, seq)
) STRICT;

-- Large values stand beside the events that name them, each once. A job uses one until its event `until_seq` is trimmed or
-- its output expires; without that, for as long as the job is kept. What the last job used goes in the same transaction.

CREATE TABLE blob (
    id INTEGER PRIMARY KEY,
    hash TEXT NOT NULL UNIQUE,
    data BLOB NOT NULL,
    sum BLOB NOT NULL
) STRICT;

CREATE TABLE blob_use (
    job_id INTEGER NOT NULL,
    blob_id INTEGER NOT NULL,
    until_seq INTEGER,
    PRIMARY KEY (job_id, blob_id)
) STRICT, WITHOUT ROWID;

CREATE INDEX blob_use_by_blob ON blob_use (blob_id);

-- The shells and daemons that hold leases. Each holds the lock `run/<id>.lock` for life and counts `renewals` while it runs.

CREATE TABLE owner (
    id TEXT PRIMARY KEY,
    kind TEXT NOT NULL,
    pid INTEGER NOT NULL,
    host TEXT NOT NULL,
    boot_id TEXT NOT NULL,
    renewals INTEGER NOT NULL DEFAULT 0
) STRICT, WITHOUT ROWID;

-- Everybody else knocks: a row here becomes an event of the job in its holder's next commit, in row order. What was
-- delivered once is remembered for as long as somebody may send it again, so that it is not delivered twice.

CREATE TABLE inbox (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    job_id INTEGER NOT NULL,
    at_ms INTEGER NOT NULL,
    kind TEXT NOT NULL,
    data_json TEXT NOT NULL,
    sum BLOB NOT NULL
) STRICT;

CREATE INDEX inbox_by_job ON inbox (job_id);

CREATE TABLE delivered (
    job_id INTEGER NOT NULL,
    dedupe_id TEXT NOT NULL,
    at_ms INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (job_id, dedupe_id)
) STRICT, WITHOUT ROWID;

-- An address under which the world calls a job. Only the hash of its token is known here. `used_by` is the delivery that
-- used up an address that serves once: the same delivery again is a repeat, another one finds nothing.

CREATE TABLE callback (
    token_hash BLOB PRIMARY KEY,
    job_id INTEGER NOT NULL,
    handle_id TEXT NOT NULL,
    expires_at_ms INTEGER,
    methods TEXT NOT NULL,
    is_many INTEGER NOT NULL,
    used_by TEXT,
    sum BLOB NOT NULL,
    used_at_ms INTEGER,
    options_json TEXT NOT NULL DEFAULT '{}',
    UNIQUE (job_id, handle_id)
) STRICT;

-- What a job answers to whoever called it and waits for that. A call that is repeated gets the same answer again.

CREATE TABLE reply (
    request_id TEXT PRIMARY KEY,
    job_id INTEGER NOT NULL,
    at_ms INTEGER NOT NULL,
    data_json TEXT NOT NULL,
    sum BLOB NOT NULL
) STRICT;

CREATE INDEX reply_by_job ON reply (job_id);

-- Events under a name, for whoever wants to hear of them: jobs subscribe, and a row in their inbox tells them. Position
-- is the last event that was handed on; of a group each event goes to one member.

CREATE TABLE topic_event (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    topic TEXT NOT NULL,
    at_ms INTEGER NOT NULL,
    dedupe_id TEXT,
    data_json TEXT NOT NULL,
    sum BLOB
) STRICT;

CREATE INDEX topic_event_by_topic ON topic_event (topic, seq);
CREATE UNIQUE INDEX topic_event_once ON topic_event (dedupe_id) WHERE dedupe_id IS NOT NULL;

CREATE TABLE topic_group (
    topic TEXT NOT NULL,
    name TEXT NOT NULL,
    position INTEGER NOT NULL,
    PRIMARY KEY (topic, name)
) STRICT, WITHOUT ROWID;

CREATE TABLE subscription (
    job_id INTEGER NOT NULL,
    handle_id TEXT NOT NULL,
    topic TEXT NOT NULL,
    group_name TEXT,
    position INTEGER NOT NULL,
    PRIMARY KEY (job_id, handle_id)
) STRICT, WITHOUT ROWID;

CREATE INDEX subscription_by_topic ON subscription (topic);

-- Every change of a job's state is an event of the topic `jobs`, written by the database itself. What a job listens to
-- must not come of its listening: those that hear of jobs, and those that a registration starts for it, are not told of.

CREATE TRIGGER job_is_new_to_others AFTER INSERT ON job
WHEN new.tags_json NOT LIKE '%"fmsh.on":"jobs"%' BEGIN
    INSERT INTO topic_event (topic, at_ms, data_json) VALUES ('jobs', new.created_at_ms, json_object(
        'id', new.id, 'uid', new.uid, 'key', new.key, 'name', new.name, 'command', new.command, 'state', new.state));
END;

CREATE TRIGGER job_state_is_told AFTER UPDATE OF state ON job
WHEN new.state != old.state AND new.tags_json NOT LIKE '%"fmsh.on":"jobs"%'
AND NOT EXISTS (SELECT 1 FROM subscription WHERE job_id = new.id AND topic = 'jobs') BEGIN
    INSERT INTO topic_event (topic, at_ms, data_json) VALUES (
        'jobs', CAST(unixepoch('subsec') * 1000 AS INTEGER), json_object(
        'id', new.id, 'uid', new.uid, 'key', new.key, 'name', new.name, 'command', new.command, 'state', new.state));
END;

-- Functions that programs outside implement: a worker leases a call, and its outcome is a row in the inbox of the job.

CREATE TABLE call (
    id TEXT PRIMARY KEY,
    job_id INTEGER NOT NULL,
    handle_id TEXT NOT NULL,
    name TEXT NOT NULL,
    value_json TEXT NOT NULL,
    attempts_max INTEGER NOT NULL,
    expires_at_ms INTEGER,
    attempt INTEGER NOT NULL,
    free_at_ms INTEGER NOT NULL,
    is_open INTEGER NOT NULL,
    sum BLOB NOT NULL
) STRICT;

CREATE INDEX call_open ON call (name, free_at_ms) WHERE is_open;
CREATE INDEX call_by_job ON call (job_id);

-- Locks, and places under a limit: who has one, and who waits for it in which order. It belongs to the job, whichever
-- process runs it, until the commit that leaves its block, or that ends the job; there the next one gets it.

CREATE TABLE claim (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    job_id INTEGER NOT NULL,
    step INTEGER NOT NULL,
    kind TEXT NOT NULL,
    name TEXT NOT NULL,
    size INTEGER NOT NULL,
    inside TEXT NOT NULL,
    is_granted INTEGER NOT NULL,
    since_ms INTEGER NOT NULL,
    sum BLOB NOT NULL,
    UNIQUE (job_id, step)
) STRICT;

CREATE INDEX claim_by_name ON claim (kind, name, id);

-- Of a rate, the next moment that nobody has reserved.

CREATE TABLE pace (
    name TEXT PRIMARY KEY,
    next_at_us INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- What belongs to the store itself: its keys and kept settings, and secrets, which arrive here already encrypted.

CREATE TABLE setting (
    name TEXT PRIMARY KEY,
    value TEXT NOT NULL
) STRICT;

CREATE TABLE secret (
    name TEXT PRIMARY KEY,
    ciphertext BLOB NOT NULL
) STRICT;

-- What the lines at a prompt have in common: each starts from it, and leaves its changes behind in the commit of its end.

CREATE TABLE session (
    id TEXT PRIMARY KEY,
    started_at_ms INTEGER NOT NULL,
    used_at_ms INTEGER NOT NULL,
    directory TEXT NOT NULL,
    time_zone TEXT NOT NULL,
    environment_json TEXT NOT NULL,
    definitions_json TEXT NOT NULL
) STRICT;

CREATE TABLE session_variable (
    session_id TEXT NOT NULL,
    name TEXT NOT NULL,
    value_json TEXT NOT NULL,
    PRIMARY KEY (session_id, name)
) STRICT, WITHOUT ROWID;
