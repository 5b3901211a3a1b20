"""Writes the dashboards of this directory; `--check` only compares. Needs PyPI grafana-foundation-sdk and a built omendb.

Usage: boards.py OMENDB [--check]. What a panel shows is explained by the HELP of its first family, from the catalogue.
"""

import json
import re
import subprocess
import sys
from pathlib import Path

from grafana_foundation_sdk.builders import dashboard, prometheus, timeseries
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.dashboard import DataSourceRef

SOURCE = DataSourceRef(type_val="prometheus", uid="${datasource}")
HERE = Path(__file__).parent


def rate(family, by="", where=""):
    """A counter's rate, summed over everything but `by`."""
    selector = f"{{{where}}}" if where else ""
    total = f"sum by ({by})" if by else "sum"
    return f"{total} (rate({family}{selector}[$__rate_interval]))"


def quantile(share, family, by="", where=""):
    labels = f"{by}, le" if by else "le"
    return f"histogram_quantile({share}, {rate(f'{family}_bucket', labels, where)})"


def quantiles(family, by="", where=""):
    legend = f" {{{{{by}}}}}" if by else ""
    return [(quantile(share, family, by, where), name + legend) for share, name in ((0.5, "P50"), (0.95, "P95"), (0.99, "P99"))]


DB = 'db_id=~"$db_id"'
# Title: panels of (title, unit, [(expression, legend)]).
BOARDS = {
    "Queries": [
        ("Queries a second", "reqps", [(rate("omendb_engine_queries_total", "db_id", DB), "{{db_id}}")]),
        ("Latency P50", "s", [(quantile(0.5, "omendb_query_duration_seconds", "db_id", DB), "{{db_id}}")]),
        ("Latency P95", "s", [(quantile(0.95, "omendb_query_duration_seconds", "db_id", DB), "{{db_id}}")]),
        ("Latency P99", "s", [(quantile(0.99, "omendb_query_duration_seconds", "db_id", DB), "{{db_id}}")]),
        ("P99 of the last minute, as the server says", "s", [(f"omendb_engine_query_latency_p99_seconds{{{DB}}}", "{{db_id}}")]),
        ("P95 by stage", "s", [(quantile(0.95, "omendb_query_stage_seconds", "stage"), "{{stage}}")]),
        ("Time by stage, seconds a second", "short", [(rate("omendb_query_stage_seconds_sum", "stage"), "{{stage}}")]),
        ("Errors a second", "reqps", [(rate("omendb_engine_query_errors_total", "db_id, kind", DB), "{{db_id}} {{kind}}")]),
    ],
    "Recall and work": [
        ("Recall", "percentunit", [(f"omendb_engine_search_accuracy_ratio{{{DB}}}", "{{db_id}}")]),
        ("Recall, lower bound", "percentunit", [(f"omendb_engine_search_accuracy_lower_bound_ratio{{{DB}}}", "{{db_id}}")]),
        ("Queries sampled a second", "reqps", [(rate("omendb_engine_accuracy_samples_total", "db_id, outcome", DB), "{{db_id}} {{outcome}}")]),
        ("Distances a query", "short", [(f"{rate('omendb_engine_distance_computations_total', 'db_id', DB)} / {rate('omendb_engine_queries_total', 'db_id', DB)}", "{{db_id}}")]),
        ("Bytes read a query", "bytes", [(f"{rate('omendb_engine_bytes_touched_total', 'db_id', DB)} / {rate('omendb_engine_queries_total', 'db_id', DB)}", "{{db_id}}")]),
        ("Use of full registers", "percentunit", [(f"omendb_engine_simd_utilization_ratio{{{DB}}}", "{{db_id}}")]),
        ("Vectors", "short", [(f"omendb_engine_vectors{{{DB}}}", "{{db_id}}")]),
        ("Tombstones", "short", [(f"omendb_engine_tombstones{{{DB}}}", "{{db_id}}")]),
    ],
    "Memory": [
        ("By collection", "bytes", [(f"omendb_engine_memory_allocated_bytes{{{DB}}}", "{{db_id}}")]),
        ("Most at once", "bytes", [(f"omendb_engine_memory_peak_bytes{{{DB}}}", "{{db_id}}")]),
        ("By component", "bytes", [(f"sum by (component) (omendb_engine_memory_component_bytes{{{DB}}})", "{{component}}")]),
        ("What a query may touch", "bytes", [(f"omendb_engine_index_size_bytes{{{DB}}}", "{{db_id}}")]),
        ("Held by readers", "bytes", [("omendb_engine_retired_bytes", "{{instance}}")]),
        ("Process", "bytes", [("process_resident_memory_bytes{job=\"omendb\"}", "resident"), ("omendb_allocator_allocated_bytes", "allocated"), ("omendb_allocator_retained_bytes", "retained")]),
        ("Fragmentation", "percentunit", [("omendb_allocator_fragmentation_ratio", "{{instance}}")]),
        ("Allocations a second", "short", [(rate("omendb_allocator_allocations_total", "instance"), "{{instance}}")]),
    ],
    "HTTP": [
        ("Requests a second by status", "reqps", [(rate("omendb_http_requests_total", "status"), "{{status}}")]),
        ("Requests a second by route", "reqps", [(rate("omendb_http_requests_total", "method, endpoint"), "{{method}} {{endpoint}}")]),
        ("Share of 5xx", "percentunit", [("job_instance:omendb_http_requests_failed:ratio", "{{instance}}")]),
        ("Latency P95 by route", "s", [(quantile(0.95, "omendb_http_request_latency_seconds", "method, endpoint"), "{{method}} {{endpoint}}")]),
        ("Latency", "s", quantiles("omendb_http_request_latency_seconds")),
        ("In flight", "short", [("omendb_http_requests_in_flight", "{{instance}}")]),
        ("Bytes of bodies a second", "Bps", [(rate("omendb_http_request_bytes_total"), "requests"), (rate("omendb_http_response_bytes_total"), "answers")]),
        ("Network", "Bps", [(rate("omendb_network_receive_bytes_total"), "received"), (rate("omendb_network_transmit_bytes_total"), "sent")]),
    ],
    "Pools and queues": [
        ("Slots in use", "percentunit", [("omendb_connection_pool_active / omendb_connection_pool_max", "{{instance}} {{pool}}")]),
        ("Waiting", "short", [("omendb_connection_queue_depth", "{{instance}} {{pool}}")]),
        ("Wait P95", "s", [(quantile(0.95, "omendb_connection_pool_wait_seconds", "pool"), "{{pool}}")]),
        ("Turned away a second", "reqps", [(rate("omendb_connection_pool_rejected_total", "pool, reason"), "{{pool}} {{reason}}")]),
        ("Connections accepted a second", "reqps", [(rate("omendb_connections_total", "instance"), "{{instance}}")]),
        ("How long connections last", "s", quantiles("omendb_connection_lifetime_seconds")),
    ],
    "Credentials": [
        ("Logins a second", "reqps", [(rate("omendb_auth_requests_total", "status"), "{{status}}")]),
        ("Tokens looked at a second", "reqps", [(rate("omendb_auth_token_validations_total", "status"), "{{status}}")]),
        ("Not permitted, a second", "reqps", [(rate("omendb_auth_authorization_failures_total", "permission"), "{{permission}}")]),
    ],
    "Storage": [
        ("Fsync", "s", quantiles("omendb_log_fsync_seconds")),
        ("Batches that shared an fsync", "short", quantiles("omendb_log_commits_joined")),
        ("Points in a batch", "short", quantiles("omendb_engine_batch_points")),
        ("Log written", "Bps", [(rate("omendb_log_written_bytes_total", "instance"), "{{instance}}")]),
        ("Log to read at a restart", "bytes", [(f"omendb_log_bytes{{{DB}}}", "{{db_id}}")]),
        ("Snapshots a second", "short", [(rate("omendb_snapshot_attempts_total", "outcome"), "{{outcome}}")]),
        ("Compaction step P95", "s", [(quantile(0.95, "omendb_engine_rebalance_seconds"), "P95")]),
        ("Disk", "Bps", [(rate("omendb_disk_read_bytes_total"), "read"), (rate("omendb_disk_write_bytes_total"), "written")]),
    ],
    "Cost of the metrics": [
        ("Time of a scrape", "s", quantiles("omendb_metrics_scrape_seconds")),
        ("Series", "short", [("omendb_metrics_series", "{{instance}}")]),
        ("Memory", "bytes", [("omendb_metrics_memory_bytes", "{{instance}}")]),
        ("Series dropped", "short", [("sum by (reason) (increase(omendb_metrics_dropped_total[$__rate_interval]))", "{{reason}}")]),
        ("Processor time", "percentunit", [(rate("process_cpu_seconds_total", "instance", 'job="omendb"'), "{{instance}}")]),
        ("Open files and sockets", "short", [("process_open_fds{job=\"omendb\"}", "{{instance}}")]),
    ],
}


