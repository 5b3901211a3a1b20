"""Writes the dashboards of this directory; `--check` only compares. Run by `cargo x gen boards`.

Usage: boards.py OMENDB [--check]. Needs PyPI's grafana-foundation-sdk. What a panel shows is explained by what the catalogue
says of its first family: what it means, and when to look at it.
"""

import json
import re
import subprocess
import sys
from pathlib import Path

from grafana_foundation_sdk.builders import dashboard, prometheus, timeseries
from grafana_foundation_sdk.builders.common import VizLegendOptions, VizTooltipOptions
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.cog.plugins import register_default_plugins
from grafana_foundation_sdk.models.dashboard import Dashboard, DataSourceRef

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


def per_query(family, by="db_id"):
    """Work a query, where the counter is by collection too."""
    return f"{rate(family, by, DB)} / {rate('omendb_engine_queries_total', by, DB)}"


def gauges(*families, where="", legend="{{instance}}"):
    """Gauges side by side, each called by what tells its name from the others'."""
    selector = f"{{{where}}}" if where else ""
    return [(family + selector, f"{name} {legend}".strip()) for family, name in families]


DB = 'db_id=~"$db_id"'
OURS = 'job="omendb"'
# Title: panels of (title, unit, [(expression, legend)]).
BOARDS = {
    "Queries": [
        ("Queries a second", "reqps", [(rate("omendb_engine_queries_total", "db_id", DB), "{{db_id}}")]),
        ("Errors a second", "reqps", [(rate("omendb_engine_query_errors_total", "db_id, kind", DB), "{{db_id}} {{kind}}")]),
        ("Mean of the last minute, as the server says", "s", [(f"omendb_engine_query_duration_seconds{{{DB}}}", "{{db_id}}")]),
        ("Latency P50", "s", [(quantile(0.5, "omendb_query_duration_seconds", "db_id", DB), "{{db_id}}")]),
        ("Latency P95", "s", [(quantile(0.95, "omendb_query_duration_seconds", "db_id", DB), "{{db_id}}")]),
        ("Latency P99", "s", [(quantile(0.99, "omendb_query_duration_seconds", "db_id", DB), "{{db_id}}")]),
        ("P50 of the last minute, as the server says", "s", [(f"omendb_engine_query_latency_p50_seconds{{{DB}}}", "{{db_id}}")]),
        ("P95 of the last minute, as the server says", "s", [(f"omendb_engine_query_latency_p95_seconds{{{DB}}}", "{{db_id}}")]),
        ("P99 of the last minute, as the server says", "s", [(f"omendb_engine_query_latency_p99_seconds{{{DB}}}", "{{db_id}}")]),
        ("P95 by stage", "s", [(quantile(0.95, "omendb_query_stage_seconds", "stage"), "{{stage}}")]),
        ("Time by stage, seconds a second", "short", [(rate("omendb_query_stage_seconds_sum", "stage"), "{{stage}}")]),
        ("Whole requests, first byte to last", "s", quantiles("omendb_query_exchange_seconds")),
        ("Queries in a batch", "short", quantiles("omendb_engine_batch_queries")),
    ],
    "Recall and work": [
        ("Recall", "percentunit", [(f"omendb_engine_search_accuracy_ratio{{{DB}}}", "{{db_id}}")]),
        ("Recall, lower bound", "percentunit", [(f"omendb_engine_search_accuracy_lower_bound_ratio{{{DB}}}", "{{db_id}}")]),
        ("Recall by plan and share that a filter passes", "percentunit", [(f"omendb_engine_plan_accuracy_ratio{{{DB}}}", "{{db_id}} {{plan}} {{selectivity}}")]),
        ("Its lower bound", "percentunit", [(f"omendb_engine_plan_accuracy_lower_bound_ratio{{{DB}}}", "{{db_id}} {{plan}} {{selectivity}}")]),
        ("Queries measured a second", "reqps", [(rate("omendb_engine_plan_accuracy_samples_total", "db_id, plan, selectivity", DB), "{{db_id}} {{plan}} {{selectivity}}")]),
        ("Queries sampled a second", "reqps", [(rate("omendb_engine_accuracy_samples_total", "db_id, outcome", DB), "{{db_id}} {{outcome}}")]),
        ("Distances a query", "short", [(per_query("omendb_engine_distance_computations_total"), "{{db_id}}")]),
        ("Hops a query", "short", [(per_query("omendb_engine_hops_total"), "{{db_id}}")]),
        ("Nodes compared a query", "short", [(per_query("omendb_engine_visited_total"), "{{db_id}}")]),
        ("Bytes read a query", "bytes", [(per_query("omendb_engine_bytes_touched_total"), "{{db_id}}")]),
        ("Points scored in full a query", "short", [(per_query("omendb_engine_rescored_total"), "{{db_id}}")]),
        ("Points a filter turned away, a query", "short", [(per_query("omendb_engine_filter_rejected_total"), "{{db_id}}")]),
        ("Postings a query", "short", [(per_query("omendb_engine_postings_total"), "{{db_id}}")]),
        ("Vectors", "short", [(f"omendb_engine_vectors{{{DB}}}", "{{db_id}}")]),
        ("Vectors outside a graph", "short", [(f"omendb_engine_vectors{{{DB}}} - omendb_engine_graph_vectors{{{DB}}}", "{{db_id}}")]),
        ("Tombstones", "short", [(f"omendb_engine_tombstones{{{DB}}}", "{{db_id}}")]),
        ("Share of dead points", "percentunit", [(f"omendb_engine_tombstone_ratio{{{DB}}}", "{{db_id}}")]),
        ("Stored vectors that find themselves, a second", "short", [(rate("omendb_engine_self_hits_total", "db_id, outcome", DB), "{{db_id}} {{outcome}}")]),
        ("Nodes out of reach", "short", [(f"omendb_engine_graph_unreachable_nodes{{{DB}}}", "{{db_id}}")]),
        ("Vectors sent with a defect, a second", "short", [(rate("omendb_engine_vector_defects_total", "db_id, kind", DB), "{{db_id}} {{kind}}")]),
        ("Drift of lengths", "percentunit", [(f"omendb_engine_vector_norm_drift_ratio{{{DB}}}", "{{db_id}}")]),
        ("Vectors made searchable a second", "wps", [(rate("omendb_engine_vectors_indexed_total", "db_id", DB), "{{db_id}}")]),
        ("Vectors made nodes of a graph a second", "wps", [(rate("omendb_engine_graph_insertions_total", "db_id", DB), "{{db_id}}")]),
        ("Reorganizations a second", "short", [(rate("omendb_engine_index_rebalances_total", "db_id, kind", DB), "{{db_id}} {{kind}}")]),
        ("Time of a pass of building", "s", quantiles("omendb_engine_index_build_seconds")),
        ("Time of a reorganization", "s", quantiles("omendb_engine_rebalance_seconds", "kind")),
        ("Use of full registers", "percentunit", [(f"omendb_engine_simd_utilization_ratio{{{DB}}}", "{{db_id}}")]),
        ("Code that compares vectors", "short", [("omendb_engine_kernel_info", "{{instance}} {{provider}} {{isa}}")]),
    ],
    "Memory": [
        ("By collection", "bytes", [(f"omendb_engine_memory_allocated_bytes{{{DB}}}", "{{db_id}}")]),
        ("Most at once", "bytes", [(f"omendb_engine_memory_peak_bytes{{{DB}}}", "{{db_id}}")]),
        ("By component", "bytes", [(f"sum by (component) (omendb_engine_memory_component_bytes{{{DB}}})", "{{component}}")]),
        ("What a query may touch", "bytes", [(f"omendb_engine_index_size_bytes{{{DB}}}", "{{db_id}}")]),
        ("Of the process, by what it is used for", "bytes", [("omendb_memory_bytes", "{{instance}} {{part}}")]),
        ("Most of the process at once", "bytes", gauges(("omendb_memory_peak_bytes", ""))),
        ("Held by readers", "bytes", gauges(("omendb_engine_retired_bytes", ""))),
        ("Process", "bytes", gauges(("process_resident_memory_bytes", "resident"), ("process_virtual_memory_bytes", "addresses"), where=OURS)),
        ("Allocator", "bytes", gauges(("omendb_allocator_resident_bytes", "resident"), ("omendb_allocator_active_bytes", "active"), ("omendb_allocator_allocated_bytes", "allocated"), ("omendb_allocator_retained_bytes", "retained"))),
        ("Fragmentation", "percentunit", gauges(("omendb_allocator_fragmentation_ratio", ""))),
        ("Allocations a second", "short", [(rate("omendb_allocator_allocations_total", "instance"), "{{instance}}")]),
    ],
    "HTTP": [
        ("Requests a second by status", "reqps", [(rate("omendb_http_requests_total", "status"), "{{status}}")]),
        ("Requests a second by route", "reqps", [(rate("omendb_http_requests_total", "method, endpoint"), "{{method}} {{endpoint}}")]),
        ("Share of 5xx", "percentunit", [("job_instance:omendb_http_requests_failed:ratio", "{{instance}}")]),
        ("Errors a second by route", "reqps", [(rate("omendb_http_requests_total", "method, endpoint, status", 'status=~"[45].."'), "{{method}} {{endpoint}} {{status}}")]),
        ("Latency P95 by route", "s", [(quantile(0.95, "omendb_http_request_latency_seconds", "method, endpoint"), "{{method}} {{endpoint}}")]),
        ("Latency", "s", quantiles("omendb_http_request_latency_seconds")),
        ("Mean of the last minute, as the server says", "s", [("omendb_http_request_duration_seconds", "{{method}} {{endpoint}}")]),
        ("In flight", "short", [("sum by (method, endpoint) (omendb_http_requests_in_flight)", "{{method}} {{endpoint}}")]),
        ("Bytes of bodies a second", "Bps", [(rate("omendb_http_request_bytes_total"), "requests"), (rate("omendb_http_response_bytes_total"), "answers")]),
        ("Bytes of requests a second by route", "Bps", [(rate("omendb_http_request_bytes_total", "method, endpoint"), "{{method}} {{endpoint}}")]),
        ("Bytes of answers a second by route", "Bps", [(rate("omendb_http_response_bytes_total", "method, endpoint"), "{{method}} {{endpoint}}")]),
        ("Network", "Bps", [(rate("omendb_network_receive_bytes_total"), "received"), (rate("omendb_network_transmit_bytes_total"), "sent")]),
    ],
    "Pools and queues": [
        ("Slots in use", "percentunit", [("omendb_connection_pool_active / omendb_connection_pool_max", "{{instance}} {{pool}}")]),
        ("Waiting", "short", gauges(("omendb_connection_queue_depth", ""), legend="{{instance}} {{pool}}")),
        ("Wait P95", "s", [(quantile(0.95, "omendb_connection_pool_wait_seconds", "pool"), "{{pool}}")]),
        ("Turned away a second", "reqps", [(rate("omendb_connection_pool_rejected_total", "pool, reason"), "{{pool}} {{reason}}")]),
        ("Connections accepted a second", "reqps", [(rate("omendb_connections_total", "instance"), "{{instance}}")]),
        ("How long connections last", "s", quantiles("omendb_connection_lifetime_seconds")),
        ("Processor time of the recall probes", "percentunit", [(rate("omendb_engine_probe_cpu_seconds_total", "instance"), "{{instance}}")]),
        ("Processor time", "percentunit", [(rate("process_cpu_seconds_total", "instance", OURS), "{{instance}}")]),
        ("Page faults a second", "short", [(rate("omendb_page_faults_total", "instance, kind"), "{{instance}} {{kind}}")]),
        ("Threads", "short", gauges(("process_threads", ""), where=OURS)),
        ("Open files and sockets", "percentunit", [(f"process_open_fds{{{OURS}}} / process_max_fds{{{OURS}}}", "{{instance}}")]),
    ],
    "Credentials": [
        ("Logins a second", "reqps", [(rate("omendb_auth_requests_total", "status"), "{{status}}")]),
        ("Failed logins a second", "reqps", [(rate("omendb_auth_login_failures_total", "reason"), "{{reason}}")]),
        ("Requests a second by token", "reqps", [(rate("omendb_auth_token_uses_total", "token"), "{{token}}")]),
        ("Tokens looked at a second", "reqps", [(rate("omendb_auth_token_validations_total", "status"), "{{status}}")]),
        ("Audit events a second", "short", [(rate("omendb_audit_events_total", "outcome"), "{{outcome}}")]),
        ("Not permitted, a second", "reqps", [(rate("omendb_auth_authorization_failures_total", "permission"), "{{permission}}")]),
    ],
    "Storage": [
        ("Fsync", "s", quantiles("omendb_log_fsync_seconds")),
        ("Batches that shared an fsync", "short", quantiles("omendb_log_commits_joined")),
        ("Points an fsync made durable", "short", quantiles("omendb_log_commit_points")),
        ("Points in a batch", "short", quantiles("omendb_engine_batch_points")),
        ("Log written", "Bps", [(rate("omendb_log_written_bytes_total", "instance"), "{{instance}}")]),
        ("Log to read at a restart", "bytes", [(f"omendb_log_bytes{{{DB}}}", "{{db_id}}")]),
        ("Snapshots a second", "short", [(rate("omendb_snapshot_attempts_total", "outcome"), "{{outcome}}")]),
        ("Time of a snapshot", "s", quantiles("omendb_snapshot_seconds")),
        ("Snapshots written, log removed", "Bps", [(rate("omendb_snapshot_written_bytes_total"), "written"), (rate("omendb_snapshot_trimmed_log_bytes_total"), "removed")]),
        ("Disk", "Bps", [(rate("omendb_disk_read_bytes_total"), "read"), (rate("omendb_disk_write_bytes_total"), "written")]),
        ("Disk operations a second", "iops", [(rate("omendb_disk_read_operations_total"), "reads"), (rate("omendb_disk_write_operations_total"), "writes")]),
        ("Health of each part: 1 degraded, 2 unhealthy", "short", [("omendb_health_component_state", "{{instance}} {{component}}")]),
        ("Up for", "s", [("omendb_uptime_seconds", "{{instance}}")]),
        ("Started", "dateTimeAsIso", [("1000 * process_start_time_seconds", "{{instance}}")]),
        ("Builds", "short", [("sum by (version, profile, target) (omendb_build_info)", "{{version}} {{profile}} {{target}}")]),
    ],
    "Cost of the metrics": [
        ("Time of a scrape", "s", quantiles("omendb_metrics_scrape_seconds")),
        ("Series", "short", gauges(("omendb_metrics_series", ""))),
        ("Memory", "bytes", gauges(("omendb_metrics_memory_bytes", "metrics"), ("omendb_metrics_history_bytes", "history"))),
        ("Spans of traces a second", "short", [(rate("omendb_trace_spans_total", "outcome"), "{{outcome}}")]),
        ("Series dropped", "short", [("sum by (reason) (increase(omendb_metrics_dropped_total[$__rate_interval]))", "{{reason}}")]),
    ],
}


