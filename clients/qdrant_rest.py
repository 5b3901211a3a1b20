"""qdrant-client over REST: what it finds is what numpy finds over all points, or what its own local mode answers."""

import asyncio

import numpy as np
from qdrant_client import AsyncQdrantClient, QdrantClient, models
from qdrant_client.http.exceptions import UnexpectedResponse

import exact
from flow import TOKEN, URL, Flow

COUNT, DIMENSION = 500, 24
VECTORS = exact.vectors(COUNT, DIMENSION, seed=1)
IMAGES = exact.vectors(COUNT, 8, seed=2)
QUERIES = exact.vectors(20, DIMENSION, seed=3)
COLORS = ["red", "green", "blue", "black"]
DISTANCES = ["Cosine", "Dot", "Euclid", "Manhattan"]
# The collection that the steps change, with two vectors a point.
NAMED = "named"

flow = Flow()


class Both:
    """Our server and the client's local mode, which is to answer the same."""

    def __init__(self):
        self.ours = QdrantClient(url=URL, api_key=TOKEN, timeout=30)
        self.local = QdrantClient(":memory:")

    def change(self, call):
        """Makes one change in both."""
        call(self.ours)
        call(self.local)

    def same(self, call):
        """Asks both and compares; the answer is returned to be looked at."""
        ours, local = call(self.ours), call(self.local)
        compare(ours, local)
        return ours


def compare(ours, local):
    """Answers are points, lists of them, lists of such lists, or plain values."""
    if hasattr(ours, "points"):
        exact.assert_same(hits(ours), hits(local))
        # Where scores are equal, local mode has an order of its own.
        theirs = {point.id: point for point in local.points}
        for point in ours.points:
            if point.id in theirs:
                compare(point, theirs[point.id])
    elif isinstance(ours, (list, tuple)):
        assert len(ours) == len(local), (ours, local)
        for one, other in zip(ours, local):
            compare(one, other)
    elif hasattr(ours, "payload"):
        assert (ours.id, ours.payload) == (local.id, local.payload), (ours, local)
        compare_vectors(ours.vector, local.vector)
    else:
        assert ours == local, (ours, local)


def compare_vectors(ours, local):
    if isinstance(ours, dict):
        assert ours.keys() == local.keys(), (ours, local)
        for name in ours:
            compare_vectors(ours[name], local[name])
    elif ours is None:
        assert local is None, local
    elif isinstance(ours, models.SparseVector):
        assert ours.indices == local.indices, (ours, local)
        compare_vectors(ours.values, local.values)
    else:
        assert np.allclose(ours, local, atol=exact.TOLERANCE), (ours, local)


def payload(number):
    return {
        "number": number,
        "color": COLORS[number % 4],
        "tags": [COLORS[number % 4], COLORS[number % 3]],
        "size": {"width": number / 10, "height": float(number % 7)},
        "since": f"20{number % 20 + 10}-0{number % 9 + 1}-01T00:00:00Z",
        "words": f"a {COLORS[number % 4]} box with number {number}",
        "place": {"lon": number % 90 - 45.0, "lat": number % 50 - 25.0},
    }


def match(key, value):
    return models.FieldCondition(key=key, match=models.MatchValue(value=value))


def between(key, low, high):
    return models.FieldCondition(key=key, range=models.Range(gte=low, lt=high))


def hits(found):
    return [(point.id, point.score) for point in found.points]


def refused(call, status):
    try:
        call()
    except UnexpectedResponse as error:
        assert error.status_code == status, error
        assert b'"error"' in error.content, error
        return
    raise AssertionError(f"the call was not refused with {status}")


@flow.step
def the_server_and_the_client_agree_on_the_version(both):
    info = both.ours.info()
    assert info.title == "omendb", info
    assert int(info.version.split(".")[0]) == 1, info


@flow.step
def collections_are_made_and_listed(both):
    for distance in DISTANCES:
        parameters = models.VectorParams(size=DIMENSION, distance=models.Distance(distance))
        assert both.ours.create_collection(distance, vectors_config=parameters)
        assert both.ours.collection_exists(distance)
        assert both.ours.get_collection(distance).config.params.vectors == parameters
        refused(lambda name=distance: both.ours.create_collection(name, vectors_config=parameters), 409)
    listed = {collection.name for collection in both.ours.get_collections().collections}
    assert listed == set(DISTANCES), listed
    assert not both.ours.collection_exists("nothing")


