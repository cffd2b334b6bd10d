-- The table for `wire: ndjson` with ClickHouse from version 25.3 on, where the type JSON is ready for use.
-- Columns that an entry does not have stay empty: '' or, for a duration, NULL.
CREATE TABLE logs
(
    created_at      DateTime64(6, 'UTC') CODEC(Delta, ZSTD),
    level           Enum8('TRACE' = 5, 'DEBUG' = 10, 'INFO' = 20, 'WARN' = 30, 'ERROR' = 40, 'FATAL' = 50),
    message         String CODEC(ZSTD),
    log_type        LowCardinality(String),
    service         LowCardinality(String),
    environment     LowCardinality(String),
    service_version LowCardinality(String),
    trace_id        String,
    user_id         String,
    session_id      String,
    error_type      LowCardinality(String),
    stack_trace     String CODEC(ZSTD),
    function_name   LowCardinality(String),
    file_path       LowCardinality(String),
    path            String,
    method          LowCardinality(String),
    action_type     LowCardinality(String),
    duration_ms     Nullable(Float64),
    metadata        JSON
)
ENGINE = MergeTree
PARTITION BY toDate(created_at)
ORDER BY (service, created_at)
-- How many of the latest inserts a token is compared with: enough for all that come while one is tried again.
SETTINGS non_replicated_deduplication_window = 10000;
