"""The query language: what a text means, and what is said about a wrong one, and where."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from logcollector_handler.collector.language import MAX_NESTED, MAX_TERMS, parse
from logcollector_handler.collector.tree import All, Compare, Either, Has, Node, Not, Word
from logcollector_handler.wire.posted.body import RefusedError

NOW = 10_000.0


@pytest.mark.parametrize(
    ("text", "node"),
    [
        ("card", Word("card")),
        ('"no such card"', Word("no such card")),
        ('"say \\"no\\" \\\\"', Word('say "no" \\')),
        ("*out", Word("out", anywhere=True)),
        ("*out*", Word("out", anywhere=True)),
        ("pay*", Word("pay")),
        ("a b", All((Word("a"), Word("b")))),
        ("a AND b", All((Word("a"), Word("b")))),
        ("-a", Not(Word("a"))),
        ("NOT a", Not(Word("a"))),
        ("--a", Not(Not(Word("a")))),
        ("-(a b)", Not(All((Word("a"), Word("b"))))),
        ("a OR b c", Either((Word("a"), All((Word("b"), Word("c")))))),
        ("(a OR b) c", All((Either((Word("a"), Word("b"))), Word("c")))),
        ("a(b)", All((Word("a"), Word("b")))),
        ("service:shop", Compare("service", "=", "shop")),
        ("Service=shop", Compare("service", "=", "shop")),
        ("service!=shop", Not(Compare("service", "=", "shop"))),
        ('service:"my shop"', Compare("service", "=", "my shop")),
        ("status:500", Compare("metadata.status", "=", "500")),
        ("metadata.level:x", Compare("metadata.level", "=", "x")),
        ("http.status_code:500", Compare("metadata.http.status_code", "=", "500")),
        ('"a strange: key":"v*"', Compare("metadata.a strange: key", "=", "v*")),
        ("path:/api/*", Compare("path", "begins", "/api/")),
        ("path:*order*", Compare("path", "contains", "order")),
        ("path:*.html", Compare("path", "ends", ".html")),
        ("path:*", Has("path")),
        ('path:"/a*b" "2*3"', All((Compare("path", "=", "/a*b"), Word("2*3")))),
        ("has:trace_id", Has("trace_id")),
        ("has:order.id", Has("metadata.order.id")),
        ("duration_ms>50", Compare("duration_ms", ">", 50.0)),
        ("duration_ms:50", Compare("duration_ms", "=", 50.0)),
        ("amount<=-1.5e3", Compare("metadata.amount", "<=", -1500.0)),
        ("level:warning", Compare("level", "=", "WARN")),
        ("level>=critical", Compare("level", ">=", "FATAL")),
        ("level<warn", Compare("level", "<", "WARN")),
        ("environment:prod", Compare("environment", "=", "production")),
        ("method:get", Compare("method", "=", "GET")),
        ("created_at>-1h", Compare("created_at", ">", NOW - 3600)),
        ("created_at<1970-01-01T01:00Z", Compare("created_at", "<", 3600.0)),
        (
            "trace_id:4BF92F35-77B3-4DA6-A3CE-929D0E0E4736",
            Compare("trace_id", "=", "4bf92f3577b34da6a3ce929d0e0e4736"),
        ),
        ("trace_id:" + "x" * 33, Compare("metadata.trace_id", "=", "x" * 33)),
        ("http://shop/x?a=b", Word("http://shop/x?a=b")),
        ("12:30:05", Word("12:30:05")),
        ("user-7", Word("user-7")),
        ('amount ">" "=50"', All((Word("amount"), Word(">"), Word("=50")))),
        ("a => b <none>", All((Word("a"), Word("=>"), Word("b"), Word("<none>")))),
        ("function_name:<module>", Compare("function_name", "=", "<module>")),
        ('a:">5"', Compare("metadata.a", "=", ">5")),
        ("a - b", All((Word("a"), Word("-"), Word("b")))),
        ("ORDER ANDY NOTE", All((Word("ORDER"), Word("ANDY"), Word("NOTE")))),
        ("or and not", All((Word("or"), Word("and"), Word("not")))),
    ],
)
def test_a_text_means(text: str, node: Node) -> None:
    assert parse(text, NOW) == node
    assert parse(f"  {text}\n", NOW) == node


@pytest.mark.parametrize(
    ("text", "position", "what"),
    [
        ("a OR", 4, "missing"),
        ("OR a", 0, "missing"),
        ("a AND", 2, "behind this AND"),
        ("a AND AND b", 2, "behind this AND"),
        ("AND a", 0, "before this AND"),
        ("a ()", 3, "missing"),
        ("a (b", 2, "not closed"),
        ("a b)", 3, "closes none"),
        ('a "b', 2, "quote is not closed"),
        ('a ""', 2, "nothing between"),
        ("a NOT", 2, "behind this negation"),
        ("a -OR b", 2, "behind this negation"),
        ("a **", 2, "star"),
        ("a b*c", 2, "not inside it"),
        ("path:/api/*/items", 5, "not inside it"),
        ("path:*a*b*", 5, "not inside it"),
        ("level:W*N", 6, "takes no star"),
        ("a service:", 10, "value for service is missing"),
        ("DeclinedError: no", 14, "into quotes"),
        ("has:", 4, "name of a field"),
        ("metadata:x", 0, "metadata.key"),
        ("a.b.c.d.e.f.g.h.i.j.k.l.m:x", 0, "not the name of a field"),
        ("a level:loud", 8, "TRACE, DEBUG, INFO, WARN, ERROR, FATAL"),
        ("level>3", 6, "no level"),
        ("level:W*", 6, "takes no star"),
        ("environment:moon", 12, "production"),
        ("duration_ms>long", 12, "not a number"),
        ("amount>1e999", 7, "not a number"),
        ("amount>nan", 7, "not a number"),
        ("service>a", 8, "has no order"),
        ("created_at>soon", 11, "ISO date"),
        ("amount > 50", 7, "a comparison is one word: amount>50"),
        ("amount >= 50", 7, "one word"),
        ("amount >50", 7, "one word"),
        ("amount = 50", 7, "one word"),
        ("amount != 50", 7, "one word"),
        ("amount:>50", 7, "one word"),
        ("amount:<=-.5", 7, "one word"),
        ("amount==50", 7, "one word"),
        ("amount> 50", 7, "a value for amount is missing"),
        ("a " * (MAX_TERMS + 1), 2 * MAX_TERMS, "more than 50"),
        ("(" * (MAX_NESTED + 1), MAX_NESTED, "more than 30"),
        ("-" * (MAX_NESTED + 2), MAX_NESTED, "more than 30"),
    ],
)
def test_a_wrong_text_is_refused_with_what_is_wrong_and_where(text: str, position: int, what: str) -> None:
    with pytest.raises(RefusedError, match=what) as caught:
        parse(text, NOW)
    assert (caught.value.status, caught.value.position) == (400, position)
    assert f"(character {position + 1})" in caught.value.reason


@given(st.text(alphabet='ab -()"\\*:=<>!.ORANDT1é\n', max_size=40) | st.text(max_size=40))
def test_any_text_is_understood_or_refused(text: str) -> None:
    position = 0
    try:
        parse(text, NOW)
    except RefusedError as refused:
        position = -1 if refused.position is None else refused.position
    assert 0 <= position <= len(text)