@flow.step
def points_are_uploaded_in_batches_and_counted(both):
    for distance in DISTANCES:
        both.ours.upload_collection(
            distance,
            vectors=VECTORS,
            ids=list(range(COUNT)),
            payload=[payload(number) for number in range(COUNT)],
            batch_size=64,
            wait=True,
        )
        assert both.ours.count(distance).count == COUNT
        info = both.ours.get_collection(distance)
        assert (info.status, info.points_count) == (models.CollectionStatus.GREEN, COUNT), info


@flow.step
def the_nearest_of_every_distance_are_numpys(both):
    for distance in DISTANCES:
        for query in QUERIES:
            found = both.ours.query_points(distance, query=query.tolist(), limit=10)
            exact.assert_same(hits(found), exact.nearest(VECTORS, query, distance, 10))


@flow.step
def filters_select_what_numpy_selects(both):
    numbers = np.arange(COUNT)
    cases = [
        (models.Filter(must=[match("color", "red")]), numbers % 4 == 0),
        (models.Filter(must=[between("number", 100, 120)]), (numbers >= 100) & (numbers < 120)),
        (models.Filter(must_not=[match("color", "red")]), numbers % 4 != 0),
        (
            models.Filter(should=[match("color", "blue"), between("size.width", 0, 3)]),
            (numbers % 4 == 2) | (numbers < 30),
        ),
        (models.Filter(must=[match("tags", "black")]), numbers % 4 == 3),
        (models.Filter(must=[models.HasIdCondition(has_id=[3, 4, 5])]), np.isin(numbers, [3, 4, 5])),
        (
            models.Filter(
                must=[match("color", "red"), between("number", 0, 200)],
                must_not=[between("size.height", 0, 3)],
            ),
            (numbers % 4 == 0) & (numbers < 200) & (numbers % 7 >= 3),
        ),
    ]
    for chosen, allowed in cases:
        for query in QUERIES[:5]:
            found = both.ours.query_points("Cosine", query=query.tolist(), query_filter=chosen, limit=20)
            exact.assert_same(hits(found), exact.nearest(VECTORS, query, "Cosine", 20, allowed))
        assert both.ours.count("Cosine", count_filter=chosen).count == int(allowed.sum())


@flow.step
def offset_threshold_and_selectors_shape_the_answer(both):
    query = QUERIES[0]
    best = exact.nearest(VECTORS, query, "Cosine", COUNT)
    found = both.ours.query_points("Cosine", query=query.tolist(), limit=5, offset=7)
    exact.assert_same(hits(found), best[7:12])
    threshold = (best[3][1] + best[4][1]) / 2
    found = both.ours.query_points("Cosine", query=query.tolist(), limit=50, score_threshold=threshold)
    exact.assert_same(hits(found), best[:4])
    found = both.ours.query_points(
        "Cosine", query=query.tolist(), limit=1, with_payload=["color", "size.width"], with_vectors=True
    )
    point = found.points[0]
    whole = payload(point.id)
    assert point.payload == {"color": whole["color"], "size": {"width": whole["size"]["width"]}}, point
    unit = VECTORS[point.id] / np.linalg.norm(VECTORS[point.id])
    assert np.allclose(point.vector, unit, atol=exact.TOLERANCE)


@flow.step
def indexes_of_payloads_change_no_answer(both):
    kinds = [
        ("number", models.PayloadSchemaType.INTEGER),
        ("color", models.PayloadSchemaType.KEYWORD),
        ("size.width", models.PayloadSchemaType.FLOAT),
    ]
    chosen = models.Filter(must=[match("color", "green"), between("number", 50, 300), between("size.width", 9, 20)])
    query = QUERIES[1].tolist()
    before = both.ours.query_points("Dot", query=query, query_filter=chosen, limit=10)
    for field, kind in kinds:
        both.ours.create_payload_index("Dot", field_name=field, field_schema=kind)
    schema = both.ours.get_collection("Dot").payload_schema
    assert {field: index.data_type for field, index in schema.items()} == dict(kinds), schema
    after = both.ours.query_points("Dot", query=query, query_filter=chosen, limit=10)
    assert hits(after) == hits(before) and len(hits(after)) == 10, (before, after)
    for field, _ in kinds:
        both.ours.delete_payload_index("Dot", field_name=field)
    assert both.ours.get_collection("Dot").payload_schema == {}


