"""VectorDBBench's client of Qdrant: bulk insertion and search by its two kinds of filters."""

import numpy as np
from vectordb_bench.backend.clients.api import MetricType
from vectordb_bench.backend.clients.qdrant_cloud.config import QdrantConfig, QdrantIndexConfig
from vectordb_bench.backend.clients.qdrant_cloud.qdrant_cloud import QdrantCloud
from vectordb_bench.backend.filter import IntFilter, LabelFilter, NonFilter

import exact
from flow import TOKEN, URL, Flow

# With an api key this client speaks gRPC and nothing else.
assert TOKEN is None, "the server has to be open"

COUNT, DIMENSION = 2_000, 32
VECTORS = exact.vectors(COUNT, DIMENSION, seed=11)
QUERIES = exact.vectors(10, DIMENSION, seed=12)
# Every tenth point carries the label that the filter of 10 % asks for.
LABELS = ["label_10p" if number % 10 == 0 else "other" for number in range(COUNT)]

flow = Flow()


def check_recall(client, chosen, metric, allowed=None):
    distance = {MetricType.COSINE: "Cosine", MetricType.L2: "Euclid", MetricType.IP: "Dot"}[metric]
    client.prepare_filter(chosen)
    for query in QUERIES:
        found = client.search_embedding(query.tolist(), k=10)
        expected = exact.nearest(VECTORS, query, distance, 10, allowed)
        of_all = exact.scores(VECTORS, query, distance)
        exact.assert_same([(row, of_all[row]) for row in found], expected)


def make(metric):
    settings = QdrantIndexConfig(
        metric_type=metric, create_payload_int_index=True, create_payload_keyword_index=True
    )
    client = QdrantCloud(
        dim=DIMENSION,
        db_config=QdrantConfig(url=URL).to_dict(),
        db_case_config=settings,
        collection_name=f"bench-{metric.value}",
        drop_old=True,
        with_scalar_labels=True,
    )
    return client


def fill(client):
    inserted, error = client.insert_embeddings(VECTORS.tolist(), list(range(COUNT)), labels_data=LABELS)
    assert (inserted, error) == (COUNT, None), (inserted, error)


@flow.step
def vectors_are_inserted_and_ready(state):
    for metric in [MetricType.COSINE, MetricType.L2, MetricType.IP]:
        state[metric] = make(metric)
        with state[metric].init():
            fill(state[metric])
    with state[MetricType.COSINE].init():
        state[MetricType.COSINE].optimize()


@flow.step
def searches_find_the_nearest(state):
    for metric, client in state.items():
        with client.init():
            check_recall(client, NonFilter(), metric)


@flow.step
def searches_above_a_number_find_the_nearest_of_them(state):
    for metric, client in state.items():
        with client.init():
            numbers = np.arange(COUNT)
            check_recall(client, IntFilter(filter_rate=0.99, int_value=1_980), metric, numbers >= 1_980)
            check_recall(client, IntFilter(filter_rate=0.01, int_value=20), metric, numbers >= 20)


@flow.step
def searches_by_a_label_find_the_nearest_of_them(state):
    for metric, client in state.items():
        with client.init():
            chosen = LabelFilter(label_percentage=0.1)
            check_recall(client, chosen, metric, np.array(LABELS) == chosen.label_value)


@flow.step
def an_old_collection_is_dropped(state):
    client = make(MetricType.COSINE)
    with client.init():
        assert client.qdrant_client.count(client.collection_name).count == 0


if __name__ == "__main__":
    flow.run({})
