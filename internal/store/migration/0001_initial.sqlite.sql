-- +goose Up

-- What this store is: its incarnation and the name of its writer.
CREATE TABLE meta (
    name  TEXT NOT NULL PRIMARY KEY,
    value TEXT NOT NULL
) WITHOUT ROWID;

-- boot counts the starts of a writer.
CREATE TABLE writer (
    writer TEXT   NOT NULL PRIMARY KEY,
    boot   BIGINT NOT NULL
) WITHOUT ROWID;

-- revision counts the changes of a tenant without a gap.
CREATE TABLE tenant (
    tenant   TEXT   NOT NULL PRIMARY KEY,
    issuer   TEXT   NOT NULL,
    revision BIGINT NOT NULL
) WITHOUT ROWID;

-- The revision log: row i of a revision; a body that is NULL was deleted.
CREATE TABLE change_log (
    tenant   TEXT   NOT NULL,
    revision BIGINT NOT NULL,
    i        BIGINT NOT NULL,
    kind     TEXT   NOT NULL,
    key      TEXT   NOT NULL,
    handle   TEXT   NOT NULL,
    body     BLOB,
    PRIMARY KEY (tenant, revision, i)
) WITHOUT ROWID;

-- The nouns. All have one shape: the object's key, its label ('' for none), its
-- JSON and the revision that last changed it.

CREATE TABLE directory_user (
    tenant   TEXT   NOT NULL,
    key      TEXT   NOT NULL,
    handle   TEXT   NOT NULL,
    body     BLOB   NOT NULL,
    revision BIGINT NOT NULL,
    PRIMARY KEY (tenant, key)
) WITHOUT ROWID;
CREATE UNIQUE INDEX directory_user_handle ON directory_user (tenant, handle) WHERE handle <> '';

CREATE TABLE directory_group (
    tenant   TEXT   NOT NULL,
    key      TEXT   NOT NULL,
    handle   TEXT   NOT NULL,
    body     BLOB   NOT NULL,
    revision BIGINT NOT NULL,
    PRIMARY KEY (tenant, key)
) WITHOUT ROWID;
CREATE UNIQUE INDEX directory_group_handle ON directory_group (tenant, handle) WHERE handle <> '';

CREATE TABLE directory_workload (
    tenant   TEXT   NOT NULL,
    key      TEXT   NOT NULL,
    handle   TEXT   NOT NULL,
    body     BLOB   NOT NULL,
    revision BIGINT NOT NULL,
    PRIMARY KEY (tenant, key)
) WITHOUT ROWID;
CREATE UNIQUE INDEX directory_workload_handle ON directory_workload (tenant, handle) WHERE handle <> '';

CREATE TABLE directory_blueprint (
    tenant   TEXT   NOT NULL,
    key      TEXT   NOT NULL,
    handle   TEXT   NOT NULL,
    body     BLOB   NOT NULL,
    revision BIGINT NOT NULL,
    PRIMARY KEY (tenant, key)
) WITHOUT ROWID;
CREATE UNIQUE INDEX directory_blueprint_handle ON directory_blueprint (tenant, handle) WHERE handle <> '';

CREATE TABLE directory_agent (
    tenant   TEXT   NOT NULL,
    key      TEXT   NOT NULL,
    handle   TEXT   NOT NULL,
    body     BLOB   NOT NULL,
    revision BIGINT NOT NULL,
    PRIMARY KEY (tenant, key)
) WITHOUT ROWID;
CREATE UNIQUE INDEX directory_agent_handle ON directory_agent (tenant, handle) WHERE handle <> '';

CREATE TABLE directory_context (
    tenant   TEXT   NOT NULL,
    key      TEXT   NOT NULL,
    handle   TEXT   NOT NULL,
    body     BLOB   NOT NULL,
    revision BIGINT NOT NULL,
    PRIMARY KEY (tenant, key)
) WITHOUT ROWID;
CREATE UNIQUE INDEX directory_context_handle ON directory_context (tenant, handle) WHERE handle <> '';

CREATE TABLE delegation_mission (
    tenant   TEXT   NOT NULL,
    key      TEXT   NOT NULL,
    handle   TEXT   NOT NULL,
    body     BLOB   NOT NULL,
    revision BIGINT NOT NULL,
    PRIMARY KEY (tenant, key)
) WITHOUT ROWID;
CREATE UNIQUE INDEX delegation_mission_handle ON delegation_mission (tenant, handle) WHERE handle <> '';

CREATE TABLE delegation_hop (
    tenant   TEXT   NOT NULL,
    key      TEXT   NOT NULL,
    handle   TEXT   NOT NULL,
    body     BLOB   NOT NULL,
    revision BIGINT NOT NULL,
    PRIMARY KEY (tenant, key)
) WITHOUT ROWID;
CREATE UNIQUE INDEX delegation_hop_handle ON delegation_hop (tenant, handle) WHERE handle <> '';

CREATE TABLE mapping_server (
    tenant   TEXT   NOT NULL,
    key      TEXT   NOT NULL,
    handle   TEXT   NOT NULL,
    body     BLOB   NOT NULL,
    revision BIGINT NOT NULL,
    PRIMARY KEY (tenant, key)
) WITHOUT ROWID;
CREATE UNIQUE INDEX mapping_server_handle ON mapping_server (tenant, handle) WHERE handle <> '';

CREATE TABLE mapping_tool (
    tenant   TEXT   NOT NULL,
    key      TEXT   NOT NULL,
    handle   TEXT   NOT NULL,
    body     BLOB   NOT NULL,
    revision BIGINT NOT NULL,
    PRIMARY KEY (tenant, key)
) WITHOUT ROWID;
CREATE UNIQUE INDEX mapping_tool_handle ON mapping_tool (tenant, handle) WHERE handle <> '';

