import os
import sys

import psycopg

if sys.argv[1:] == ["migrate"]:
    with psycopg.connect(os.environ["DATABASE_URL"]) as connection:
        connection.execute("CREATE TABLE IF NOT EXISTS things (id integer PRIMARY KEY)")
        print("lock_timeout is", connection.execute("SHOW lock_timeout").fetchone()[0])
