"""Figures as text, and where each worker tells its own."""

import pytest

from gateway.listen import PortTaken, nth_listen
from gateway.metrics import Figure, render


def test_figures_are_written_in_prometheus_text_format():
    figures = [
        Figure("a_nusd", "What a is.", {"": 2**60}),
        Figure("b", "What b is.", {'kind="x"': 1, 'kind="y"': 0.5}),
    ]
    assert render(figures).decode().splitlines() == [
        "# HELP a_nusd What a is.",
        "# TYPE a_nusd gauge",
        "a_nusd 1152921504606846976",
        "# HELP b What b is.",
        "# TYPE b gauge",
        'b{kind="x"} 1',
        'b{kind="y"} 0.5',
    ]
    assert render(figures).endswith(b"\n")


def test_a_figure_that_is_named_as_a_total_is_a_counter():
    assert b"# TYPE d_total counter" in render([Figure("d_total", "What d is.", {"": 1})])


def test_a_histogram_has_buckets_a_sum_and_a_count():
    figures = [Figure("c_seconds", "What c is.", {'le="0.1"': 3, 'le="+Inf"': 4}, total=1.5)]
    assert render(figures).decode().splitlines() == [
        "# HELP c_seconds What c is.",
        "# TYPE c_seconds histogram",
        'c_seconds_bucket{le="0.1"} 3',
        'c_seconds_bucket{le="+Inf"} 4',
        "c_seconds_sum 1.5",
        "c_seconds_count 4",
    ]


@pytest.mark.parametrize(
    ("listen", "number", "expected"),
    [
        ("127.0.0.1:9464", 0, "127.0.0.1:9464"),
        ("127.0.0.1:9464", 3, "127.0.0.1:9467"),
        ("[::1]:9464", 1, "[::1]:9465"),
        (":9464", 1, ":9465"),
        ("127.0.0.1:0", 3, "127.0.0.1:0"),
    ],
)
def test_each_worker_has_a_port_of_its_own(listen: str, number: int, expected: str):
    assert nth_listen(listen, number, "metrics.listen") == expected


def test_ports_that_run_out_are_told_with_the_setting():
    with pytest.raises(PortTaken, match="metrics"):
        nth_listen("127.0.0.1:65535", 1, "metrics.listen")