def panel(title, unit, queries, help_of):
    names = [re.sub("_(bucket|sum|count)$", "", name) for name in re.findall(r"[a-z0-9_]+", queries[0][0])]
    meaning = next((help_of[name] for name in names if name in help_of), "")
    built = timeseries.Panel().title(title).unit(unit).description(meaning).datasource(SOURCE).height(8).span(8)
    for index, (expression, legend) in enumerate(queries):
        built.with_target(prometheus.Dataquery().expr(expression).legend_format(legend).ref_id("ABC"[index]))
    return built


def board(title, panels, help_of):
    built = dashboard.Dashboard(f"OmenDB: {title}").uid(file_name(title)).tags(["omendb"]).time("now-1h", "now").refresh("30s")
    built.with_variable(dashboard.DatasourceVariable("datasource").type("prometheus"))
    labels = dashboard.QueryVariable("db_id").label("collection").datasource(SOURCE)
    labels.query("label_values(omendb_engine_vectors, db_id)").include_all(True).multi(True).all_value(".*")
    built.with_variable(labels)
    for row in panels:
        built.with_panel(panel(*row, help_of))
    return JSONEncoder(sort_keys=True, indent=2).encode(built.build()) + "\n"


def file_name(title):
    return "omendb-" + title.lower().replace(" ", "-")


def main(omendb, check=False):
    families = json.loads(subprocess.run([omendb, "metrics", "--json"], check=True, capture_output=True).stdout)["families"]
    help_of = {family["name"]: family["help"] for family in families}
    stale = []
    for title, panels in BOARDS.items():
        file, fresh = HERE / f"{file_name(title)}.json", board(title, panels, help_of)
        if not file.exists() or file.read_text() != fresh:
            stale.append(file.name)
            if not check:
                file.write_text(fresh)
    if check and stale:
        sys.exit(f"stale: {', '.join(stale)}; `deploy/grafana/boards.py OMENDB` writes them")


if __name__ == "__main__":
    main(sys.argv[1], "--check" in sys.argv)