@flow.step
def named_vectors_are_asked_by_name(both):
    parameters = {
        "text": models.VectorParams(size=DIMENSION, distance=models.Distance.COSINE),
        "image": models.VectorParams(size=8, distance=models.Distance.EUCLID),
    }
    both.change(lambda client: client.create_collection(NAMED, vectors_config=parameters))
    points = [
        models.PointStruct(
            id=number,
            vector={"text": VECTORS[number].tolist(), "image": IMAGES[number].tolist()},
            payload=payload(number),
        )
        for number in range(COUNT)
    ]
    both.change(lambda client: client.upsert(NAMED, points=points, wait=True))
    for using, points, distance in [("text", VECTORS, "Cosine"), ("image", IMAGES, "Euclid")]:
        query = points[5] + points[6]
        found = both.ours.query_points(NAMED, query=query.tolist(), using=using, limit=10)
        exact.assert_same(hits(found), exact.nearest(points, query, distance, 10))
    refused(lambda: both.ours.query_points(NAMED, query=[1.0] * 8, using="sound"), 400)


@flow.step
def examples_are_asked_for_as_local_mode_does(both):
    pair = models.ContextPair(positive=1, negative=2)
    queries = [
        17,
        models.RecommendQuery(recommend=models.RecommendInput(positive=[1, 2], negative=[3])),
        models.RecommendQuery(
            recommend=models.RecommendInput(
                positive=[4, QUERIES[2].tolist()],
                negative=[5],
                strategy=models.RecommendStrategy.BEST_SCORE,
            )
        ),
        models.DiscoverQuery(discover=models.DiscoverInput(target=9, context=[pair])),
        models.NearestQuery(nearest=8, mmr=models.Mmr(diversity=0.4, candidates_limit=50)),
    ]
    for query in queries:
        found = both.same(lambda client, q=query: client.query_points(NAMED, query=q, using="text", limit=8))
        assert len(found.points) == 8


@flow.step
def prefetches_are_fused_as_local_mode_does(both):
    prefetch = [
        models.Prefetch(query=QUERIES[4].tolist(), using="text", limit=30),
        models.Prefetch(query=IMAGES[9].tolist(), using="image", limit=30),
    ]
    for fusion in models.Fusion:
        query = models.FusionQuery(fusion=fusion)
        both.same(lambda client, q=query: client.query_points(NAMED, prefetch=prefetch, query=q, limit=15))


@flow.step
def a_batch_of_queries_is_answered_in_order(both):
    requests = [models.QueryRequest(query=query.tolist(), limit=3) for query in QUERIES]
    for answer, query in zip(both.ours.query_batch_points("Dot", requests=requests), QUERIES):
        exact.assert_same(hits(answer), exact.nearest(VECTORS, query, "Dot", 3))


@flow.step
def hits_are_grouped_by_a_key(both):
    def groups(client):
        query = QUERIES[7].tolist()
        found = client.query_points_groups(
            NAMED, query=query, using="text", group_by="color", limit=3, group_size=4
        )
        return [(group.id, [(hit.id, hit.payload) for hit in group.hits]) for group in found.groups]

    found = both.same(groups)
    assert [len(hits) for _, hits in found] == [4, 4, 4], found
    best = exact.nearest(VECTORS, QUERIES[7], "Cosine", 1)[0][0]
    assert found[0] == (COLORS[best % 4], found[0][1]) and found[0][1][0][0] == best, found


@flow.step
def points_come_in_order_of_a_payload_key_or_of_none(both):
    both.change(
        lambda client: client.create_payload_index(
            NAMED, field_name="number", field_schema=models.PayloadSchemaType.INTEGER
        )
    )
    order = models.OrderBy(key="number", direction=models.Direction.DESC, start_from=99)
    page, _ = both.same(lambda client: client.scroll(NAMED, limit=20, order_by=order))
    assert [record.id for record in page] == list(range(99, 79, -1)), page
    by_order = models.OrderByQuery(order_by="number")
    found = both.same(lambda client: client.query_points(NAMED, query=by_order, limit=7))
    assert [point.id for point in found.points] == list(range(7)), found
    sample = models.SampleQuery(sample=models.Sample.RANDOM)
    drawn = [
        {point.id for point in both.ours.query_points(NAMED, query=sample, limit=30).points} for _ in range(2)
    ]
    assert [len(ids) for ids in drawn] == [30, 30] and drawn[0] != drawn[1], drawn


@flow.step
def scrolling_reaches_every_point_once(both):
    offset, seen = None, []
    for _ in range(COUNT):
        page, offset = both.ours.scroll(NAMED, limit=77, offset=offset, with_payload=True)
        seen += [(record.id, record.payload) for record in page]
        if offset is None:
            break
    assert seen == [(number, payload(number)) for number in range(COUNT)]
    chosen = models.Filter(must=[match("color", "black")])
    both.same(lambda client: client.scroll(NAMED, scroll_filter=chosen, limit=50, with_vectors=["image"]))


