# Makes the database at the first start, with AGE and the graph in it; then it is the server. Arguments are the server's.
set -eu
data=/var/lib/postgresql/data

if [ ! -d "$data/main" ]; then
    # Under another name until it is whole: a start that was cut off begins anew.
    rm -rf "$data/fresh"
    initdb --pgdata="$data/fresh" --username=postgres --auth-local=peer --auth-host=scram-sha-256 \
        --pwfile=/run/secrets/postgres-password --encoding=UTF8 --locale=C.UTF-8
    echo "host all all all scram-sha-256" >>"$data/fresh/pg_hba.conf"
    # Nobody but this script reaches it yet.
    pg_ctl --pgdata="$data/fresh" --options="-c listen_addresses= -c shared_preload_libraries=age" --wait start
    psql --quiet --set=ON_ERROR_STOP=1 --dbname=postgres --username=postgres <<'SQL'
CREATE EXTENSION age;
SET search_path = ag_catalog, public;
SELECT create_graph('digitaltwins');
SELECT create_vlabel('digitaltwins', 'Twin');
SELECT create_vlabel('digitaltwins', 'Model');
SQL
    pg_ctl --pgdata="$data/fresh" --wait stop
    mv "$data/fresh" "$data/main"
fi
exec postgres -D "$data/main" -c listen_addresses='*' -c shared_preload_libraries=age -c wal_level=logical \
    -c max_replication_slots=20 -c max_wal_senders=20 "$@"