def panel(title, unit, queries, meaning_of):
    names = [re.sub("_(bucket|sum|count)$", "", name) for name in re.findall(r"[a-z0-9_]+", queries[0][0])]
    meaning = next((meaning_of[name] for name in names if name in meaning_of), "")
    built = timeseries.Panel().title(title).unit(unit).description(meaning).datasource(SOURCE).height(8).span(8)
    built.min(0).fill_opacity(10)
    built.legend(VizLegendOptions().display_mode("list").placement("bottom").show_legend(True))
    built.tooltip(VizTooltipOptions().mode("multi").sort("desc"))
    for index, (expression, legend) in enumerate(queries):
        built.with_target(prometheus.Dataquery().expr(expression).legend_format(legend).ref_id("ABCD"[index]))
    return built


def board(title, panels, meaning_of):
    built = dashboard.Dashboard(f"OmenDB: {title}").uid(file_name(title)).tags(["omendb"]).time("now-1h", "now").refresh("30s")
    built.with_variable(dashboard.DatasourceVariable("datasource").type("prometheus"))
    labels = dashboard.QueryVariable("db_id").label("collection").datasource(SOURCE)
    labels.query("label_values(omendb_engine_vectors, db_id)").include_all(True).multi(True).all_value(".*")
    built.with_variable(labels)
    for row in panels:
        built.with_panel(panel(*row, meaning_of))
    text = encoded(built.build())
    # Grafana's own types read it back, so that no field of ours is lost or misspelt.
    assert encoded(Dashboard.from_json(json.loads(text))) == text, f"{title}: read back it is another board"
    return text


def encoded(board):
    return JSONEncoder(sort_keys=True, indent=2).encode(board) + "\n"


def file_name(title):
    return "omendb-" + title.lower().replace(" ", "-")


def main(omendb, check=False):
    families = json.loads(subprocess.run([omendb, "metrics", "--json"], check=True, capture_output=True).stdout)["families"]
    meaning_of = {family["name"]: f"{family['help']}\n\n{family['when_to_look']}".strip() for family in families}
    register_default_plugins()
    stale = []
    for title, panels in BOARDS.items():
        file, fresh = HERE / f"{file_name(title)}.json", board(title, panels, meaning_of)
        if not file.exists() or file.read_text() != fresh:
            stale.append(file.name)
            if not check:
                file.write_text(fresh)
    if check and stale:
        sys.exit(f"stale: {', '.join(stale)}; `cargo x gen boards` writes them")


if __name__ == "__main__":
    main(sys.argv[1], "--check" in sys.argv)
