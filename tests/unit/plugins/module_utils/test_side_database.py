# Copyright: (c) 2026, ringstand contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What is loaded into a database beside the live one, and under which name."""

from __future__ import annotations

import pytest
from ansible_collections.ringstand.flask.plugins.module_utils import restore_database, side_database
from ansible_collections.ringstand.flask.plugins.module_utils.backup_dumps import Dump
from ansible_collections.ringstand.flask.plugins.module_utils.errors import RingstandError

NOW = 1795262559.0
CONTENTS = """;
; Archive created at 2026-11-21
;
5; 2615 2200 SCHEMA - public pg_database_owner
215; 1259 16390 TABLE public orders shop
217; 1259 16392 TABLE public products shop
216; 1259 16391 SEQUENCE public orders_id_seq shop
3456; 0 16390 TABLE DATA public orders shop
3457; 0 16392 TABLE DATA public products shop
3458; 0 16399 TABLE DATA archive orders shop
3459; 0 0 SEQUENCE SET public orders_id_seq shop
3460; 2606 16400 CONSTRAINT public orders orders_pkey shop
3461; 2606 16401 FK CONSTRAINT public orders orders_product_fkey shop
3462; 0 16402 MATERIALIZED VIEW DATA public sums shop
"""


@pytest.mark.parametrize(("tables", "kept", "names"), [
    (["products"], ["3457;"], ["public.products"]),
    (["public.orders"], ["3456;"], ["public.orders"]),
    (["orders"], ["3456;", "3458;"], ["archive.orders", "public.orders"]),
    (["products", "archive.orders"], ["3457;", "3458;"], ["archive.orders", "public.products"]),
])
def test_only_the_rows_of_the_named_tables_are_loaded(tables: list[str], kept: list[str], names: list[str]) -> None:
    lines, chosen = side_database.select(CONTENTS, tables)
    assert [line.split()[0] for line in lines if "TABLE DATA" in line] == kept
    assert chosen == names
    others = [line.split()[0] for line in lines if "TABLE DATA" not in line]
    assert others == ["5;", "215;", "217;", "216;", "3459;", "3460;"]


def test_a_table_that_is_not_there_is_refused_with_those_that_are() -> None:
    with pytest.raises(RingstandError, match="'customers': there are archive.orders, public.orders, public.products"):
        side_database.select(CONTENTS, ["orders", "customers"])


@pytest.mark.parametrize(("database", "given", "existing", "expected"), [
    ("shop", "", [], "shop_restored_20261121"),
    ("shop", "", ["shop_restored_20261121"], "shop_restored_20261121_120239"),
    ("shop", "mine", ["shop"], "mine"),
    ("x" * 63, "", [], "x" * 45 + "_restored_20261121"),
    ("ä" * 31, "", [], "ä" * 22 + "_restored_20261121"),
])
def test_the_name_of_the_new_database(database: str, given: str, existing: list[str], expected: str) -> None:
    name = side_database.choose_name(database, given, existing, NOW)
    assert name == expected and len(name.encode()) <= 63


@pytest.mark.parametrize("given", ["shop", "x" * 64])
def test_a_name_that_cannot_be_is_refused(given: str) -> None:
    with pytest.raises(RingstandError):
        side_database.choose_name("shop", given, ["shop"], NOW)


@pytest.mark.parametrize(("script", "expected"), [
    ("CREATE DATABASE shop WITH TEMPLATE = template0 ENCODING = 'UTF8' LOCALE = 'C.UTF-8' TABLESPACE = fast;\n\n\n"
     "ALTER DATABASE shop OWNER TO shop;\n",
     ["WITH TEMPLATE = template0 ENCODING = 'UTF8' LOCALE = 'C.UTF-8'", 'OWNER TO "shop"']),
    ('CREATE DATABASE "my ""shop" WITH TEMPLATE = template0;\nALTER DATABASE "my ""shop" OWNER TO "the ""one";\n',
     ["WITH TEMPLATE = template0", 'OWNER TO "the ""one"']),
    ("CREATE DATABASE shop WITH TEMPLATE = template0;\nALTER DATABASE shop OWNER TO gone;\n",
     ["WITH TEMPLATE = template0"]),
])
def test_it_is_made_as_the_dumped_one_was(script: str, expected: list[str]) -> None:
    created, revoked, *owner = side_database.create_statements(script, ["shop", 'the "one'])
    assert revoked == "REVOKE ALL ON DATABASE ringstand_restoring FROM PUBLIC"
    prefixes = ["CREATE DATABASE ringstand_restoring ", "ALTER DATABASE ringstand_restoring "]
    assert [created, *owner] == [prefix + words for prefix, words in zip(prefixes, expected)]


DUMPS = [Dump("shop", 1795140000, "/d/shop/20261120T020000Z.dump", 10),
         Dump("shop", 1795226400, "/d/shop/20261121T020000Z.dump", 10), Dump("blog", 1, "/d/blog/x.dump", 10)]


@pytest.mark.parametrize(("wanted", "expected"), [
    ("", "20261121T020000Z"), ("20261120T020000Z", "20261120T020000Z"),
    ("/d/shop/20261120T020000Z.dump", "20261120T020000Z"), ("20261121T020000Z.dump", "20261121T020000Z"),
])
def test_a_dump_is_chosen(wanted: str, expected: str) -> None:
    assert expected in restore_database.choose_dump(DUMPS, "shop", wanted).path


@pytest.mark.parametrize(("database", "wanted", "words"), [
    ("shop", "20261119T020000Z", "there are 20261120T020000Z, 20261121T020000Z"),
    ("none", "", "it has no dump; there are those of blog, shop.*--to latest"),
])
def test_a_dump_that_is_not_there_is_refused(database: str, wanted: str, words: str) -> None:
    with pytest.raises(RingstandError, match=words):
        restore_database.choose_dump(DUMPS, database, wanted)