CREATE TABLE policy (
    tenant   TEXT   NOT NULL,
    key      TEXT   NOT NULL,
    handle   TEXT   NOT NULL,
    body     BLOB   NOT NULL,
    revision BIGINT NOT NULL,
    PRIMARY KEY (tenant, key)
) WITHOUT ROWID;
CREATE UNIQUE INDEX policy_handle ON policy (tenant, handle) WHERE handle <> '';

CREATE TABLE relation_model (
    tenant   TEXT   NOT NULL,
    key      TEXT   NOT NULL,
    handle   TEXT   NOT NULL,
    body     BLOB   NOT NULL,
    revision BIGINT NOT NULL,
    PRIMARY KEY (tenant, key)
) WITHOUT ROWID;
CREATE UNIQUE INDEX relation_model_handle ON relation_model (tenant, handle) WHERE handle <> '';

CREATE TABLE relation_tuple (
    tenant   TEXT   NOT NULL,
    key      TEXT   NOT NULL,
    handle   TEXT   NOT NULL,
    body     BLOB   NOT NULL,
    revision BIGINT NOT NULL,
    PRIMARY KEY (tenant, key)
) WITHOUT ROWID;
CREATE UNIQUE INDEX relation_tuple_handle ON relation_tuple (tenant, handle) WHERE handle <> '';

-- Entries as committed. n is the place in the writer's order; draft is the
-- canonical leaf without its index, which the sequencer gives.
CREATE TABLE ledger_entry (
    tenant  TEXT   NOT NULL,
    n       BIGINT NOT NULL,
    id      TEXT   NOT NULL,
    kind    TEXT   NOT NULL,
    mission TEXT   NOT NULL,
    run     TEXT   NOT NULL,
    draft   BLOB   NOT NULL,
    payload BLOB   NOT NULL,
    salt    BLOB   NOT NULL,
    PRIMARY KEY (tenant, n)
);
CREATE UNIQUE INDEX ledger_entry_id ON ledger_entry (tenant, id);

-- The end of the writer's chain: the number and the hash of its last entry.
CREATE TABLE ledger_chain (
    tenant TEXT   NOT NULL PRIMARY KEY,
    n      BIGINT NOT NULL,
    prev   TEXT   NOT NULL
) WITHOUT ROWID;

-- Where the sequencer put an entry. Apart from ledger_entry, so that giving an
-- index does not write the entry again. The index by mission is here and not
-- there: its pages are scattered, and halve the rate of commits when each commit
-- writes them; the sequencer writes them once for many.
CREATE TABLE ledger_place (
    tenant  TEXT   NOT NULL,
    idx     BIGINT NOT NULL,
    n       BIGINT NOT NULL,
    run_n   BIGINT NOT NULL,
    mission TEXT   NOT NULL,
    PRIMARY KEY (tenant, idx)
) WITHOUT ROWID;
CREATE UNIQUE INDEX ledger_place_n ON ledger_place (tenant, n);
CREATE INDEX ledger_place_mission ON ledger_place (tenant, mission, n) WHERE mission <> '';

-- How far the sequencer is: size entries have an index, the last of them is n.
CREATE TABLE ledger_size (
    tenant TEXT   NOT NULL PRIMARY KEY,
    size   BIGINT NOT NULL,
    n      BIGINT NOT NULL
) WITHOUT ROWID;

-- The last number that a run has used.
CREATE TABLE ledger_run (
    tenant TEXT   NOT NULL,
    run    TEXT   NOT NULL,
    n      BIGINT NOT NULL,
    PRIMARY KEY (tenant, run)
) WITHOUT ROWID;

-- Tiles of height 8 (C2SP tlog-tiles); of a partial one the widest is kept.
CREATE TABLE ledger_tile (
    tenant TEXT   NOT NULL,
    level  BIGINT NOT NULL,
    n      BIGINT NOT NULL,
    width  BIGINT NOT NULL,
    data   BLOB   NOT NULL,
    PRIMARY KEY (tenant, level, n)
);

CREATE TABLE ledger_checkpoint (
    tenant TEXT   NOT NULL,
    seq    BIGINT NOT NULL,
    size   BIGINT NOT NULL,
    root   BLOB   NOT NULL,
    note   BLOB   NOT NULL,
    at     BIGINT NOT NULL, -- microseconds since the Unix epoch
    PRIMARY KEY (tenant, seq)
);

-- Heads: what commits are conditioned on and counted against. rate holds the
-- instants of the sliding window, as uvarint differences in microseconds.
CREATE TABLE ledger_head (
    tenant    TEXT   NOT NULL,
    id        TEXT   NOT NULL,
    epoch     BIGINT NOT NULL,
    calls     BIGINT NOT NULL,
    cost      BIGINT NOT NULL,
    row_count BIGINT NOT NULL,
    children  BIGINT NOT NULL,
    rate      BLOB   NOT NULL,
    PRIMARY KEY (tenant, id)
) WITHOUT ROWID;

-- What was presented and may not be presented again.
CREATE TABLE ledger_once (
    tenant TEXT   NOT NULL,
    key    TEXT   NOT NULL,
    expiry BIGINT NOT NULL, -- microseconds since the Unix epoch
    PRIMARY KEY (tenant, key)
) WITHOUT ROWID;
CREATE INDEX ledger_once_expiry ON ledger_once (expiry);
