"""LlamaIndex's vector store for Qdrant (llama-index-vector-stores-qdrant): nodes in, similar nodes out."""

import numpy as np
from llama_index.core.schema import NodeRelationship, RelatedNodeInfo, TextNode
from llama_index.core.vector_stores import (
    FilterCondition,
    FilterOperator,
    MetadataFilter,
    MetadataFilters,
    VectorStoreQuery,
)
from llama_index.core.vector_stores.types import VectorStoreQueryMode
from llama_index.vector_stores.qdrant import QdrantVectorStore
from qdrant_client import QdrantClient

import exact
from flow import TOKEN, URL, Flow

COUNT = len(exact.TEXTS)
IDS = [f"00000000-0000-4000-8000-{number:012d}" for number in range(COUNT)]
EMBEDDINGS = [exact.embedding(text) for text in exact.TEXTS]
QUERY = "a train to the city in the morning"

flow = Flow()


def node(number):
    return TextNode(
        id_=IDS[number],
        text=exact.TEXTS[number],
        embedding=EMBEDDINGS[number],
        metadata={"number": number, "parity": "odd" if number % 2 else "even"},
        # The document a node was cut from: three nodes each.
        relationships={NodeRelationship.SOURCE: RelatedNodeInfo(node_id=f"document-{number // 3}")},
    )


def expected(limit, allowed=None):
    found = exact.nearest(EMBEDDINGS, exact.embedding(QUERY), "Cosine", limit, allowed)
    return [(IDS[row], score) for row, score in found]


def query(store, limit, **arguments):
    answer = store.query(
        VectorStoreQuery(query_embedding=exact.embedding(QUERY), similarity_top_k=limit, **arguments)
    )
    assert [found.text for found in answer.nodes] == [exact.TEXTS[IDS.index(i)] for i in answer.ids]
    return list(zip(answer.ids, answer.similarities))


@flow.step
def nodes_are_added(state):
    state["store"] = QdrantVectorStore("llama", client=QdrantClient(url=URL, api_key=TOKEN))
    added = state["store"].add([node(number) for number in range(COUNT)])
    assert added == IDS, added
    assert state["store"].client.count("llama").count == COUNT


@flow.step
def queries_find_what_numpy_finds(state):
    exact.assert_same(query(state["store"], 5), expected(5))
    exact.assert_same(query(state["store"], 50), expected(COUNT))


@flow.step
def filters_are_obeyed(state):
    numbers = np.arange(COUNT)
    odd = MetadataFilter(key="parity", value="odd")
    cases = [
        (MetadataFilters(filters=[odd]), numbers % 2 == 1),
        (
            MetadataFilters(filters=[MetadataFilter(key="parity", value="odd", operator=FilterOperator.NE)]),
            numbers % 2 == 0,
        ),
        (
            MetadataFilters(filters=[MetadataFilter(key="number", value=7, operator=FilterOperator.GTE)]),
            numbers >= 7,
        ),
        (
            MetadataFilters(
                filters=[MetadataFilter(key="number", value=[1, 2, 3], operator=FilterOperator.IN)]
            ),
            np.isin(numbers, [1, 2, 3]),
        ),
        (
            MetadataFilters(
                filters=[odd, MetadataFilter(key="number", value=2, operator=FilterOperator.LT)],
                condition=FilterCondition.OR,
            ),
            (numbers % 2 == 1) | (numbers < 2),
        ),
    ]
    for filters, allowed in cases:
        exact.assert_same(query(state["store"], 50, filters=filters), expected(50, allowed))


@flow.step
def nodes_and_documents_are_selected(state):
    in_first = np.arange(COUNT) < 3
    exact.assert_same(query(state["store"], 50, doc_ids=["document-0"]), expected(50, in_first))
    chosen = np.isin(np.arange(COUNT), [2, 5])
    exact.assert_same(query(state["store"], 50, node_ids=[IDS[2], IDS[5]]), expected(50, chosen))
    nodes = state["store"].get_nodes(node_ids=[IDS[4]])
    assert [found.text for found in nodes] == [exact.TEXTS[4]], nodes


@flow.step
def documents_and_nodes_are_deleted(state):
    state["store"].delete("document-0")
    state["store"].delete_nodes(node_ids=[IDS[3]])
    exact.assert_same(query(state["store"], 50), expected(50, np.arange(COUNT) >= 4))
    state["store"].clear()
    assert not state["store"].client.collection_exists("llama")


def sparse_vectors(texts):
    indices, values = zip(*(exact.sparse_embedding(text) for text in texts))
    return list(indices), list(values)


@flow.step
def hybrid_queries_find_words_and_meaning(state):
    store = QdrantVectorStore(
        "llama-hybrid",
        client=QdrantClient(url=URL, api_key=TOKEN),
        enable_hybrid=True,
        sparse_doc_fn=sparse_vectors,
        sparse_query_fn=sparse_vectors,
    )
    store.add([node(number) for number in range(COUNT)])
    dots = [exact.common_words("train city", text) for text in exact.TEXTS]
    answer = store.query(
        VectorStoreQuery(
            query_str="train city",
            query_embedding=exact.embedding("train city"),
            sparse_top_k=4,
            similarity_top_k=4,
            mode=VectorStoreQueryMode.SPARSE,
        )
    )
    best = sorted((dot for dot in dots if dot > 0), reverse=True)[:4]
    assert np.allclose(answer.similarities, best), (answer.similarities, best)
    assert np.allclose([dots[IDS.index(found)] for found in answer.ids], best)
    local = QdrantVectorStore(
        "llama-hybrid",
        client=QdrantClient(":memory:"),
        enable_hybrid=True,
        sparse_doc_fn=sparse_vectors,
        sparse_query_fn=sparse_vectors,
    )
    local.add([node(number) for number in range(COUNT)])
    hybrid = VectorStoreQuery(
        query_str="programming language",
        query_embedding=exact.embedding("programming language"),
        similarity_top_k=3,
        sparse_top_k=6,
        mode=VectorStoreQueryMode.HYBRID,
    )
    ours, theirs = store.query(hybrid), local.query(hybrid)
    exact.assert_same(list(zip(ours.ids, ours.similarities)), list(zip(theirs.ids, theirs.similarities)))


if __name__ == "__main__":
    flow.run({})
