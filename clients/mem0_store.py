"""mem0's vector store for Qdrant, without its language model: memories in, similar memories out.

Its keyword search is not run: the sparse encoder it loads has to fetch a model.
"""

import datetime
import uuid

from mem0.vector_stores.qdrant import Qdrant

import exact
from flow import TOKEN, URL, Flow

COUNT, DIMENSION = 200, 16
VECTORS = exact.vectors(COUNT, DIMENSION, seed=21)
QUERY = exact.vectors(1, DIMENSION, seed=22)[0]
IDS = [str(uuid.UUID(int=number + 1)) for number in range(COUNT)]

flow = Flow()


def created(number):
    begin = datetime.datetime(2026, 1, 1, tzinfo=datetime.timezone.utc)
    return (begin + datetime.timedelta(hours=number)).isoformat()


def payload(number):
    return {
        "data": f"memory {number} of {['ann', 'bob', 'cy'][number % 3]}",
        "user_id": ["ann", "bob", "cy"][number % 3],
        "score": number / 10,
        "created_at": created(number),
    }


def expected(limit, is_allowed=lambda number: True):
    allowed = [is_allowed(number) for number in range(COUNT)]
    found = exact.nearest(VECTORS, QUERY, "Cosine", limit, allowed)
    return [(IDS[row], score) for row, score in found]


def hits(found):
    return [(point.id, point.score) for point in found]


@flow.step
def a_store_makes_its_collection_and_its_indexes(state):
    state["store"] = Qdrant("mem0", DIMENSION, url=URL, api_key=TOKEN)
    info = state["store"].col_info()
    assert info.config.params.vectors.size == DIMENSION, info
    assert set(info.payload_schema) == {"user_id", "agent_id", "run_id", "actor_id"}, info
    again = Qdrant("mem0", DIMENSION, url=URL, api_key=TOKEN)
    assert [collection.name for collection in again.list_cols().collections] == ["mem0"]


@flow.step
def memories_are_inserted_and_found(state):
    payloads = [payload(number) for number in range(COUNT)]
    state["store"].insert(VECTORS.tolist(), payloads, IDS)
    found = state["store"].search("", QUERY.tolist(), top_k=10)
    exact.assert_same(hits(found), expected(10))
    assert all(point.payload == payload(IDS.index(point.id)) for point in found)


@flow.step
def every_kind_of_filter_is_obeyed(state):
    cases = [
        ({"user_id": "ann"}, lambda n: n % 3 == 0),
        ({"user_id": {"in": ["ann", "cy"]}}, lambda n: n % 3 != 1),
        ({"user_id": {"ne": "ann"}}, lambda n: n % 3 != 0),
        ({"user_id": {"nin": ["ann", "cy"]}}, lambda n: n % 3 == 1),
        ({"score": {"gte": 5, "lt": 10}}, lambda n: 50 <= n < 100),
        ({"created_at": {"gt": created(150)}}, lambda n: n > 150),
        # Within a word: there is no index of the text.
        ({"data": {"contains": "ory 1"}}, lambda n: str(n).startswith("1")),
        ({"OR": [{"user_id": "bob"}, {"score": {"lt": 1}}]}, lambda n: n % 3 == 1 or n < 10),
        ({"AND": [{"user_id": "bob"}, {"score": {"lt": 9}}]}, lambda n: n % 3 == 1 and n < 90),
        ({"NOT": [{"user_id": "bob"}]}, lambda n: n % 3 != 1),
    ]
    for filters, is_allowed in cases:
        found = state["store"].search("", QUERY.tolist(), top_k=20, filters=filters)
        exact.assert_same(hits(found), expected(20, is_allowed))
        listed, _ = state["store"].list(filters=filters, top_k=COUNT)
        assert {point.id for point in listed} == {IDS[n] for n in range(COUNT) if is_allowed(n)}, filters


@flow.step
def several_queries_are_answered_together(state):
    queries = [VECTORS[3].tolist(), QUERY.tolist()]
    first, second = state["store"].search_batch(["", ""], queries, top_k=5)
    assert first[0].id == IDS[3], first
    exact.assert_same(hits(second), expected(5))


@flow.step
def memories_are_updated_in_whole_and_in_part(state):
    store = state["store"]
    store.update(IDS[0], vector=QUERY.tolist(), payload={"data": "both"})
    store.update(IDS[1], payload={"data": "payload alone"})
    store.update(IDS[2], vector=(-QUERY).tolist())
    assert store.get(IDS[0]).payload == {"data": "both"}
    assert store.get(IDS[1]).payload == {**payload(1), "data": "payload alone"}
    found = store.search("", QUERY.tolist(), top_k=COUNT)
    assert (found[0].id, found[-1].id) == (IDS[0], IDS[2]), (found[0], found[-1])
    assert abs(found[0].score - 1) <= exact.TOLERANCE and abs(found[-1].score + 1) <= exact.TOLERANCE


@flow.step
def memories_are_deleted(state):
    state["store"].delete(IDS[5])
    assert state["store"].get(IDS[5]) is None
    state["store"].reset()
    assert state["store"].list()[0] == []
    state["store"].delete_col()
    assert state["store"].list_cols().collections == []


if __name__ == "__main__":
    flow.run({})
