-- Redrive jobs: dead letters that the workers send again.

CREATE TABLE twinroute_routes.redrive_job (
    id                    uuid        PRIMARY KEY,
    endpoint_name         text        NOT NULL,
    selection             bytea       NOT NULL,
    events_per_second_max bigint      NOT NULL,
    state                 text        NOT NULL CHECK (state IN ('running', 'done', 'failed', 'cancelled')),
    delivered             bigint      NOT NULL,
    failed                bigint      NOT NULL,
    last_error            text        NOT NULL,
    finished_partitions   bigint[]    NOT NULL,
    create_time           timestamptz NOT NULL,
    end_time              timestamptz CHECK ((end_time IS NULL) = (state = 'running'))
);
COMMENT ON TABLE twinroute_routes.redrive_job IS 'No foreign key to endpoint: the endpoint may stand in the bootstrap file.';
COMMENT ON COLUMN twinroute_routes.redrive_job.selection IS 'twinroute.routes.v1.DeadLetterSelection';
COMMENT ON COLUMN twinroute_routes.redrive_job.finished_partitions IS
    'Number of partitions * 2^32 + partition. The job is done when these are all of one number.';
CREATE UNIQUE INDEX redrive_job_running ON twinroute_routes.redrive_job (endpoint_name) WHERE state = 'running';

CREATE TABLE twinroute_routes.redrive_failure (
    job_id   uuid    NOT NULL REFERENCES twinroute_routes.redrive_job (id) ON DELETE CASCADE,
    number   integer NOT NULL,
    event_id uuid    NOT NULL,
    reason   text    NOT NULL,
    PRIMARY KEY (job_id, number)
);
COMMENT ON TABLE twinroute_routes.redrive_failure IS 'The first events of a job that failed again.';
COMMENT ON COLUMN twinroute_routes.redrive_failure.number IS 'Place among the failures of the job, from 0.';