@flow.step
def payloads_change_as_in_local_mode(both):
    chosen = models.Filter(must=[between("number", 10, 20)])
    both.change(lambda client: client.set_payload(NAMED, {"state": "new", "color": "white"}, points=[1, 2]))
    both.change(lambda client: client.set_payload(NAMED, {"depth": 3}, points=chosen, key="size"))
    both.change(lambda client: client.overwrite_payload(NAMED, {"only": [1, "two", None]}, points=[3]))
    both.change(lambda client: client.delete_payload(NAMED, keys=["tags", "size.width"], points=[4, 5]))
    both.change(lambda client: client.clear_payload(NAMED, points_selector=[6]))
    both.same(lambda client: client.retrieve(NAMED, ids=list(range(25))))
    assert both.ours.retrieve(NAMED, ids=[3])[0].payload == {"only": [1, "two", None]}


@flow.step
def vectors_are_replaced_and_taken_away(both):
    replaced = [models.PointVectors(id=20, vector={"image": IMAGES[21].tolist()})]
    both.change(lambda client: client.update_vectors(NAMED, points=replaced))
    both.change(lambda client: client.delete_vectors(NAMED, vectors=["text"], points=[22, 23]))
    both.same(lambda client: client.retrieve(NAMED, ids=[20, 21, 22, 23], with_vectors=True))
    without = models.Filter(must_not=[models.HasVectorCondition(has_vector="text")])
    assert both.same(lambda client: client.count(NAMED, count_filter=without)).count == 2


@flow.step
def vectors_come_and_go(both):
    both.change(lambda client: client.create_collection("bare", vectors_config={}))
    bare = [models.PointStruct(id=number, vector={}, payload=payload(number)) for number in range(30)]
    both.change(lambda client: client.upsert("bare", points=bare, wait=True))
    added = {
        "text": models.DenseVectorNameConfig(dense=models.DenseVectorConfig(size=DIMENSION, distance="Dot")),
        "image": models.DenseVectorNameConfig(dense=models.DenseVectorConfig(size=8, distance="Euclid")),
        "words": models.SparseVectorNameConfig(sparse=models.SparseVectorConfig(modifier="idf")),
    }
    words = models.SparseVector(indices=[1, 5], values=[0.5, 2.0])
    for name, config in added.items():
        both.change(lambda client, n=name, c=config: client.create_vector_name("bare", n, c))
        vectors = {"text": VECTORS, "image": IMAGES}.get(name)
        given = [
            models.PointVectors(id=number, vector={name: words if vectors is None else vectors[number].tolist()})
            for number in range(len(name), 30)
        ]
        both.change(lambda client, g=given: client.update_vectors("bare", points=g))
        query = words if vectors is None else QUERIES[0].tolist()[: vectors.shape[1]]
        both.same(
            lambda client, n=name, q=query: client.query_points("bare", query=q, using=n, limit=50, with_payload=True)
        )
    both.change(lambda client: client.delete_vector_name("bare", "text"))
    both.same(lambda client: client.scroll("bare", limit=50, with_vectors=True)[0])
    refused(lambda: both.ours.query_points("bare", query=QUERIES[0].tolist(), using="text"), 400)
    refused(lambda: both.ours.delete_vector_name("bare", "text"), 400)
    both.change(lambda client: client.delete_collection("bare"))


@flow.step
def a_batch_of_changes_takes_effect(both):
    changes = [
        models.UpsertOperation(
            upsert=models.PointsList(
                points=[models.PointStruct(id=900, vector={"text": QUERIES[5].tolist()}, payload={"n": 1})]
            )
        ),
        models.SetPayloadOperation(set_payload=models.SetPayload(payload={"n": 2}, points=[900, 7])),
        models.DeleteOperation(delete=models.PointIdsList(points=[8])),
    ]
    both.change(lambda client: client.batch_update_points(NAMED, update_operations=changes))
    both.same(lambda client: client.retrieve(NAMED, ids=[7, 8, 900], with_vectors=True))


@flow.step
def deleted_points_are_gone(both):
    both.change(lambda client: client.delete(NAMED, points_selector=[0, 1, 999]))
    chosen = models.Filter(must=[match("color", "green")])
    both.change(lambda client: client.delete(NAMED, points_selector=models.FilterSelector(filter=chosen)))
    both.same(lambda client: client.count(NAMED))
    both.same(lambda client: client.scroll(NAMED, limit=COUNT))
    found = both.ours.query_points(NAMED, query=QUERIES[6].tolist(), using="text", limit=COUNT)
    assert all(point.id not in (0, 1) and point.payload.get("color") != "green" for point in found.points)


