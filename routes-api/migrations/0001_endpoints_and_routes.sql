-- Endpoints and event routes. A definition is an encoded message of twinroute.routes.v1; of an endpoint, with its
-- secrets redacted.

CREATE TABLE twinroute_routes.version (
    one     boolean PRIMARY KEY DEFAULT true CHECK (one),
    version bigint  NOT NULL
);
COMMENT ON TABLE twinroute_routes.version IS 'Version of the route table; its row is locked by whoever changes anything.';
-- Never 0, which is how a worker says that it has no table.
INSERT INTO twinroute_routes.version (version) VALUES ((extract(epoch FROM clock_timestamp()) * 1000)::bigint);

CREATE TABLE twinroute_routes.endpoint (
    name        text        PRIMARY KEY,
    definition  bytea       NOT NULL,
    version     bigint      NOT NULL,
    create_time timestamptz NOT NULL,
    update_time timestamptz NOT NULL
);
COMMENT ON COLUMN twinroute_routes.endpoint.definition IS 'twinroute.routes.v1.Endpoint, secrets redacted';
COMMENT ON COLUMN twinroute_routes.endpoint.version IS 'Version of the route table that brought this form.';

CREATE TABLE twinroute_routes.endpoint_secret (
    endpoint_name text  NOT NULL REFERENCES twinroute_routes.endpoint (name) ON DELETE CASCADE,
    field         text  NOT NULL,
    key_id        bytea NOT NULL,
    sealed        bytea NOT NULL,
    PRIMARY KEY (endpoint_name, field)
);
COMMENT ON COLUMN twinroute_routes.endpoint_secret.key_id IS 'Names the key of secrets.key that it was encrypted with.';
COMMENT ON COLUMN twinroute_routes.endpoint_secret.sealed IS
    'Nonce, ciphertext and tag of AES-256-GCM; additional data: endpoint name, NUL, field.';

CREATE TABLE twinroute_routes.event_route (
    name          text        PRIMARY KEY,
    endpoint_name text        NOT NULL,
    definition    bytea       NOT NULL,
    version       bigint      NOT NULL,
    create_time   timestamptz NOT NULL,
    update_time   timestamptz NOT NULL
);
COMMENT ON TABLE twinroute_routes.event_route IS 'No foreign key to endpoint: the endpoint may stand in the bootstrap file.';
COMMENT ON COLUMN twinroute_routes.event_route.definition IS 'twinroute.routes.v1.EventRoute';
