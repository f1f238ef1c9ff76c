#!/bin/sh
# Makes all secrets of an installation, once: deploy/secrets.sh [DIRECTORY [POSTGRES [VALKEY]]]
#
# POSTGRES and VALKEY are HOST:PORT, as Tollhouse's processes reach them (those of compose.yaml without them). What stands in
# DIRECTORY (`secrets` without it) afterwards:
#
#   roles.sql             the users of Postgres and the database; a superuser runs it once
#   superuser_password    of the superuser that the image of Postgres makes; nothing of Tollhouse gets it
#   owner_dsn             the owner of the tables, for `tollhouse migrate` alone
#   gateway_dsn admin_dsn reader_dsn    for gateways, the admin app, and `tollhouse audit`
#   users.acl             the users of Valkey; the default user is off
#   valkey_url            for gateways and the admin app
#   pepper kek            keep them with the backups of the database: without the pepper no key opens anything
#   providers.env         empty: providers' keys are yours to write there
#
# Nobody but its owner can walk into DIRECTORY. The files in it can be read by all, since containers get them one by one and
# read them as other users. Needs nothing but a shell and the usual commands.

set -eu
directory=${1:-secrets}
postgres=${2:-postgres:5432}
valkey=${3:-valkey:6379}

if [ -e "$directory" ]; then
    echo "$directory is there already: nothing was changed" >&2
    exit 1
fi

# 64 hexadecimal digits, which stand in URLs, SQL and ACLs as they are.
secret() {
    od -An -v -tx1 -N32 /dev/urandom | tr -d ' \n'
}

keep() {
    cat >"$draft/$1"
    chmod "${2:-0444}" "$draft/$1"
}

umask 077
draft=$directory.draft
rm -rf "$draft"
mkdir -p "$draft"

owner=$(secret) gateway=$(secret) admin=$(secret) reader=$(secret) application=$(secret)

secret | keep pepper
secret | keep kek
secret | keep superuser_password
keep owner_dsn <<END
postgresql://tollhouse:$owner@$postgres/tollhouse
END
keep gateway_dsn <<END
postgresql://tollhouse_gateway:$gateway@$postgres/tollhouse
END
keep admin_dsn <<END
postgresql://tollhouse_admin:$admin@$postgres/tollhouse
END
keep reader_dsn <<END
postgresql://tollhouse_reader:$reader@$postgres/tollhouse
END
keep valkey_url <<END
redis://tollhouse:$application@$valkey/0
END

# Rights on tables are granted by `tollhouse migrate`, to these names.
keep roles.sql <<END
CREATE ROLE tollhouse LOGIN PASSWORD '$owner';
CREATE ROLE tollhouse_gateway LOGIN PASSWORD '$gateway';
CREATE ROLE tollhouse_admin LOGIN PASSWORD '$admin';
CREATE ROLE tollhouse_reader LOGIN PASSWORD '$reader';
CREATE DATABASE tollhouse OWNER tollhouse;
REVOKE ALL ON DATABASE tollhouse FROM PUBLIC;
GRANT CONNECT, TEMPORARY ON DATABASE tollhouse TO tollhouse_gateway, tollhouse_admin, tollhouse_reader;
END

# The second line is docs/operations.md's. The third is for health checks: without a password, and good for PING alone.
keep users.acl <<END
user default off resetpass resetkeys resetchannels -@all
user tollhouse on >$application ~q:* resetchannels &q:* -@all +@read +@write +@transaction -@scripting -@dangerous +evalsha +script|load +time +publish +subscribe +unsubscribe +pubsub|numsub +ping +info +auth +hello +select +client|setinfo +client|setname
user health on nopass resetkeys resetchannels -@all +ping
END

keep providers.env 0600 <<'END'
OPENAI_API_KEY=
ANTHROPIC_API_KEY=
GEMINI_API_KEY=
END

mv "$draft" "$directory"
echo "made $directory"