@flow.step
def uuids_are_ids_too(both):
    ids = ["6f1f0d5e-0000-4000-8000-000000000001", "6f1f0d5e-0000-4000-8000-000000000002"]
    points = [
        models.PointStruct(id=identifier, vector=VECTORS[row].tolist()) for row, identifier in enumerate(ids)
    ]
    both.ours.upsert("Euclid", points=points)
    found = both.ours.query_points("Euclid", query=VECTORS[0].tolist(), limit=2)
    assert {point.id for point in found.points} == {0, ids[0]}, found
    assert [record.id for record in both.ours.retrieve("Euclid", ids=ids)] == ids


@flow.step
def wrong_requests_are_refused_and_lose_nothing(both):
    wrong = [models.PointStruct(id=1, vector=[0.5] * (DIMENSION + 1))]
    refused(lambda: both.ours.upsert("Dot", points=wrong), 400)
    refused(lambda: both.ours.query_points("Dot", query=[0.5] * 3), 400)
    refused(lambda: both.ours.query_points("nothing", query=[0.5] * 3), 404)
    refused(lambda: both.ours.query_points("Dot", query=[0.5] * DIMENSION, limit=0), 422)
    assert both.ours.count("Dot").count == COUNT
    if TOKEN:
        stranger = QdrantClient(url=URL, api_key=TOKEN[:-1], check_compatibility=False)
        refused(lambda: stranger.count("Dot"), 401)


@flow.step
def the_asynchronous_client_works_too(both):
    async def several():
        client = AsyncQdrantClient(url=URL, api_key=TOKEN)
        asked = [client.query_points("Dot", query=query.tolist(), limit=5) for query in QUERIES]
        answers = await asyncio.gather(*asked)
        await client.close()
        return answers

    for answer, query in zip(asyncio.run(several()), QUERIES):
        exact.assert_same(hits(answer), exact.nearest(VECTORS, query, "Dot", 5))


@flow.step
def sparse_vectors_are_searched_by_their_dots(both):
    def random_terms(rng):
        indices = sorted(rng.choice(50, size=rng.integers(1, 9), replace=False).tolist())
        return models.SparseVector(indices=indices, values=rng.uniform(0.1, 2.0, len(indices)).tolist())

    rng = np.random.default_rng(31)
    terms = {number: random_terms(rng) for number in range(200)}
    points = [models.PointStruct(id=number, vector={"words": value}) for number, value in terms.items()]
    for name, modifier in [("sparse", None), ("idf", models.Modifier.IDF)]:
        parameters = {"words": models.SparseVectorParams(modifier=modifier)}
        both.change(
            lambda client, n=name, p=parameters: client.create_collection(n, {}, sparse_vectors_config=p)
        )
        both.change(lambda client, n=name: client.upsert(n, points=points, wait=True))
    query = models.SparseVector(indices=[1, 4, 9, 33], values=[1.0, 0.5, 2.0, 0.25])
    weights = dict(zip(query.indices, query.values))
    dots = {
        number: sum(weights.get(index, 0.0) * value for index, value in zip(terms.indices, terms.values))
        for number, terms in terms.items()
    }
    wanted = sorted(((n, dot) for n, dot in dots.items() if dot > 0), key=lambda hit: -hit[1])[:12]
    found = both.ours.query_points("sparse", query=query, using="words", limit=12)
    exact.assert_same(hits(found), wanted)
    chosen = models.Filter(must=[models.HasIdCondition(has_id=list(range(0, 200, 2)))])
    for name in ["sparse", "idf"]:
        both.same(lambda client, n=name: client.query_points(n, query=query, using="words", limit=20))
        both.same(
            lambda client, n=name: client.query_points(
                n, query=query, using="words", query_filter=chosen, limit=10
            )
        )
        both.same(lambda client, n=name: client.retrieve(n, ids=[0, 1, 2], with_vectors=True))
        both.change(lambda client, n=name: client.delete_collection(n))


@flow.step
def collections_are_deleted(both):
    for name in [*DISTANCES, NAMED]:
        assert both.ours.delete_collection(name)
        assert not both.ours.collection_exists(name)
    assert both.ours.get_collections().collections == []


if __name__ == "__main__":
    flow.run(Both())
